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

    The relation `features.<view>` shows the history of the version applied last, for people.

    :raises DefinitionRefused: the query does not give what is declared, or reads what features must not see.
    """
    with conn.transaction():
        if known := _known(conn, view):  # without a lock, so that builds of other views do not wait for this one's
            return known
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('regulars.feature_versions', 0))")
        if known := _known(conn, view):
            return known
        check_against_database(conn, view)
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


def retire_version(conn: Connection, version: ViewVersion, *, now: datetime) -> None:
    """Stop building and publishing a version that no model reads any more; what was built of it stays.

    :raises ValueError: it is the newest one, which new readers mean.
    """
    newest = stored_versions(conn, version.view.name)[-1]
    if newest.version == version.version:
        raise ValueError(f"{version} is the newest version of its view. Change the definition first.")
    conn.execute(
        "UPDATE features.view_versions SET retired_at = %s WHERE view_name = %s AND version = %s",
        (now, version.view.name, version.version),
    )


def _known(conn: Connection, view: FeatureView) -> ViewVersion | None:
    row = conn.execute(
        "SELECT version FROM features.view_versions WHERE view_name = %s AND digest = %s", (view.name, view.digest)
    ).fetchone()
    return None if row is None else ViewVersion(view, row[0])


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
COMMENT ON TABLE {online} IS {online_comment};
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
    comment = f"{view.name}, version {made.version}: {view.description}"
    conn.execute(
        sql.SQL(_TABLES).format(
            history=made.history,
            online=made.online,
            shown=sql.Identifier("features", view.name),
            keys=made.keys,
            typed_keys=sql.SQL(", ").join(typed_keys),
            typed_features=sql.SQL(", ").join(typed_features),
            history_comment=sql.Literal(f"{comment} Every version of every row; rows are never changed."),
            online_comment=sql.Literal(f"{comment} The newest row of each key."),
        )
    )
    for name, words in _descriptions(view).items():
        for table in (made.history, made.online, sql.Identifier("features", view.name)):
            conn.execute(
                sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(table, sql.Identifier(name), sql.Literal(words))
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
