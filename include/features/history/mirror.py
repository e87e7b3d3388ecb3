"""Mirrors of histories: sorted Parquet files per version of a view, from which training sets are joined without the
database.

A mirror is a few layers, as in a log-structured merge tree: each holds what was written to history in a stretch of
`seq`, sorted by key and time. An update adds one layer of the news; layers that are less than four times the news are
taken into it, so that there are few of them and the large one, at the bottom, is seldom written anew.
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
from include.features.history.mirror_write import write_layer
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

        Read is what was written since the last time. Where history has fewer rows than the mirror, because some were
        taken out, all is written anew. Readers at work keep what they have; new ones see all of the update or nothing.
        One update of a view waits for another.
        """
        started = time.monotonic()
        store = self._store(version)
        with one_instant(conn):
            conn.execute("SET LOCAL work_mem = '128MB'")
            conn.execute(f"LOCK TABLE {version.history.as_string(conn)} IN SHARE UPDATE EXCLUSIVE MODE")
            known = store.manifest()
            layers = list(known.layers) if known else []
            through = layers[-1].through_seq if layers else 0
            news, mirrored = self._counts(conn, version, through)
            if mirrored != sum(layer.rows for layer in layers):
                known, layers, news = None, [], news + mirrored
            if not news and known is not None:
                return known
            kept, after_seq = _kept(layers, news)
            layer = write_layer(conn, store, version, after_seq=after_seq) if news else None
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

    def _counts(self, conn: Connection, version: ViewVersion, through: int) -> tuple[int, int]:
        """How many rows were written after a seq, and how many up to it."""
        row = conn.execute(
            sql.SQL("SELECT count(*) FILTER (WHERE seq > {0}), count(*) FILTER (WHERE seq <= {0}) FROM {1}").format(
                sql.Literal(through), version.history
            )
        ).fetchone()
        assert row is not None
        return row


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


def _kept(layers: list[Layer], news: int) -> tuple[list[Layer], int]:
    """The layers that stay beside one of the news, and the seq after which that begins."""
    kept, size = list(layers), news
    while kept and kept[-1].rows < _GROWTH * size:
        size += kept.pop().rows
    return kept, kept[-1].through_seq if kept else 0
