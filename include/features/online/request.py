"""What is asked of the online store: features of views, and the keys that want them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any

from psycopg import Connection

from include.features.definitions.entity import JoinKey
from include.features.definitions.on_demand import ON_DEMAND_FEATURES, OnDemandFeature, inputs_of
from include.features.definitions.selection import Selection, Wanted, selections_of, wanted_items
from include.features.registry import REGISTRY, Registry

_ROWS_NAMED = 5
_NONE = type(None)
Keys = Mapping[str, list[Any]]
"""Per join key one value per entity row; None is nobody."""


class BadEntityRows(ValueError):
    """Entity rows cannot be looked up; the text names them by position, counting from 0. Nothing was asked."""


@dataclass(frozen=True)
class OnlineRequest:
    """Features of some views, resolved to versions once and asked many times.

    :param selections: what is read.
    :param shown: of these the features that are asked for; others are only inputs of `on_demand`.
    :param on_demand: what is computed from them and the instant of the request.
    """

    selections: tuple[Selection, ...]
    shown: tuple[Selection, ...]
    on_demand: tuple[OnDemandFeature, ...] = ()

    @cached_property
    def keys(self) -> tuple[JoinKey, ...]:
        """The join keys of all views, in the order first met."""
        return tuple(dict.fromkeys(key for each in self.selections for key in each.view.entity.join_keys))

    def keys_of(self, entity_rows: Sequence[Mapping[str, Any]]) -> Keys:
        """The join keys that the rows give; what else stands in a row is left alone.

        :raises BadEntityRows: a row lacks a key, or has one of another type or that no column can hold.
        """
        return {key.name: _values_of(key, entity_rows) for key in self.keys}


def request_of(conn: Connection, wanted: Wanted, *, registry: Registry = REGISTRY) -> OnlineRequest:
    """Resolve what is wanted, on-demand features by their names among it, to versions of views.

    :raises UnknownFeature: a name is not registered.
    :raises UnknownVersion: a view as it is defined now was never built.
    """
    names = wanted_items(wanted, registry=registry)
    computed = [name for name in names if isinstance(name, str) and name in ON_DEMAND_FEATURES]
    on_demand = tuple(ON_DEMAND_FEATURES[name] for name in computed)
    of_views = [name for name in names if name not in computed]
    with conn.transaction():
        shown = tuple(selections_of(conn, of_views, registry=registry))
        inputs = inputs_of(on_demand)
        read = tuple(selections_of(conn, of_views, registry=registry, inputs=inputs)) if inputs else shown
    return OnlineRequest(read, shown, on_demand)


def _values_of(key: JoinKey, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    try:
        values = [row[key.name] for row in rows]
    except KeyError:
        lacking = [position for position, row in enumerate(rows) if key.name not in row]
        raise BadEntityRows(f"{_named(lacking)} no {key.name!r}. Give it, or None for nobody.") from None
    try:
        return _integers(values) if key.type == "integer" else _texts(values)
    except (TypeError, OverflowError, UnicodeEncodeError, ValueError):
        bad = [position for position, value in enumerate(values) if not _is_fine(key, value)]
        kinds = "an integer of 64 bits" if key.type == "integer" else "a text without the character NUL"
        raise BadEntityRows(f"{_named(bad)} no usable {key.name!r}: it is {kinds}, or None for nobody.") from None


def _integers(values: list[Any]) -> list[Any]:
    if not set(map(type, values)) <= {int, _NONE}:
        if bool in map(type, values):
            raise TypeError
        values = [None if value is None else index(value) for value in values]
    array("q", [value for value in values if value is not None] if None in values else values)
    return values


def _texts(values: list[Any]) -> list[Any]:
    if not set(map(type, values)) <= {str, _NONE}:
        raise TypeError
    if b"\0" in "".join(value for value in values if value is not None).encode():
        raise ValueError
    return values


def _is_fine(key: JoinKey, value: Any) -> bool:
    try:
        _integers([value]) if key.type == "integer" else _texts([value])
    except (TypeError, OverflowError, UnicodeEncodeError, ValueError):
        return False
    return True


def _named(positions: Sequence[int]) -> str:
    """`Entity rows 0, 1, 2, 3, 4 and 7 more have`."""
    named = ", ".join(map(str, positions[:_ROWS_NAMED]))
    more = f" and {len(positions) - _ROWS_NAMED} more" if len(positions) > _ROWS_NAMED else ""
    return f"Entity row{'s' if len(positions) != 1 else ''} {named}{more} {'have' if len(positions) != 1 else 'has'}"
