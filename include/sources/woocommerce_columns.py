"""Whole pages of orders or refunds straight to columns, lines included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from include.entities.entity import Entity
from include.sources.columns import (
    Columns,
    Fields,
    in_columns,
    no_collection,
    numbers_within,
    table_of,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from include.sources.parsing import decode
from include.sources.source import Page
from include.sources.woocommerce_lines import WireFeeLine, WireProductLine, WireShippingLine

_LINES = (
    ("product", "line_items", in_columns(WireProductLine)),
    ("shipping", "shipping_lines", in_columns(WireShippingLine)),
    ("fee", "fee_lines", in_columns(WireFeeLine)),
)


@dataclass(slots=True)
class Lines:
    """The lines of one kind, of all rows, and how many each row has."""

    fields: Fields
    counts: list[int] = field(default_factory=list)

    def extend(self, lines: Sequence[Sequence[Any]]) -> None:
        """Gather the lines of some rows, one list per row."""
        self.counts.extend(map(len, lines))
        self.fields.extend(list(chain.from_iterable(lines)))

    def __getitem__(self, name: str) -> list[Any]:
        return self.fields[name]

    def __len__(self) -> int:
        return len(self.fields["id"])


Arrays = Mapping[str, pa.Array]


class ParentColumns:
    """How rows and lines of one kind of parent become columns.

    :param wire: a row without its lines, as it is read by itself.
    :param to_rows: from gathered fields and the page of each row to the entity's columns.
    :param to_lines: from gathered lines, their kind, and owners and versions to the child's columns.
    """

    def __init__(
        self,
        *,
        entity: Entity,
        wire: type[msgspec.Struct],
        to_rows: Callable[[Fields, Sequence[Page]], Arrays],
        to_lines: Callable[[Lines, str], Arrays],
    ) -> None:
        self._entity, self._to_rows, self._to_lines = entity, to_rows, to_lines
        self._row = in_columns(wire, **{name: line for _, name, line in _LINES})
        self._decoder = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]  # made at run time

    def read(self, pages: Sequence[Page]) -> Columns:
        """All records of the pages.

        :raises ValueError: something on them does not fit.
        """
        rows = Fields(self._row)
        lines = [Lines(Fields(line)) for _, _, line in _LINES]
        counts = []
        with no_collection():
            for page in pages:
                typed = decode(page.body, self._decoder)
                counts.append(len(typed))
                rows.extend(typed)
                for gathered, (_, name, _) in zip(lines, _LINES, strict=True):
                    gathered.extend(list(map(attrgetter(name), typed)))
        page_of_row = np.repeat(np.arange(len(pages)), counts)
        table = table_of(self._entity, self._to_rows(rows, [pages[number] for number in page_of_row.tolist()]))
        owners, line_table = self._lines(lines, table)
        return Columns(
            rows=table,
            pages=page_of_row,
            positions=numbers_within(np.array(counts, dtype=np.int64)),
            lines=line_table,
            owners=owners,
            line_positions=numbers_within(np.bincount(owners, minlength=table.num_rows)),
        )

    def _lines(self, lines: Sequence[Lines], parents: pa.Table) -> tuple[np.ndarray, pa.Table]:
        """The lines of all kinds: product lines of the first row, its shipping, its fees, then the next row's."""
        child = self._entity.child
        assert child is not None
        by_kind = [np.repeat(np.arange(parents.num_rows), each.counts) for each in lines]
        owners = np.concatenate(by_kind)
        tables = []
        for own, each, (kind, _, _) in zip(by_kind, lines, _LINES, strict=True):
            inherited = {name: parents[name].combine_chunks() for name in (*self._entity.key, "source_updated_at")}
            taken = {name: array.take(pa.array(own)) for name, array in inherited.items()}
            tables.append(table_of(child, {**self._to_lines(each, kind), **taken}))
        order = np.argsort(owners, kind="stable")
        return owners[order], pa.concat_tables(tables).combine_chunks().take(pa.array(order))


def product_columns(lines: Lines) -> dict[str, pa.Array]:
    """What product lines of orders and of refunds have in common."""
    return {
        "line_id": whole(lines["id"]),
        "kind": pa.repeat("product", len(lines)),
        "product_id": whole_or_none(lines["product_id"]),
        "sku": text_or_none(lines["sku"]),
        "name": text(lines["name"]),
        "quantity": whole(lines["quantity"]),
    }


def unit_columns(lines: Lines, kind: str) -> dict[str, pa.Array]:
    """What lines of shipping and fees have in common; each counts as one unit."""
    return {
        "line_id": whole(lines["id"]),
        "kind": pa.repeat(kind, len(lines)),
        "product_id": pa.nulls(len(lines), pa.int64()),
        "sku": pa.nulls(len(lines), pa.string()),
        "name": text(lines["method_title" if kind == "shipping" else "name"]),
        "quantity": pa.repeat(pa.scalar(1, pa.int64()), len(lines)),
    }
