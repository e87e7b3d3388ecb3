"""Asks DuckDB the questions of the marts; runs in the peer's environment. `echo '{"wanted": …}' | python marts_peer.py`

Prints one line of JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import duckdb


def main() -> None:
    asked = json.load(sys.stdin)
    print(json.dumps({"store": store, "ask": ask}[asked["wanted"]](asked)))


def store(asked: dict) -> dict:
    """Make of each table's `<folder>/<table>.csv` a Parquet file; `tables`: by name, types by column."""
    connection = _database()
    for table, types in asked["tables"].items():
        file = Path(asked["folder"], table)
        columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{file}.csv', header = false, nullstr = '\\N', columns = {{{columns}}}))"
            f" TO '{file}.parquet'"
        )
        Path(f"{file}.csv").unlink()
    return {"version": duckdb.__version__, "bytes": sum(file.stat().st_size for file in _files(asked["folder"]))}


def ask(asked: dict) -> dict:
    """Run the script `script` in `rounds` empty databases; in it stand the Parquet files as tables by their names.

    `variables` are what it may ask for with getvariable(). The tables in `results` are kept as Parquet in `folder`.
    """
    seconds = []
    for _ in range(asked["rounds"]):
        with _database() as connection:
            for file in _files(asked["folder"]):
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {file.stem.partition('.')[0]}")
                connection.execute(f"CREATE VIEW {file.stem} AS FROM read_parquet('{file}')")
            for name, value in asked["variables"].items():
                connection.execute(f"SET VARIABLE {name} = TIMESTAMPTZ '{value}'")
            started = time.perf_counter()
            connection.execute(asked["script"])
            seconds.append(time.perf_counter() - started)
            for table in asked["results"]:
                connection.execute(f"COPY {table} TO '{Path(asked['folder'], f'of.{table}')}' (FORMAT parquet)")
    return {"seconds": statistics.median(seconds)}


def _database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("LOAD icu; SET TimeZone = 'UTC'")
    return connection


def _files(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("*.parquet"))


if __name__ == "__main__":
    main()
