"""Whether the query of a feature view gives what its definition says, and reads only what features may see."""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg import Connection, ProgrammingError, sql

from include.features.definitions.entity import KEY_TYPES
from include.features.definitions.view import POSTGRES_TYPES, FeatureView

_KNOWS_THE_FUTURE = frozenset(
    {"status", "stock_status", "is_published", "source", "source_updated_at", "content_digest", "first_seen_at",
     "ingested_at"}
)  # fmt: skip
"""Columns of the newest version of a record: at a snapshot in the past they were something else."""
_CLOCKS = re.compile(
    r"\b(now\s*\(|current_(date|time|timestamp)\b|local(time|timestamp)\b|(clock|statement|transaction)_timestamp\s*\("
    r"|timeofday\s*\(|random\w*\s*\(|gen_random_uuid\s*\(|uuidv7\s*\()",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)


class DefinitionRefused(ValueError):
    """The query of a feature view does not fit its definition, or sees what it must not."""


def check_against_database(conn: Connection, view: FeatureView) -> None:
    """Compare a definition with what Postgres makes of its query; nothing is read or written.

    :raises DefinitionRefused: names everything that is wrong: columns and types, relations read, columns that know
        the future, whole rows, clocks and chance.
    """
    with conn.transaction(force_rollback=True):
        make_relations(conn, view)
        try:
            with conn.transaction():
                conn.execute(sql.SQL("CREATE TEMPORARY VIEW checked AS {}").format(sql.SQL(view.query)))
        except ProgrammingError as error:
            raise DefinitionRefused(f"The query of the feature view {view} does not run: {error}") from error
        problems = [*_wrong_columns(conn, view), *_wrong_reads(conn, view), *_whole_rows(conn)]
    if clock := _CLOCKS.search(_COMMENT.sub("", view.query)):
        problems.append(f"it asks a clock or chance ({clock[0]!r}), so that no build gives the same twice")
    if problems:
        raise DefinitionRefused(f"The feature view {view} cannot be used: {'; '.join(problems)}.")


def make_relations(conn: Connection, view: FeatureView) -> None:
    """The empty relations `snapshots` and `entities` that a view's query reads, until the transaction ends."""
    typed = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(key.name), sql.SQL(KEY_TYPES[key.type])) for key in view.entity.join_keys
    )
    conn.execute("DROP TABLE IF EXISTS pg_temp.snapshots, pg_temp.entities CASCADE")
    conn.execute("CREATE TEMPORARY TABLE snapshots (snapshot_at timestamptz NOT NULL) ON COMMIT DROP")
    conn.execute(sql.SQL("CREATE TEMPORARY TABLE entities ({}) ON COMMIT DROP").format(typed))


def _wrong_columns(conn: Connection, view: FeatureView) -> Iterator[str]:
    found: dict[str, str] = dict(
        conn.execute(
            """
            SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = 'pg_temp.checked'::regclass AND attnum > 0
            """
        ).fetchall()
    )
    wanted: dict[str, frozenset[str]] = {"snapshot_at": frozenset({"timestamp with time zone"})}
    wanted |= {key.name: frozenset({KEY_TYPES[key.type]}) for key in view.entity.join_keys}
    wanted |= {feature.name: POSTGRES_TYPES[feature.type] for feature in view.features}
    for name, types in wanted.items():
        if name not in found:
            yield f"its query gives no column {name}"
        elif found[name] not in types:
            yield f"its query gives {name} as {found[name]}, which must be {' or '.join(sorted(types))}"
    for name in found.keys() - wanted.keys():
        yield f"its query gives {name}, which is not declared"


def _wrong_reads(conn: Connection, view: FeatureView) -> Iterator[str]:
    """What Postgres says the query depends on, to the column."""
    rows = conn.execute(
        """
        SELECT DISTINCT namespaces.nspname || '.' || relations.relname, columns.attname
        FROM pg_rewrite AS rules
        INNER JOIN pg_depend AS dependencies
            ON
                dependencies.classid = 'pg_rewrite'::regclass AND dependencies.objid = rules.oid
                AND dependencies.refclassid = 'pg_class'::regclass AND dependencies.refobjid <> rules.ev_class
        INNER JOIN pg_class AS relations ON dependencies.refobjid = relations.oid
        INNER JOIN pg_namespace AS namespaces ON relations.relnamespace = namespaces.oid
        LEFT JOIN pg_attribute AS columns
            ON dependencies.refobjid = columns.attrelid AND dependencies.refobjsubid = columns.attnum
        WHERE rules.ev_class = 'pg_temp.checked'::regclass AND namespaces.oid <> pg_my_temp_schema()
        """
    ).fetchall()
    read = {relation for relation, _ in rows}
    for relation in sorted(read - set(view.reads)):
        yield f"its query reads {relation}, which `reads` does not name"
    for relation in sorted(set(view.reads) - read):
        yield f"`reads` names {relation}, which its query does not read"
    for relation, column in sorted(rows, key=str):
        if column in _KNOWS_THE_FUTURE:
            yield f"its query reads {relation}.{column}, which says how a record is today and not at the snapshot"
    if view.entity.touches is not None:
        for relation in sorted(read - set(view.entity.noted)):
            yield f"changes of {relation} are noted for no {view.entity}, so its rows would never be repaired"


def _whole_rows(conn: Connection) -> Iterator[str]:
    """Rows taken as one value, as by `to_jsonb(orders)`: of those Postgres does not note which columns are read."""
    row = conn.execute(
        """
        SELECT position(':varattno 0 ' IN ev_action::text) > 0 FROM pg_rewrite
        WHERE ev_class = 'pg_temp.checked'::regclass
        """
    ).fetchone()
    assert row is not None
    if row[0]:
        yield "its query takes a row as one value, so that nobody can see which columns it reads: name the columns"
