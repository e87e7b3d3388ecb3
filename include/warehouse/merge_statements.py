"""The SQL of a merge, made from an entity's description. Identifiers are quoted, values bound."""

from __future__ import annotations

from psycopg import sql

from include.entities.entity import PROVENANCE, Entity, Resolution

VERSION = sql.SQL("({0}.source_updated_at, {0}.content_digest)")


def stored_table(entity: Entity) -> sql.Identifier:
    """The entity's table."""
    return sql.Identifier(entity.schema, entity.name)


def incoming_table(entity: Entity) -> sql.Identifier:
    """The temporary table that rows are copied into; gone with the transaction."""
    return sql.Identifier("pg_temp", f"incoming_{entity.name}")


def changed_table(entity: Entity) -> sql.Identifier:
    """The temporary table of keys that this load inserted or updated, with the action."""
    return sql.Identifier("pg_temp", f"changed_{entity.name}")


def columns_of(entity: Entity) -> list[str]:
    """Columns that a row brings with it."""
    return [*entity.columns, *PROVENANCE]


def same_key(entity: Entity, left: str, right: str) -> sql.Composed:
    """`left.key = right.key` over all key columns."""
    return sql.SQL(" AND ").join(
        sql.SQL("{}.{} = {}.{}").format(*map(sql.Identifier, (left, column, right, column))) for column in entity.key
    )


def key_list(entity: Entity, alias: str | None = None) -> sql.Composed:
    """The key columns, separated by commas."""
    prefix = () if alias is None else (alias,)
    return sql.SQL(", ").join(sql.Identifier(*prefix, column) for column in entity.key)


def create_incoming(entity: Entity, *, parent: Entity | None = None) -> sql.Composed:
    """An empty temporary table with the columns of the entity, and its parent's digest if it has one."""
    wanted = sql.SQL(", ").join(map(sql.Identifier, columns_of(entity)))
    extra = sql.SQL(", content_digest AS parent_digest") if parent else sql.SQL("")
    name = f"incoming_{entity.name}"
    return _fresh(name) + sql.SQL(
        "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {}{} FROM {} WITH NO DATA"
    ).format(sql.Identifier(name), wanted, extra, stored_table(entity))


def _fresh(name: str) -> sql.Composed:
    """Drops what an earlier load in the same transaction left under this name."""
    return sql.SQL("DROP TABLE IF EXISTS {}; ").format(sql.Identifier("pg_temp", name))


def has_duplicates(entity: Entity) -> sql.Composed:
    """Whether a key stands more than once among the incoming rows."""
    return sql.SQL("SELECT EXISTS (SELECT FROM {} GROUP BY {} HAVING count(*) > 1)").format(
        incoming_table(entity), key_list(entity)
    )


def drop_superseded(entity: Entity) -> sql.Composed:
    """Of the incoming rows with one key keep the one with the greatest (version, digest)."""
    return sql.SQL(
        """
        DELETE FROM {incoming} WHERE ctid IN (
            SELECT row_id FROM (
                SELECT ctid AS row_id, row_number() OVER (
                    PARTITION BY {key} ORDER BY source_updated_at DESC, content_digest DESC
                ) AS position
                FROM {incoming}
            ) AS ranked
            WHERE position > 1
        )
        """
    ).format(incoming=incoming_table(entity), key=key_list(entity))


def fold_superseded(entity: Entity) -> sql.Composed | None:
    """Carry values of older incoming versions into the newest, where a column's resolution asks for it.

    Only versions newer than the stored one take part: an older one changes nothing.
    """
    folds = {
        Resolution.NEWEST_NON_NULL: sql.SQL(
            "(array_agg(incoming.{0} ORDER BY incoming.source_updated_at DESC, incoming.content_digest DESC)"
            " FILTER (WHERE incoming.{0} IS NOT NULL))[1]"
        ),
        Resolution.KEEP_FIRST: sql.SQL(
            "(array_agg(incoming.{0} ORDER BY incoming.source_updated_at, incoming.content_digest)"
            " FILTER (WHERE incoming.{0} IS NOT NULL))[1]"
        ),
        Resolution.MERGE_JSON: sql.SQL(
            "ops.jsonb_merge(incoming.{0} ORDER BY incoming.source_updated_at, incoming.content_digest)"
        ),
    }
    special = [c for c in entity.columns if entity.resolution(c) is not Resolution.NEWEST]
    if not special:
        return None
    folded = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(
            folds[entity.resolution(column)].format(sql.Identifier(column)), sql.Identifier(column)
        )
        for column in special
    )
    assignments = sql.SQL(", ").join(sql.SQL("{0} = folded.{0}").format(sql.Identifier(column)) for column in special)
    return sql.SQL(
        """
        WITH folded AS (
            SELECT {key}, {folded}
            FROM {incoming} AS incoming
            LEFT JOIN {stored} AS stored ON {same_stored}
            WHERE stored.source_updated_at IS NULL OR {incoming_version} > {stored_version}
            GROUP BY {key}
            HAVING count(*) > 1
        )
        UPDATE {incoming} AS incoming SET {assignments} FROM folded WHERE {same_folded}
        """
    ).format(
        key=key_list(entity, "incoming"),
        folded=folded,
        incoming=incoming_table(entity),
        stored=stored_table(entity),
        same_stored=same_key(entity, "stored", "incoming"),
        same_folded=same_key(entity, "folded", "incoming"),
        incoming_version=VERSION.format(sql.Identifier("incoming")),
        stored_version=VERSION.format(sql.Identifier("stored")),
        assignments=assignments,
    )


def merge(entity: Entity, *, is_correction: bool = False) -> sql.Composed:
    """Insert new keys, update older ones, leave the rest. A correction also updates what is as old but different.

    Parameters: `source`, `now`. Returns one row: inserted, updated, the oldest event time among them. For an entity
    with lines the changed keys land in `changed_table`.
    """
    columns = columns_of(entity)
    is_newer = VERSION.format(sql.Identifier("incoming")) + sql.SQL(" > ") + VERSION.format(sql.Identifier("stored"))
    if entity.is_observed:
        is_newer += sql.SQL(" AND incoming.content_digest <> stored.content_digest")
    if is_correction:
        is_newer += sql.SQL(
            " OR incoming.source_updated_at = stored.source_updated_at"
            " AND incoming.content_digest <> stored.content_digest"
        )
    event_at: sql.Composable = sql.SQL("NULL::timestamptz")
    if entity.event_time:
        event_at = sql.SQL("LEAST(old.{0}, new.{0})::timestamptz").format(sql.Identifier(entity.event_time))
    keep_changed: sql.Composable = sql.SQL("")
    if entity.child is not None:
        keep_changed = sql.SQL(", changed AS (INSERT INTO {} SELECT action, {} FROM merged)").format(
            changed_table(entity), key_list(entity)
        )
    return sql.SQL(
        """
        WITH merged AS (
            MERGE INTO {stored} AS stored
            USING {incoming} AS incoming ON {same_key}
            WHEN MATCHED AND ({is_newer}) THEN
                UPDATE SET {assignments}, source = %(source)s, ingested_at = %(now)s
            WHEN NOT MATCHED THEN
                INSERT ({columns}, source, first_seen_at, ingested_at)
                VALUES ({values}, %(source)s, %(now)s, %(now)s)
            RETURNING merge_action() AS action, {event_at} AS event_at{new_key}
        ){keep_changed}
        SELECT
            count(*) FILTER (WHERE action = 'INSERT'), count(*) FILTER (WHERE action = 'UPDATE'), min(event_at)
        FROM merged
        """
    ).format(
        stored=stored_table(entity),
        incoming=incoming_table(entity),
        keep_changed=keep_changed,
        same_key=same_key(entity, "stored", "incoming"),
        is_newer=is_newer,
        assignments=sql.SQL(", ").join(_assignment(entity, column) for column in columns if column not in entity.key),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(sql.Identifier("incoming", column) for column in columns),
        event_at=event_at,
        new_key=sql.SQL(", ") + key_list(entity, "new") if entity.child else sql.SQL(""),
    )


def is_taken_for_empty(entity: Entity) -> sql.Composed:
    """Whether the statistics of the entity's table say that it has no rows, though it has pages."""
    return sql.SQL("SELECT reltuples = 0 AND pg_relation_size(oid) > 0 FROM pg_class WHERE oid = {}::regclass").format(
        sql.Literal(stored_table(entity).as_string(None))
    )


def analyse_stored(entity: Entity) -> sql.Composed:
    """Count the rows of the entity's table anew."""
    return sql.SQL("ANALYZE {}").format(stored_table(entity))


def analyse_incoming(entity: Entity) -> sql.Composed:
    """Tell the planner what keys came in."""
    return sql.SQL("ANALYZE {} ({})").format(incoming_table(entity), key_list(entity))


def analyse_changed(entity: Entity) -> sql.Composed:
    """Tell the planner what keys were written, and how."""
    return sql.SQL("ANALYZE {}").format(changed_table(entity))


def create_changed(entity: Entity) -> sql.Composed:
    """An empty temporary table for the outcome of `merge`."""
    name = f"changed_{entity.name}"
    return _fresh(name) + sql.SQL(
        "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT ''::text AS action, {} FROM {} WITH NO DATA"
    ).format(sql.Identifier(name), key_list(entity), stored_table(entity))


def count_stale(entity: Entity) -> sql.Composed:
    """How many incoming rows the stored version is ahead of, once merged."""
    is_ahead = VERSION.format(sql.Identifier("stored")) + sql.SQL(" > ") + VERSION.format(sql.Identifier("incoming"))
    if entity.is_observed:
        is_ahead += sql.SQL(" AND incoming.content_digest <> stored.content_digest")
    return sql.SQL("SELECT count(*) FROM {} AS incoming JOIN {} AS stored ON {} WHERE {}").format(
        incoming_table(entity), stored_table(entity), same_key(entity, "stored", "incoming"), is_ahead
    )


def _assignment(entity: Entity, column: str) -> sql.Composed:
    templates = {
        Resolution.NEWEST: "{0} = incoming.{0}",
        Resolution.NEWEST_NON_NULL: "{0} = COALESCE(incoming.{0}, stored.{0})",
        Resolution.KEEP_FIRST: "{0} = COALESCE(stored.{0}, incoming.{0})",
        Resolution.MERGE_JSON: "{0} = stored.{0} || incoming.{0}",
    }
    return sql.SQL(templates[entity.resolution(column)]).format(sql.Identifier(column))


def drop_lines_of_superseded_parents(child: Entity, parent: Entity) -> sql.Composed:
    """Lines count only in the version of their parent that was kept."""
    return sql.SQL(
        """
        DELETE FROM {lines} AS line WHERE NOT EXISTS (
            SELECT 1 FROM {parents} AS parent
            WHERE {same_parent} AND parent.source_updated_at = line.source_updated_at
                AND parent.content_digest = line.parent_digest
        )
        """
    ).format(
        lines=incoming_table(child), parents=incoming_table(parent), same_parent=same_key(parent, "parent", "line")
    )


def merge_lines(child: Entity, parent: Entity) -> sql.Composed:
    """Make the lines of every changed parent those of its new version; a line as old and as it was is not written.

    A line that a newer version repeats takes its `source_updated_at`: else the table would tell the order of arrival.

    Parameters: `source`, `now`. Returns one row: inserted, updated, the lines of changed parents.
    """
    columns = columns_of(child)
    return sql.SQL(
        """
        WITH wanted AS (
            SELECT line.* FROM {lines} AS line JOIN {changed} AS parent ON {same_parent}
        ),
        merged AS (
            MERGE INTO {stored} AS stored
            USING wanted AS incoming ON {same_key}
            WHEN MATCHED AND (incoming.source_updated_at, incoming.content_digest)
                <> (stored.source_updated_at, stored.content_digest) THEN
                UPDATE SET {assignments}, source = %(source)s, ingested_at = %(now)s
            WHEN NOT MATCHED THEN
                INSERT ({columns}, source, first_seen_at, ingested_at)
                VALUES ({values}, %(source)s, %(now)s, %(now)s)
            RETURNING merge_action() AS action
        )
        SELECT count(*) FILTER (WHERE action = 'INSERT'), count(*) FILTER (WHERE action = 'UPDATE') FROM merged
        """
    ).format(
        lines=incoming_table(child),
        changed=changed_table(parent),
        stored=stored_table(child),
        same_parent=same_key(parent, "parent", "line"),
        same_key=same_key(child, "stored", "incoming"),
        assignments=sql.SQL(", ").join(
            sql.SQL("{0} = incoming.{0}").format(sql.Identifier(c)) for c in columns if c not in child.key
        ),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(sql.Identifier("incoming", column) for column in columns),
    )


def delete_vanished_lines(child: Entity, parent: Entity) -> sql.Composed:
    """Delete stored lines that the new version of an updated parent no longer has."""
    return sql.SQL(
        """
        DELETE FROM {stored} AS stored USING {changed} AS parent
        WHERE {same_parent} AND parent.action = 'UPDATE'
            AND NOT EXISTS (SELECT 1 FROM {lines} AS line WHERE {same_line})
        """
    ).format(
        stored=stored_table(child),
        changed=changed_table(parent),
        lines=incoming_table(child),
        same_parent=same_key(parent, "parent", "stored"),
        same_line=same_key(child, "line", "stored"),
    )


def count_stale_lines(child: Entity, parent: Entity) -> sql.Composed:
    """How many incoming lines belong to a version that the stored parent is ahead of."""
    return sql.SQL(
        """
        SELECT count(*) FROM {lines} AS line
        JOIN {stored} AS stored ON {same_parent}
        WHERE (stored.source_updated_at, stored.content_digest) > (line.source_updated_at, line.parent_digest)
        """
    ).format(lines=incoming_table(child), stored=stored_table(parent), same_parent=same_key(parent, "stored", "line"))
