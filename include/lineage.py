"""What is made of what, gathered from what the code declares and what the database knows.

Nothing is listed here: connections and entities come from the registries of sources and entities, marts and the steps
of models from theirs, feature views from the definitions that the warehouse keeps, views and triggers from Postgres.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from include.analytics.registry import MARTS
from include.entities.registry import ENTITIES
from include.models.steps import MODEL_STEPS
from include.sources.factory import SOURCES

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """One table is made of another, or of what comes through a connection.

    :param upstream: a table with its schema, or `connection <name>`.
    :param downstream: a table with its schema.
    :param made_by: what reads the one and writes the other.
    """

    upstream: str
    downstream: str
    made_by: str


def note_lineage(conn: Connection, *, now: datetime) -> int:
    """Bring `analytics.lineage` up to what the code and the database say now, and return how many edges there are.

    Rows that are there stay as they are, with the time at which they were first noted.
    """
    edges = lineage(conn)
    with conn.transaction():
        conn.execute("CREATE TEMPORARY TABLE edges (upstream text, downstream text, made_by text) ON COMMIT DROP")
        with conn.cursor().copy("COPY edges FROM STDIN") as copy:
            for edge in sorted(edges):
                copy.write_row((edge.upstream, edge.downstream, edge.made_by))
        conn.execute(_MERGE, {"now": now})
        conn.execute("DROP TABLE edges")
    logger.info("note_lineage edges=%d", len(edges))
    return len(edges)


def lineage(conn: Connection) -> set[Edge]:
    """Every edge; a table that is made of itself, such as one that is only added to, has none for that."""
    histories: dict[str, str] = dict(conn.execute(_HISTORIES).fetchall())
    edges = {*_of_entities(), *_of_marts(), *_of_models(histories)}
    for statement in (_OF_FEATURE_VIEWS, _OF_VIEWS, _OF_TRIGGERS):
        edges |= {Edge(*row) for row in conn.execute(statement)}
    return {edge for edge in edges if edge.upstream != edge.downstream}


def _of_entities() -> Iterator[Edge]:
    """What comes through a connection is loaded, or rejected."""
    for name, entity in ENTITIES.items():
        connection = f"connection {SOURCES[name][0]}"
        yield Edge(connection, entity.table, f"upsert_{name}")
        if entity.child:
            yield Edge(connection, entity.child.table, f"upsert_{name}")
        yield Edge(connection, "quarantine.rejected_rows", f"validate_{name}")


def _of_marts() -> Iterator[Edge]:
    for name, mart in MARTS.items():
        for table in mart.inputs:
            yield Edge(table, f"analytics.{name}", f"refresh_{name}")


def _of_models(histories: dict[str, str]) -> Iterator[Edge]:
    """:param histories: feature view to the table with the history of its newest version."""
    for step in MODEL_STEPS:
        read = [*step.reads, *(histories[view] for view in step.views if view in histories)]
        for table in step.writes:
            for source in read:
                yield Edge(source, table, step.name)


_HISTORIES = """
SELECT view_name, format('features.%s_v%s', view_name, max(version)) FROM features.view_versions GROUP BY view_name
"""
_OF_FEATURE_VIEWS = """
SELECT
    inputs.name,
    format('features.%s_v%s', versions.view_name, versions.version),
    format('build_%s', versions.view_name)
FROM features.view_versions AS versions
CROSS JOIN LATERAL jsonb_array_elements_text(versions.definition -> 'reads') AS inputs (name)
UNION
SELECT
    format('features.%s_v%s', view_name, version),
    format('features.%s_v%s_online', view_name, version),
    'publish_online'
FROM features.view_versions
"""
_OF_VIEWS = """
SELECT DISTINCT
    format('%s.%s', sources.relnamespace::regnamespace, sources.relname),
    format('%s.%s', views.relnamespace::regnamespace, views.relname),
    'view'
FROM pg_class AS views
INNER JOIN pg_rewrite AS rules ON views.oid = rules.ev_class
INNER JOIN pg_depend AS dependencies
    ON dependencies.classid = 'pg_rewrite'::regclass AND rules.oid = dependencies.objid
    AND dependencies.refclassid = 'pg_class'::regclass
INNER JOIN pg_class AS sources ON dependencies.refobjid = sources.oid
WHERE
    views.relkind IN ('v', 'm') AND sources.relkind IN ('r', 'p', 'v', 'm')
    AND views.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
"""
_OF_TRIGGERS = """
WITH RECURSIVE called AS (
    SELECT
        format('%s.%s', tables.relnamespace::regnamespace, tables.relname) AS upstream,
        functions.proname AS made_by,
        functions.oid AS function_oid,
        functions.prosrc
    FROM pg_trigger
    INNER JOIN pg_class AS tables ON pg_trigger.tgrelid = tables.oid
    INNER JOIN pg_proc AS functions ON pg_trigger.tgfoid = functions.oid
    WHERE NOT pg_trigger.tgisinternal
    UNION
    SELECT called.upstream, called.made_by, functions.oid, functions.prosrc
    FROM called
    INNER JOIN pg_proc AS functions
        ON called.prosrc LIKE format('%%%%%s.%s(%%%%', functions.pronamespace::regnamespace, functions.proname)
    WHERE functions.pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
)
SELECT DISTINCT called.upstream, written.names[1], called.made_by
FROM called
CROSS JOIN LATERAL regexp_matches(called.prosrc, '(?:INSERT|MERGE) INTO ([a-z_]+\\.[a-z_]+)', 'g') AS written (names)
"""
_MERGE = """
MERGE INTO analytics.lineage AS known USING edges
ON
    known.upstream = edges.upstream AND known.downstream = edges.downstream
    AND known.made_by = edges.made_by
WHEN NOT MATCHED BY TARGET THEN
    INSERT (upstream, downstream, made_by, noted_at)
    VALUES (edges.upstream, edges.downstream, edges.made_by, %(now)s)
WHEN NOT MATCHED BY SOURCE THEN DELETE
"""
