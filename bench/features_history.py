"""The point-in-time join, pandas to pandas, beside Feast and beside DuckDB's own join.

Rows of two years at random instants ask for the newest of weekly snapshots, not older than 90 days. The size is
FEATURES_HISTORY_ROWS entity rows (1000000 is the full size) and five times as many feature rows. All read the same
rows. There are no corrections and no equal times in them, and Feast is given the bare table without
`created_timestamp_column`, all of which is in its favour. Ours are timed before and after the peers; Feast on Postgres,
which takes minutes, once.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from bench.feast_peer.environment import ask_feast, feast_python
from bench.feast_peer.repositories import duckdb_repository, postgres_repository
from bench.features_history_data import TTL, VIEW, HistoryFiles, make_history
from bench.own_environment import EnvironmentUnavailable
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.warehouse.connection import connect_warehouse

ENTITY_ROWS = int(os.environ.get("FEATURES_HISTORY_ROWS", "200000"))
FULL_ENTITY_ROWS = 1_000_000
FEATURE_ROWS = ENTITY_ROWS * 5
ROUNDS = 5
SIZE = f"{ENTITY_ROWS:,} entity rows x {FEATURE_ROWS:,} feature rows"
FEATURES = [f"{VIEW}:{name}" for name in VIEW.feature_names]


def run() -> list[Result]:
    print(f"bench: features_history at {SIZE} (full size: FEATURES_HISTORY_ROWS={FULL_ENTITY_ROWS})", flush=True)
    with tempfile.TemporaryDirectory() as name, fresh_warehouse() as dsn:
        folder = Path(name)
        with connect_warehouse(dsn) as conn:
            files = make_history(conn, folder, entity_rows=ENTITY_ROWS, feature_rows=FEATURE_ROWS)
        mirror = _probe(dsn, files, {"from_mirror": True}, result=str(folder / "theirs.parquet"))
        postgres = _probe(dsn, files, {"two_connections": True}, result=str(folder / "ours.parquet"))
        _compare(folder)
        peers = _ask_peers(dsn, folder, files)
        mirror["seconds"][0] += _probe(dsn, files, {"from_mirror": True})["seconds"][0]
        postgres["seconds"][0] += _probe(dsn, files, {"two_connections": True})["seconds"][0]
        return [
            *_against_peers(peers, postgres, mirror),
            *_variants("postgres", dsn, files, {}),
            *_variants("mirror", dsn, files, {"from_mirror": True}),
            _memory("postgres", postgres),
            _memory("mirror", mirror),
            _memory("left_in_the_database", _probe(dsn, files, {"to_table": True})),
        ]


def _variants(name: str, dsn: str, files: HistoryFiles, join: dict[str, Any]) -> list[Result]:
    variants = _probe(dsn, files, join, join | {"with_ttl": False}, join | {"mode": "as_corrected"})
    return [_ratio(f"{name}_without_ttl", variants, 1), _ratio(f"{name}_as_corrected", variants, 2)]


def _ask_peers(dsn: str, folder: Path, files: HistoryFiles) -> dict[str, dict[str, Any]]:
    """What the peers took, by name; nothing if they cannot be had."""
    try:
        feast_python()
    except EnvironmentUnavailable as error:
        print(f"bench: features_history runs without its peers: {error}", flush=True)
        return {}
    theirs = {"entity_df": str(files.entity_df), "result": str(folder / "theirs.parquet")}

    def feast(repository: Path, rounds: int) -> dict[str, Any]:
        answer = ask_feast(
            dsn, repository=str(repository), apply=True, wanted="history", features=FEATURES, rounds=rounds, **theirs
        )
        _compare(folder)
        return answer

    asof = ask_feast(
        dsn, wanted="asof", history=str(files.history), rounds=ROUNDS, ttl_seconds=TTL.total_seconds(),
        features=list(VIEW.feature_names), **theirs,
    )  # fmt: skip
    _compare(folder)
    return {
        "asof": asof,
        "feast_on_postgres": feast(postgres_repository(folder / "feast_postgres", dsn, files.version), 1),
        "feast_on_duckdb": feast(duckdb_repository(folder / "feast_duckdb", files.history, files.version), ROUNDS),
    }


def _against_peers(peers: dict[str, dict[str, Any]], postgres: dict[str, Any], mirror: dict[str, Any]) -> list[Result]:
    if not peers:
        return []
    return [
        _times("postgres_times_feast_on_postgres", postgres, peers["feast_on_postgres"], goal="≥ 20"),
        _times("postgres_times_feast_on_duckdb", postgres, peers["feast_on_duckdb"], goal="≥ 2"),
        _times("postgres_times_duckdb_asof_join", postgres, peers["asof"], goal=None),
        _times("mirror_times_feast_on_duckdb", mirror, peers["feast_on_duckdb"], goal="≥ 15"),
        _times("mirror_times_duckdb_asof_join", mirror, peers["asof"], goal="≥ 1.5"),
    ]


def _probe(dsn: str, files: HistoryFiles, *joins: dict[str, Any], result: str = "") -> dict[str, Any]:
    """Joins in a process of their own, in turns; the first one's result is kept."""
    asked = {
        "dsn": dsn, "entity_df": str(files.entity_df), "mirror": str(files.mirror), "rounds": ROUNDS,
        "joins": joins, "result": result,
    }  # fmt: skip
    command = [sys.executable, "-m", "bench.features_history_probe", msgspec.json.encode(asked).decode()]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return msgspec.json.decode(answer.splitlines()[-1])


def _compare(folder: Path) -> None:
    """Both must have found the same, or neither time means anything."""
    ours, theirs = (pd.read_parquet(folder / f"{whose}.parquet") for whose in ("ours", "theirs"))
    by = ["customer_id", "event_timestamp"]
    ours, theirs = (
        frame.drop_duplicates(by).sort_values(by, ignore_index=True)[[*by, *VIEW.feature_names]]
        for frame in (ours, theirs)
    )
    for name in VIEW.feature_names:
        pd.testing.assert_series_equal(ours[name].astype("float64"), theirs[name].astype("float64"), check_exact=True)


def _median(answer: dict[str, Any], join: int = 0) -> float:
    """Of ours the seconds are per join and round, of a peer per round."""
    seconds = answer["seconds"]
    return statistics.median(seconds[join] if isinstance(seconds[0], list) else seconds)


def _times(name: str, ours: dict[str, Any], peer: dict[str, Any], *, goal: str | None) -> Result:
    return Result(
        name=f"features.history_{name}",
        value=_median(peer) / _median(ours),
        unit="times",
        against=name.rpartition("_times_")[2].replace("_", " "),
        goal=goal,
        detail=f"{_median(ours):.2f} s against {_median(peer):.2f} s, pandas to pandas; {SIZE}; peak memory of the "
        f"client {ours['client']:,.0f} MB against {peer['megabytes']:,.0f} MB",
    )


def _ratio(name: str, variants: dict[str, Any], join: int) -> Result:
    ours, plain = _median(variants, join), _median(variants)
    return Result(
        name=f"features.history_{name}",
        value=ours / plain,
        unit="times",
        against="the same join with TTL, as known, in turns",
        goal="≤ 1.1",
        detail=f"{ours:.2f} s against {plain:.2f} s; {SIZE}",
    )


def _memory(name: str, answer: dict[str, Any]) -> Result:
    return Result(
        name=f"features.history_memory_{name}",
        value=answer["client"] + answer["backends"],
        unit="MB",
        against="1 GB",
        goal="≤ 1024",
        detail=f"client {answer['client']:,.0f} MB, the server's backends {answer['backends']:,.0f} MB beside the "
        f"shared buffers; {SIZE}",
    )
