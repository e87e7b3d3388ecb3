"""The files of a mirrored view: sorted Parquet parts named by their content, and manifests that say which count.

A manifest appears whole and after its parts; the one with the greatest number counts. The one before it is kept with
its parts, for readers that are still at it; what no kept manifest names is removed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from upath import UPath

from include.features.definitions.as_json import view_as_json, view_from_json
from include.features.definitions.versions import ViewVersion

_WHOLE_AT_ONCE = ("s3", "s3a", "memory")
"""Stores in which a file appears when all of it has arrived."""
_LOCAL = ("", "file")
"""Where a file is read at the speed of memory: unpacking it would take longer than all the rest of a join."""
_KEPT_MANIFESTS = 2


@dataclass(frozen=True, slots=True)
class Block:
    """A row group. All rows of a key that a layer has are in one block.

    :param first: the least value of the first join key, and `last` the greatest.
    :param most_delay: the most microseconds from an event time to its available time.
    """

    rows: int
    first: int | str
    last: int | str
    most_delay: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file, sorted by join keys, event time, available time and seq."""

    file: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """What was written to history since the layer below.

    Rows of history with at most `through_seq` and at most `through_ingested` are those of this layer and of all below.
    Pushed rows bear the number of the last build, so that only the time tells them.

    :param through_ingested: the greatest `ingested_at`, in UTC; empty if the layer was written before this was noted.
    :param digest: the sum of the hashes of its rows: which rows they are, in whatever order they lie in history.
    """

    after_seq: int
    through_seq: int
    rows: int
    parts: tuple[Part, ...]
    through_ingested: str = ""
    digest: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a mirror of one version of a view holds, oldest layer first."""

    version: ViewVersion
    layers: tuple[Layer, ...]

    @property
    def rows(self) -> int:
        return sum(layer.rows for layer in self.layers)

    @property
    def files(self) -> set[str]:
        return {part.file for layer in self.layers for part in layer.parts}

    def as_json(self) -> dict[str, Any]:
        return {
            "view": view_as_json(self.version.view),
            "version": self.version.version,
            "layers": [asdict(layer) for layer in self.layers],
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Manifest:
        layers = [Layer(**layer | {"parts": tuple(_part(part) for part in layer["parts"])}) for layer in told["layers"]]
        return cls(ViewVersion(view_from_json(told["view"]), told["version"]), tuple(layers))


def _part(told: dict[str, Any]) -> Part:
    return Part(told["file"], tuple(Block(**block) for block in told["blocks"]))


@dataclass(frozen=True, slots=True)
class MirrorStore:
    """The folder of one version of a view."""

    folder: UPath

    def manifest(self) -> Manifest | None:
        """The one that counts now, if there is any."""
        for name in reversed(self._manifests()):
            try:
                return Manifest.from_json(json.loads(self._path(name).read_bytes()))
            except FileNotFoundError:  # removed since it was listed, so there is a newer one
                return self.manifest()
        return None

    def publish(self, manifest: Manifest) -> None:
        """Let `manifest` count from now on, and remove what no kept manifest names."""
        known = self._manifests()
        number = int(known[-1].split("-")[1].split(".")[0]) + 1 if known else 1
        content = json.dumps(manifest.as_json(), ensure_ascii=False, indent=1).encode()
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._put(Path(file.name), f"manifest-{number:08}.json")
        kept = self._manifests()[-_KEPT_MANIFESTS:]
        named = {file for name in kept for file in Manifest.from_json(json.loads(self._path(name).read_bytes())).files}
        for name in self._names():
            if name not in kept and name not in named:
                self.folder.fs.rm_file(self._path(name).path)

    def write_part(self, schema: pa.Schema, blocks: Iterable[tuple[pa.Table, Block]]) -> Part:
        """Write blocks into one file, one after the other."""
        written = []
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            with pyarrow.parquet.ParquetWriter(
                file.name,
                schema,
                compression="none" if self.folder.protocol in _LOCAL else "lz4",
                use_dictionary=[
                    name for name in schema.names if name in _REPEATED or schema.field(name).type == "string"
                ],
                store_decimal_as_integer=True,
            ) as writer:
                for table, block in blocks:
                    writer.write_table(table, row_group_size=max(1, len(table)))
                    written.append(block)
            with open(file.name, "rb") as content:
                name = f"{hashlib.file_digest(content, 'sha256').hexdigest()}.parquet"
            self._put(Path(file.name), name)
        return Part(name, tuple(written))

    @contextmanager
    def opened(self, part: Part) -> Iterator[pyarrow.parquet.ParquetFile]:
        """A part, to read from.

        :raises FileNotFoundError: it was removed, because it counts no more.
        """
        path = self._path(part.file)
        if path.protocol in _LOCAL:
            with pyarrow.parquet.ParquetFile(path.path, memory_map=True) as file:
                yield file
        else:
            with path.open("rb") as content, pyarrow.parquet.ParquetFile(content, pre_buffer=True) as file:
                yield file

    def _put(self, local: Path, name: str) -> None:
        """Let a file appear whole."""
        if self.folder.protocol in _WHOLE_AT_ONCE:
            self.folder.fs.put_file(str(local), self._path(name).path)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._path(f".partial-{secrets.token_hex(4)}-{name}")
        self.folder.fs.put_file(str(local), unfinished.path)
        self.folder.fs.mv(unfinished.path, self._path(name).path)

    def _names(self) -> list[str]:
        try:
            found = self.folder.fs.ls(self.folder.path, detail=False, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found)

    def _manifests(self) -> list[str]:
        return [name for name in self._names() if name.startswith("manifest-")]

    def _path(self, name: str) -> UPath:
        return self.folder / name


_REPEATED = ("event_time", "available_time", "ingested_at", "seq")
"""Columns with few values, which a dictionary makes small."""
