"""Asks Feast for features; runs in Feast's environment. `echo '{"repository": ..., "wanted": ...}' | python ask.py`

Prints one line of JSON: the seconds of each round and the most memory that this process ever held, in megabytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

os.environ["FEAST_USAGE"] = "False"
os.environ["FEAST_TELEMETRY"] = "False"

import duckdb
import pandas as pd
from feast import FeatureStore


def main() -> None:
    asked = json.load(sys.stdin)
    if asked.get("apply"):
        command = [str(Path(sys.executable).with_name("feast")), "--chdir", asked["repository"], "apply"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if asked["wanted"] == "asof":
        answer = asof(asked)
    else:
        store = FeatureStore(repo_path=asked["repository"])
        answer = {"history": history, "materialize": materialize, "online": online}[asked["wanted"]](store, asked)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps(answer | {"megabytes": int(peak.split()[1]) / 1024}))


def history(store: FeatureStore, asked: dict) -> dict:
    """`entity_df`: a Parquet file; `result`: where to write the answer, if anywhere."""
    entity_df = pd.read_parquet(asked["entity_df"])
    seconds = []
    for _ in range(asked.get("rounds", 1)):
        started = time.perf_counter()
        job = store.get_historical_features(
            entity_df, asked["features"], filter_by_created_timestamp=asked.get("as_known", False)
        )
        frame = job.to_df()
        seconds.append(time.perf_counter() - started)
    if "result" in asked:
        frame.to_parquet(asked["result"])
    return {"seconds": seconds, "rows": len(frame)}


def asof(asked: dict) -> dict:
    """DuckDB's own join of `history`, a sorted Parquet file, without Feast."""
    duckdb.register("entity_df", pd.read_parquet(asked["entity_df"]))
    features = ", ".join(
        f"CASE WHEN epoch_us(event_timestamp) - epoch_us(event_time) <= {asked['ttl_seconds'] * 1e6:.0f}"
        f" THEN {name} END AS {name}"
        for name in asked["features"]
    )
    seconds = []
    for _ in range(asked["rounds"]):
        started = time.perf_counter()
        frame = duckdb.sql(
            f"""
            SELECT entity_df.*, {features} FROM entity_df
            ASOF LEFT JOIN read_parquet('{asked["history"]}') AS history
            ON entity_df.customer_id = history.customer_id AND entity_df.event_timestamp >= history.event_time
            """
        ).df()
        seconds.append(time.perf_counter() - started)
    frame.to_parquet(asked["result"])
    return {"seconds": seconds, "rows": len(frame)}


def materialize(store: FeatureStore, asked: dict) -> dict:
    """All of `views` from `start` to `end`."""
    start, end = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))
    started = time.perf_counter()
    store.materialize(start, end, feature_views=asked["views"])
    return {"seconds": [time.perf_counter() - started]}


def online(store: FeatureStore, asked: dict) -> dict:
    """`rounds` questions for the rows in `entity_rows`, each a list of entity rows, one after the other."""
    features, questions = asked["features"], asked["entity_rows"]
    for question in questions[:5]:
        answer = store.get_online_features(features, question).to_dict()
    seconds = []
    for number in range(asked.get("rounds", 1)):
        question = questions[number % len(questions)]
        started = time.perf_counter()
        answer = store.get_online_features(features, question).to_dict()
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "answer": answer if asked.get("show") else None}


if __name__ == "__main__":
    main()
