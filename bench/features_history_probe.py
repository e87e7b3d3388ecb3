"""One way of joining features in a process of its own; prints seconds per round and peak memory as JSON.

`python -m bench.features_history_probe '{"way": "postgres", ...}'`
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import msgspec
import pandas as pd
import psutil
from psycopg import Connection

from bench.features_history_data import VIEW, VIEW_FOR_EVER
from include.features.definitions.versions import ViewVersion
from include.features.history.historical import Mode, get_historical_features
from include.features.history.mirror import Mirror
from include.warehouse.connection import connect_warehouse

_TABLE = "ml.joined_by_the_bench"


class Join(msgspec.Struct, kw_only=True):
    """How to join.

    `two_connections`: each takes half of the keys. `from_mirror`: from files, without the database. `to_table`: the
    result stays in the database.
    """

    with_ttl: bool = True
    mode: Mode = "as_known"
    two_connections: bool = False
    from_mirror: bool = False
    to_table: bool = False


class Asked(msgspec.Struct, kw_only=True):
    """Joins that are made in turns, and where the result of the first is kept."""

    dsn: str
    mirror: str
    entity_df: str
    rounds: int
    joins: list[Join]
    result: str = ""


class BackendMemory:
    """The most memory that the server's backends held at once beside the shared buffers, in megabytes."""

    def __init__(self, conn: Connection) -> None:
        postmaster = psutil.Process(conn.info.backend_pid).parent()
        assert postmaster is not None
        self._postmaster = postmaster
        self._own = conn.info.dbname
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.megabytes = 0.0

    def __enter__(self) -> BackendMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ends.wait(0.02):
            held = 0
            for process in self._postmaster.children():
                try:
                    if f" {self._own} " in " ".join(process.cmdline()):
                        memory = process.memory_info()
                        held += memory.rss - memory.shared
                except psutil.NoSuchProcess:
                    continue
            self.megabytes = max(self.megabytes, held / 2**20)


def main() -> None:
    asked = msgspec.json.decode(sys.argv[1], type=Asked)
    entity_df = pd.read_parquet(asked.entity_df)
    seconds: list[list[float]] = [[] for _ in asked.joins]
    with connect_warehouse(asked.dsn) as conn, BackendMemory(conn) as backends:
        for _ in range(asked.rounds):
            for join, own in zip(asked.joins, seconds, strict=True):
                started = time.perf_counter()
                frame = _joined(conn, entity_df, asked, join)
                own.append(time.perf_counter() - started)
                if asked.result and join is asked.joins[0]:
                    frame.to_parquet(asked.result)
                del frame
    # Not ru_maxrss: it also counts what the parent held when this process was started.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    answer = {"seconds": seconds, "client": int(peak.split()[1]) / 1024, "backends": backends.megabytes}
    print(msgspec.json.encode(answer).decode())


def _joined(conn: Connection, entity_df: pd.DataFrame, asked: Asked, join: Join) -> pd.DataFrame:
    view = ViewVersion(VIEW if join.with_ttl else VIEW_FOR_EVER, 1)
    if join.from_mirror:
        return Mirror(asked.mirror).get_historical_features(entity_df, [view], mode=join.mode).to_df()
    second = asked.dsn if join.two_connections else None
    result = get_historical_features(conn, entity_df, [view], mode=join.mode, dsn=second)
    if not join.to_table:
        return result.to_df()
    result.to_table(_TABLE)
    conn.execute(f"DROP TABLE {_TABLE}")
    conn.commit()
    return entity_df


if __name__ == "__main__":
    main()
