"""Versions of feature views: a changed definition gets tables of its own, so that models keep what they learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from include.features.definitions.as_json import view_as_json, view_from_json
from include.features.definitions.check import check_against_database
from include.features.definitions.entity import KEY_TYPES
from include.features.definitions.view import STORED_TYPES, FeatureView
from include.features.registry import REGISTRY, Registry


class UnknownVersion(LookupError):
    """A version of a feature view is not in the warehouse."""


@dataclass(frozen=True, slots=True)
class ViewVersion:
    """A definition of a feature view, and the tables that hold what was built by it."""

    view: FeatureView
    version: int

    @property
    def history(self) -> sql.Identifier:
        """The table of every version of every row."""
        return sql.Identifier("features", f"{self.view.name}_v{self.version}")

    @property
    def online(self) -> sql.Identifier:
        """The table of the newest row of each key."""
        return sql.Identifier("features", f"{self.view.name}_v{self.version}_online")

    @property
    def own_source(self) -> str:
        """The source of touches that are of this version alone: its history, which is stale as a whole."""
        return f"features.{self.view.name}_v{self.version}"

    @property
    def keys(self) -> sql.Composed:
        """The join keys, separated by commas."""
        return sql.SQL(", ").join(map(sql.Identifier, self.view.entity.key_names))

    @property
    def features(self) -> sql.Composed:
        """The features, separated by commas."""
        return sql.SQL(", ").join(map(sql.Identifier, self.view.feature_names))

    def __str__(self) -> str:
        return f"{self.view.name}@{self.version}"


def apply_view(conn: Connection, view: FeatureView, *, now: datetime) -> ViewVersion:
    """Give the definition its version and tables, unless it has them; and see that it fits the database.

    The relation `features.<view>` shows the history of the version applied last, for people. A definition that comes
    back has the version that it had. If that was retired, it is in use again, and the next build takes all of its
    snapshots anew: the changes that came meanwhile may be forgotten.

    :raises DefinitionRefused: the query does not give what is declared, or reads what features must not see.
    """
    with conn.transaction():
        if shown := _shown(conn, view):  # without a lock, so that builds of other views do not wait for this one's
            return shown
        conn.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        if shown := _shown(conn, view):
            return shown
        check_against_database(conn, view)
        if known := _known(conn, view):
            _use_again(conn, known)
            return known
        row = conn.execute(
            "SELECT coalesce(max(version), 0) + 1 FROM features.view_versions WHERE view_name = %s", (view.name,)
        ).fetchone()
        assert row is not None
        made = ViewVersion(view, row[0])
        conn.execute(
            """
            INSERT INTO features.view_versions (view_name, version, digest, definition, created_at)
            VALUES (%s, %s, %s, %s, %s)
            """,
            (view.name, made.version, view.digest, Jsonb(view_as_json(view)), now),
        )
        _create_tables(conn, made)
        return made


def current_version(conn: Connection, view: FeatureView) -> ViewVersion:
    """The version that the definition in the code has.

    :raises UnknownVersion: it was never applied.
    """
    known = _known(conn, view)
    if known is None:
        raise UnknownVersion(
            f"The feature view {view} as it is defined now has no tables yet. Build it, or run "
            "`python -m include.features apply`."
        )
    return known


def stored_version(conn: Connection, name: str, version: int) -> ViewVersion:
    """A version that was applied at some time, with the definition that it had then.

    :raises UnknownVersion: there is none.
    """
    row = conn.execute(
        "SELECT definition FROM features.view_versions WHERE view_name = %s AND version = %s", (name, version)
    ).fetchone()
    if row is None:
        versions = [each.version for each in stored_versions(conn, name)]
        raise UnknownVersion(f"The feature view {name!r} has no version {version}. It has: {versions or 'none'}.")
    return ViewVersion(view_from_json(row[0]), version)


def stored_versions(conn: Connection, name: str) -> Sequence[ViewVersion]:
    """All versions of a view, oldest first."""
    rows = conn.execute(
        "SELECT version, definition FROM features.view_versions WHERE view_name = %s ORDER BY version", (name,)
    ).fetchall()
    return [ViewVersion(view_from_json(definition), version) for version, definition in rows]


def versions_in_use(conn: Connection, name: str) -> Sequence[ViewVersion]:
    """The versions of a view that are not retired, oldest first."""
    retired = {
        row[0]
        for row in conn.execute(
            "SELECT version FROM features.view_versions WHERE view_name = %s AND retired_at IS NOT NULL", (name,)
        )
    }
    return [each for each in stored_versions(conn, name) if each.version not in retired]


def hold_versions(conn: Connection) -> bool:
    """See to it that no version is made or comes back until the transaction ends; false if one is about to."""
    row = conn.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK})").fetchone()
    assert row is not None
    return row[0]


def retire_version(conn: Connection, version: ViewVersion, *, now: datetime, registry: Registry = REGISTRY) -> None:
    """Stop building and publishing a version that no model reads any more; what was built of it stays.

    :raises ValueError: it is the one that the view has in the code, which new readers mean.
    """
    view = registry.views.get(version.view.name)
    current = None if view is None else _known(conn, view)
    if current is not None and current.version == version.version:
        raise ValueError(f"{version} is how the code defines the view now. Change or delete the definition first.")
    conn.execute(
        "UPDATE features.view_versions SET retired_at = %s WHERE view_name = %s AND version = %s",
        (now, version.view.name, version.version),
    )


def _known(conn: Connection, view: FeatureView) -> ViewVersion | None:
    row = conn.execute(
        "SELECT version FROM features.view_versions WHERE view_name = %s AND digest = %s", (view.name, view.digest)
    ).fetchone()
    return None if row is None else ViewVersion(view, row[0])


_LOCK = "hashtextextended('regulars.feature_versions', 0)"
_SHOWN = """
SELECT version FROM features.view_versions
WHERE
    view_name = %s AND digest = %s AND retired_at IS NULL
    AND EXISTS (
        SELECT FROM pg_rewrite AS rules
        INNER JOIN pg_depend AS dependencies
            ON rules.oid = dependencies.objid AND dependencies.classid = 'pg_rewrite'::regclass
        WHERE
            rules.ev_class = to_regclass('features.' || view_name)
            AND dependencies.refobjid = to_regclass('features.' || view_name || '_v' || version)
    )
"""


def _shown(conn: Connection, view: FeatureView) -> ViewVersion | None:
    """The version of the definition, if it is in use and the relation of the view's name shows it."""
    row = conn.execute(_SHOWN, (view.name, view.digest)).fetchone()
    return None if row is None else ViewVersion(view, row[0])


def _use_again(conn: Connection, version: ViewVersion) -> None:
    """Show a version that was made before; if it was retired, note that every key of it is touched at all times."""
    was_retired = conn.execute(
        """
        UPDATE features.view_versions SET retired_at = NULL
        WHERE view_name = %s AND version = %s AND retired_at IS NOT NULL
        """,
        (version.view.name, version.version),
    ).rowcount
    if was_retired and version.view.entity.touches is not None:
        conn.execute(
            sql.SQL("INSERT INTO {} (source, touched_from, touched_until) VALUES ({}, '-infinity', 'infinity')").format(
                sql.SQL(version.view.entity.touches), sql.Literal(version.own_source)
            )
        )
    _show(conn, version)


_TABLES = """
CREATE TABLE {history} (
    {typed_keys},
    event_time timestamptz NOT NULL,
    available_time timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    seq bigint NOT NULL,
    is_tombstone boolean NOT NULL,
    {typed_features}
);
COMMENT ON TABLE {history} IS {history_comment};
CREATE UNIQUE INDEX ON {history} ({keys}, event_time DESC, available_time DESC, seq DESC);
CREATE INDEX ON {history} (event_time);
CREATE INDEX ON {history} USING brin (seq) WITH (pages_per_range = 32, autosummarize = on);
CREATE TABLE {online} (LIKE {history}, PRIMARY KEY ({keys})) WITH (fillfactor = 45);
COMMENT ON TABLE {online} IS {online_comment}
"""
_VIEW = """
DROP VIEW IF EXISTS {shown};
CREATE VIEW {shown} AS SELECT * FROM {history};
COMMENT ON VIEW {shown} IS {history_comment}
"""


def _create_tables(conn: Connection, made: ViewVersion) -> None:
    """The tables of a version; text keys are compared byte by byte, so that every engine orders them alike."""
    view = made.view
    collation = {"text": sql.SQL(' COLLATE "C"')}
    typed_keys = [
        sql.SQL("{} {}{} NOT NULL").format(
            sql.Identifier(key.name), sql.SQL(KEY_TYPES[key.type]), collation.get(key.type, sql.SQL(""))
        )
        for key in view.entity.join_keys
    ]
    typed_features = [
        sql.SQL("{} {}").format(sql.Identifier(feature.name), sql.SQL(STORED_TYPES[feature.type]))
        for feature in view.features
    ]
    conn.execute(
        sql.SQL(_TABLES).format(
            history=made.history,
            online=made.online,
            keys=made.keys,
            typed_keys=sql.SQL(", ").join(typed_keys),
            typed_features=sql.SQL(", ").join(typed_features),
            history_comment=_comment(made, "Every version of every row; rows are never changed."),
            online_comment=_comment(made, "The newest row of each key."),
        )
    )
    _describe(conn, made, made.history, made.online)
    _show(conn, made)


def _show(conn: Connection, version: ViewVersion) -> None:
    """Have the relation of the view's name show the history of this version."""
    shown = sql.Identifier("features", version.view.name)
    comment = _comment(version, "Every version of every row; rows are never changed.")
    conn.execute(sql.SQL(_VIEW).format(shown=shown, history=version.history, history_comment=comment))
    _describe(conn, version, shown)


def _comment(version: ViewVersion, words: str) -> sql.Literal:
    view = version.view
    return sql.Literal(f"{view.name}, version {version.version}: {view.description} {words}")


def _describe(conn: Connection, version: ViewVersion, *relations: sql.Identifier) -> None:
    for name, words in _descriptions(version.view).items():
        for relation in relations:
            conn.execute(
                sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(relation, sql.Identifier(name), sql.Literal(words))
            )


def _descriptions(view: FeatureView) -> dict[str, str]:
    """What each column of the view's tables holds."""
    return {
        **{key.name: f"The {view.entity} (identifier)." for key in view.entity.join_keys},
        "event_time": "The snapshot (UTC): only facts strictly before it are in the row.",
        "available_time": "When the row could be known (UTC).",
        "ingested_at": "When the row was written (UTC).",
        "seq": "Order of writing: the build that wrote the row, counted per version (number).",
        "is_tombstone": "The key has no features at the snapshot after all; they are null.",
        **{feature.name: f"{feature.description} ({feature.unit})" for feature in view.features},
    }
