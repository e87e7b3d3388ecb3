"""The page of the entities."""

from __future__ import annotations

from psycopg import Connection

from include.entities.entity import Entity
from include.entities.registry import ENTITIES
from include.local.reference.markdown import code, codes, page, table
from include.sources.factory import SOURCES


def entities_page(conn: Connection) -> str:
    """:param conn: a warehouse, whose comments say what columns hold."""
    return page(
        "Entities",
        "One kind of record each: where it comes from, how it is judged, and how its versions become one row.",
        *(_told(conn, entity) for entity in ENTITIES.values()),
    )


def _told(conn: Connection, entity: Entity) -> str:
    connection, source = SOURCES[entity.name]
    reader = getattr(source, "__name__", "")
    facts = table(
        ("", ""),
        (
            ("table", code(entity.table)),
            ("key", codes(entity.key)),
            ("comes through", f"the connection {code(connection)}, read by {code(reader)}"),
            ("happened at", code(entity.event_time)),
            ("version", "the time of reading" if entity.is_observed else code("source_updated_at")),
            ("looks back", f"{entity.look_back} before the window's start" if entity.look_back else ""),
            ("too many rejected", f"{entity.rejection_limit.share:.0%} of a window's rows, from "
             f"{entity.rejection_limit.at_least_rows} rows on"),
            ("kept inside it", code(entity.child.table) if entity.child else ""),
        ),
    )  # fmt: skip
    parts = [entity, *([entity.child] if entity.child else [])]
    return "\n".join([f"## {entity.name}", "", facts, *(part for each in parts for part in _judged(conn, each))])


def _judged(conn: Connection, entity: Entity) -> list[str]:
    described: dict[str, str] = dict(conn.execute(_COLUMNS, (entity.schema, entity.name)).fetchall())
    columns = table(
        ("column", "type", "newer versions", "holds"),
        (
            (code(name), kind, entity.resolution(name).value, described.get(name, ""))
            for name, kind in entity.columns.items()
        ),
    )
    rules = table(("rule", "rejects a row because"), ((code(rule.rule_id), rule.reason) for rule in entity.rules))
    expected = table(
        ("expectation of a batch", "arguments", "if it fails"),
        (
            (code(each.kind), ", ".join(f"{name}={value}" for name, value in each.arguments.items()), each.severity)
            for each in entity.expectations
        ),
    )
    return [f"Columns of {code(entity.table)}:", "", columns, rules, expected]


_COLUMNS = """
SELECT attname, col_description(attrelid, attnum)
FROM pg_attribute
WHERE attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) AND attnum > 0
"""
