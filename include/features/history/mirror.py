"""Mirrors of histories: sorted Parquet files per version of a view, from which training sets are joined without the
database.

A mirror is a few layers, as in a log-structured merge tree: each holds what builds and pushes wrote to history since
the one below, sorted by key and time. An update adds one layer of the news; layers that are less than four times the
news are taken into it, so that there are few of them and the large one, at the bottom, is seldom written anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from upath import UPath

from include.features.definitions.selection import Selection, VersionSource, Wanted
from include.features.definitions.versions import UnknownVersion, ViewVersion
from include.features.definitions.view import FeatureView
from include.features.history.historical import EntityRows, HistoricalFeatures, get_historical_features
from include.features.history.mirror_pick import MirrorJoin
from include.features.history.mirror_store import Layer, Manifest, MirrorStore
from include.features.history.mirror_write import is_in, row_hash, write_layer
from include.features.history.picks import Picks
from include.features.history.postgres_join import Mode
from include.features.history.spine import Spine
from include.warehouse.connection import one_instant

logger = logging.getLogger(__name__)
_GROWTH = 4
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder, or a place in an object store, with mirrors of any number of views.

    :param folder: a path or a URL such as `s3://bucket/features`.
    """

    folder: UPath | str

    def update(self, conn: Connection, version: ViewVersion) -> Manifest:
        """Bring the mirror of `version` up to what its history holds, and give what it holds now.

        Sorted and written is what history got since the last time. Where the rest of history is not what the mirror
        holds, row by row, because some was taken out, changed, or committed late, all is written anew. Readers at work
        keep what they have; new ones see all of the update or nothing. One update of a view waits for another.
        """
        started = time.monotonic()
        store = self._store(version)
        with one_instant(conn):
            conn.execute("SET LOCAL work_mem = '128MB'")
            conn.execute(f"LOCK TABLE {version.history.as_string(conn)} IN SHARE UPDATE EXCLUSIVE MODE")
            known = store.manifest()
            layers = list(known.layers) if known else []
            if not all(layer.through_ingested for layer in layers):
                known, layers = None, []
            news, mirrored, digest = self._counts(conn, version, layers[-1] if layers else None)
            if (mirrored, digest) != (sum(layer.rows for layer in layers), sum(layer.digest for layer in layers)):
                known, layers, news = None, [], news + mirrored
            if not news and known is not None:
                return known
            kept = _kept(layers, news)
            layer = write_layer(conn, store, version, below=kept[-1] if kept else None) if news else None
            manifest = Manifest(version, (*kept, layer) if layer else tuple(kept))
            store.publish(manifest)
        logger.info(
            "mirror_features view=%s version=%d rows=%d new_rows=%d written_rows=%d layers=%d seconds=%.2f",
            version.view.name, version.version, manifest.rows, news, layer.rows if layer else 0, len(manifest.layers),
            time.monotonic() - started,
        )  # fmt: skip
        return manifest

    def get_historical_features(
        self, entity_df: EntityRows, features: Wanted, *, conn: Connection | None = None, **how: Any
    ) -> HistoricalFeatures:
        """As `get_historical_features` of the database, from these files: of what was mirrored last.

        :param conn: only for entity rows in the database.
        """
        return get_historical_features(conn, entity_df, features, mirror=self, **how)

    @property
    def versions(self) -> VersionSource:
        """The versions that are mirrored here."""
        return _MirroredVersions(self)

    def pick(
        self, selections: Sequence[Selection], spine: Spine, *, mode: Mode, known_at: datetime | None
    ) -> list[Picks]:
        """The picked rows of views of one entity, per selection."""
        return [self._picked(MirrorJoin(self._store(each.version), each, spine, mode, known_at)) for each in selections]

    def _picked(self, join: MirrorJoin) -> Picks:
        for attempt in range(_ATTEMPTS):
            manifest = join.store.manifest()
            if manifest is None:
                break
            try:
                return join.pick(manifest.layers)
            except FileNotFoundError:  # two updates went by while this was reading; there is a newer manifest
                if attempt == _ATTEMPTS - 1:
                    raise
        raise UnknownVersion(f"{join.selection.version} is not mirrored in {self.folder}. Update its mirror.")

    def _store(self, version: ViewVersion) -> MirrorStore:
        return MirrorStore(UPath(self.folder) / f"{version.view.name}_v{version.version}")

    def _counts(self, conn: Connection, version: ViewVersion, newest: Layer | None) -> tuple[int, int, int]:
        """How many rows were written since the newest layer, how many are those of all layers, and their digest."""
        row = conn.execute(
            sql.SQL(
                """
                SELECT
                    count(*) FILTER (WHERE NOT {is_in}), count(*) FILTER (WHERE {is_in}),
                    coalesce(sum({digest}) FILTER (WHERE {is_in}), 0)
                FROM {history} AS history
                """
            ).format(is_in=is_in(newest), digest=row_hash("history"), history=version.history)
        ).fetchone()
        assert row is not None
        return row[0], row[1], int(row[2])


@dataclass(frozen=True, slots=True)
class _MirroredVersions:
    mirror: Mirror

    def current(self, view: FeatureView) -> ViewVersion:
        for manifest in self._all(view.name):
            if manifest.version.view.digest == view.digest:
                return ViewVersion(view, manifest.version.version)
        raise UnknownVersion(
            f"The feature view {view} as it is defined now is not mirrored in {self.mirror.folder}. Update its mirror."
        )

    def stored(self, name: str, version: int) -> ViewVersion:
        for manifest in self._all(name):
            if manifest.version.version == version:
                return manifest.version
        raise UnknownVersion(f"{name}@{version} is not mirrored in {self.mirror.folder}. Update its mirror.")

    def _all(self, name: str) -> list[Manifest]:
        folders = sorted(UPath(self.mirror.folder).glob(f"{name}_v*"))
        manifests = [MirrorStore(folder).manifest() for folder in folders]
        return [manifest for manifest in manifests if manifest is not None and manifest.version.view.name == name]


def _kept(layers: list[Layer], news: int) -> list[Layer]:
    """The layers that stay beside one of the news."""
    kept, size = list(layers), news
    while kept and kept[-1].rows < _GROWTH * size:
        size += kept.pop().rows
    return kept
