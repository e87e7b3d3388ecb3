"""The facts of a push: records as rows, and the keys that they touch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, sql

from include.entities.digests import digests, digests_with_lines
from include.entities.entity import Entity as RecordKind
from include.entities.entity import with_digests
from include.entities.events import Event
from include.entities.orders import Order
from include.features.definitions.entity import Entity


class PushRefused(ValueError):
    """A pushed record breaks a rule of its entity. Nothing was written."""


def arrow_rows(kind: RecordKind, records: Sequence[Any]) -> tuple[pa.Table, pa.Table | None]:
    """Records as a load takes them: rows with their digests, and the rows of their lines.

    :raises PushRefused: a record or a line breaks a rule.
    """
    versions = [record.source_updated_at for record in records]
    rows = kind.to_arrow(records, versions=versions)
    _refuse_broken(kind, rows)
    if kind.child is None or kind.child_field is None:
        return with_digests(rows, digests(kind, rows)), None
    lines_of = [getattr(record, kind.child_field) for record in records]
    owners = [owner for owner, own in enumerate(lines_of) for _ in own]
    lines = kind.child.to_arrow([line for own in lines_of for line in own], versions=[versions[o] for o in owners])
    _refuse_broken(kind.child, lines)
    line_digests = digests(kind.child, lines)
    parents = digests_with_lines(kind, rows, line_digests, np.array(owners, dtype=np.int64))
    owned = parents.take(pa.array(owners, pa.int64()))
    return with_digests(rows, parents), with_digests(with_digests(lines, line_digests), owned, name="parent_digest")


def lock_keys(conn: Connection, *, orders: Sequence[Any], events: Sequence[Any]) -> None:
    """Wait until nobody else pushes what these records touch, as they are and as they were; keys in sorted order.

    Held until the transaction ends.
    """
    keys = set(_keys_of(orders, events))
    stored = conn.execute(
        """
        SELECT orders.customer_id, order_lines.product_id
        FROM shop.orders
        LEFT JOIN shop.order_lines ON orders.order_id = order_lines.order_id
        WHERE orders.order_id = ANY(%(orders)s)
        UNION ALL
        SELECT events.customer_id, NULL FROM shop.events WHERE events.event_id = ANY(%(events)s)
        """,
        {"orders": [order.order_id for order in orders], "events": [event.event_id for event in events]},
    ).fetchall()
    for customer_id, product_id in stored:
        keys |= {("customer", customer_id), ("product", product_id)}
    names = sorted(f"regulars.push.{entity}.{key}" for entity, key in keys if key is not None)
    conn.execute(
        """
        SELECT pg_advisory_xact_lock(lock_id)
        FROM (SELECT DISTINCT hashtextextended(name, 0) AS lock_id FROM unnest(%s::text[]) AS name ORDER BY 1) AS locks
        """,
        (names,),
    )


def keys_touched_by(conn: Connection, entity: Entity) -> dict[str, list[tuple[Any, ...]]]:
    """By relation the keys of the entity that the open transaction has touched."""
    if entity.touches is None:
        return {}
    rows = conn.execute(
        sql.SQL(
            "SELECT DISTINCT source, {keys} FROM {touches}"
            " WHERE written_by = pg_current_xact_id() AND {first_key} IS NOT NULL"
        ).format(
            keys=sql.SQL(", ").join(map(sql.Identifier, entity.key_names)),
            touches=sql.SQL(entity.touches),
            first_key=sql.Identifier(entity.key_names[0]),
        )
    ).fetchall()
    touched: dict[str, list[tuple[Any, ...]]] = {}
    for source, *key in rows:
        touched.setdefault(source, []).append(tuple(key))
    return touched


def _keys_of(orders: Sequence[Order], events: Sequence[Event]) -> Iterator[tuple[str, int | None]]:
    for order in orders:
        yield "customer", order.customer_id
        yield from (("product", line.product_id) for line in order.lines)
    for event in events:
        yield "customer", event.customer_id


def _refuse_broken(kind: RecordKind, rows: pa.Table) -> None:
    for rule in kind.rules:
        holds = pc.fill_null(rule.holds(rows), True)
        if not pc.all(holds).as_py():
            keys = rows.filter(pc.invert(holds)).select(list(kind.key)).to_pylist()[:5]
            raise PushRefused(f"{kind.name} {keys} break the rule {rule.rule_id}: {rule.reason}. Nothing was pushed.")
