"""Rows kept on disk while the lines that belong to them are looked for, so that files may be larger than memory."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from include.sources.files.pages import Part

_PART = msgspec.json.Decoder(Part)


class Spool:
    """A temporary file of rows and of lines by the key that joins them. Use as a context manager, in one thread."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="regulars-files-")
        self._base = sqlite3.connect(Path(self._folder.name) / "spool.sqlite", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE parents (part BLOB, content BLOB)",
            "CREATE TABLE lines (key INTEGER, file INTEGER, number INTEGER, raw BLOB)",
            "CREATE TEMP TABLE wanted (key INTEGER PRIMARY KEY)",
            "BEGIN",
        ):
            self._base.execute(statement)
        self._hashes = array("q")
        self._known: NDArray[np.int64] | None = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        self._folder.cleanup()

    def add_parents(self, part: Part, content: bytes, keys: Iterable[tuple[Any, ...]]) -> None:
        """Keep some rows, whose lines will be asked for."""
        self._base.execute("INSERT INTO parents VALUES (?, ?)", (msgspec.json.encode(part), content))
        self._hashes.extend(map(_hash, keys))

    def add_lines(self, file: int, lines: Sequence[tuple[tuple[Any, ...], int, bytes]]) -> None:
        """Keep those of some lines of a file that one of the rows added before may want.

        :param lines: key, number and raw bytes of each.
        """
        if self._known is None:
            self._known = np.unique(np.array(self._hashes, dtype=np.int64))
        hashes = np.array([_hash(key) for key, _, _ in lines], dtype=np.int64)
        left, right = (np.searchsorted(self._known, hashes, side=side) for side in ("left", "right"))
        wanted = np.flatnonzero(left < right).tolist()
        self._base.executemany(
            "INSERT INTO lines VALUES (?, ?, ?, ?)",
            ((int(hashes[place]), file, lines[place][1], lines[place][2]) for place in wanted),
        )

    def parents(self) -> Iterator[tuple[Part, bytes]]:
        """The rows, as they were added."""
        self._base.execute("CREATE INDEX lines_by_key ON lines (key)")
        for part, content in self._base.execute("SELECT part, content FROM parents ORDER BY rowid"):
            yield _PART.decode(part), content

    def lines(self, keys: Iterable[tuple[Any, ...]]) -> list[tuple[int, int, bytes]]:
        """File, number and raw bytes of the lines of these keys (and perhaps a few others), in order."""
        self._base.execute("DELETE FROM wanted")
        self._base.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((_hash(key),) for key in keys))
        found = self._base.execute("SELECT file, number, raw FROM lines JOIN wanted USING (key) ORDER BY file, number")
        return found.fetchall()


def _hash(key: tuple[Any, ...]) -> int:
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
