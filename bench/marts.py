"""All marts beside DuckDB, and what keeping them up costs on a day.

The shop has ANALYTICS_LINES order lines (10000000 is the full size; the size is in each line). Ours are made for the
first time, by the refresh that the DAG runs, those first that others are made of. DuckDB has the same rows in Parquet
and two threads; `bench/duckdb_marts` asks it the same questions in its own words, and each answer is compared with
ours. A mart's seconds are its own and those of the marts that it is made of, as DuckDB's are all of its script's; the
lines about all together count every mart once. The catalogue is about this warehouse and has no peer.

What bounds them is asked too: the same plain SELECT of both, as little as any mart must do over these tables.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import Connection, sql

from bench.feast_peer.environment import feast_python
from bench.marts_shop import FACTS, UNTIL, fill_shop, load_next_day
from bench.own_environment import EnvironmentUnavailable
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.analytics.refresh import SETTINGS, refresh
from include.analytics.registry import MARTS
from include.entities.window import Window
from include.warehouse.connection import connect_warehouse

LINES = int(os.environ.get("ANALYTICS_LINES", "400000"))
"""How many order lines the shop has."""
SIZE = f"{LINES:,} order lines"
ROUNDS = 3
"""Of DuckDB, whose median counts."""
QUESTIONS = {
    "revenue_daily": ("revenue_daily",),
    "cohort_retention": ("cohort_retention",),
    "funnel_daily": ("funnel_daily",),
    "rfm_segments": ("rfm_customers", "rfm_movements", "rfm_segments"),
    "market_basket": ("market_basket",),
    "order_value_statistics": ("order_value_statistics",),
    "correlations": ("correlations",),
    "product_performance": ("product_performance",),
    "customer_lifetime": ("customer_lifetime", "repeat_rates"),
}
"""What is asked of both: the marts of the registry that are the answer."""
FLOORS = {
    "lines_by_product": """
        SELECT product_id, sum(quantity) AS unit_count, sum(total_amount) AS total_amount
        FROM shop.order_lines GROUP BY product_id
    """,
    "lines_of_paid_orders": """
        SELECT orders.currency, count(*) AS line_count, sum(order_lines.total_amount) AS total_amount
        FROM shop.orders INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
        WHERE orders.paid_at IS NOT NULL GROUP BY orders.currency
    """,
}
"""As little as a mart must do over these tables: read and add up, or join and add up. The same text for both."""
NOT_ASKED = {
    "correlations": {"pearson_p_value", "pearson_q_value", "spearman_p_value", "spearman_q_value"},
    "customer_lifetime": {
        "expected_value_amount", "expected_value_low_amount", "expected_value_high_amount",
        "expected_purchase_day_count", "alive_probability", "expected_at",
    },
    "repeat_rates": {"expected_count"},
}  # fmt: skip
"""Columns that DuckDB is not asked for: what a model says, and what it has no function for."""
TOLERANCE = 1e-6
"""Relative, of sums that DuckDB adds up in double precision or rounds elsewhere."""
_SCRIPTS = Path(__file__).with_name("duckdb_marts")
_DUCKDB_TYPES = {"jsonb": "JSON", "double precision": "DOUBLE", "timestamp with time zone": "TIMESTAMPTZ"}


@dataclass
class Seconds:
    """Of each mart of the registry, and of the peer for each question; `differences` are words."""

    first: dict[str, float]
    peer_name: str = "DuckDB"
    day: dict[str, float] = field(default_factory=dict)
    peer: dict[str, float] = field(default_factory=dict)
    floors: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Ours and the peer's."""
    differences: list[str] = field(default_factory=list)


def run() -> list[Result]:
    print(f"bench: marts over {SIZE} (full size: ANALYTICS_LINES=10000000)", flush=True)
    with tempfile.TemporaryDirectory() as name, fresh_warehouse() as dsn, connect_warehouse(dsn) as conn:
        fill_shop(conn, lines=LINES)
        seconds = Seconds(first=_refresh_all(conn, UNTIL))
        _ask_peer(conn, Path(name), seconds)
        until = load_next_day(conn, lines=LINES)
        seconds.day = _refresh_all(conn, until)
    print(*_table(seconds), *seconds.differences, sep="\n")
    return [*_against_peer(seconds), *_alone(seconds), _one_day(seconds)]


def _refresh_all(conn: Connection, until: datetime) -> dict[str, float]:
    """Seconds of each mart, its commit included."""
    seconds = {}
    for name, mart in MARTS.items():
        started = time.perf_counter()
        refresh(conn, mart, window=Window(until - timedelta(days=1), until), until=until, now=until)
        conn.commit()
        seconds[name] = time.perf_counter() - started
    return seconds


def _ask_peer(conn: Connection, folder: Path, seconds: Seconds) -> None:
    try:
        feast_python()
    except EnvironmentUnavailable as error:
        print(f"bench: marts run without their peer: {error}", flush=True)
        return
    tables = {table: _export(conn, table, folder) for table in FACTS}
    stored = _peer(wanted="store", folder=str(folder), tables=tables)
    seconds.peer_name = f"DuckDB {stored['version']} on 2 threads, {stored['bytes'] / 1e6:,.0f} MB of Parquet"
    for question, answers in QUESTIONS.items():
        script = (_SCRIPTS / f"{question}.sql").read_text()
        answer = _peer(
            wanted="ask", folder=str(folder), script=script, results=answers, rounds=ROUNDS,
            variables={"data_until": UNTIL.isoformat()},
        )  # fmt: skip
        seconds.peer[question] = answer["seconds"]
        for mart in answers:
            seconds.differences += _differences(conn, mart, folder / f"of.{mart}")
    for name, select in FLOORS.items():
        answer = _peer(
            wanted="ask", folder=str(folder), script=f"CREATE TABLE {name} AS {select}", results=(), rounds=ROUNDS,
            variables={},
        )  # fmt: skip
        seconds.floors[name] = (_seconds_of(conn, select), answer["seconds"])


def _seconds_of(conn: Connection, select: str) -> float:
    """Median of as many rounds as the peer's, with the settings of a refresh, into a table as a mart is made."""
    rounds = []
    for _ in range(ROUNDS):
        conn.execute(SETTINGS)
        started = time.perf_counter()
        conn.execute(f"CREATE TEMP TABLE answer ON COMMIT DROP AS {select}")
        rounds.append(time.perf_counter() - started)
        conn.rollback()
    return statistics.median(rounds)


def _peer(**asked: object) -> Any:
    command = [str(feast_python()), str(Path(__file__).with_name("marts_peer.py"))]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"DuckDB failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _export(conn: Connection, table: str, folder: Path) -> dict[str, str]:
    """All columns but those of provenance as CSV, in the order of the table; returns their types in DuckDB."""
    columns = conn.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE
            attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
            AND attname <> ALL ('{source,source_updated_at,content_digest,first_seen_at,ingested_at}')
        ORDER BY attnum
        """,
        (table,),
    ).fetchall()
    statement = sql.SQL(r"COPY {} ({}) TO STDOUT (FORMAT csv, NULL '\N')").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns)
    )
    with (folder / f"{table}.csv").open("wb") as file, conn.cursor().copy(statement) as copy:
        for block in copy:
            file.write(block)
    return {name: _DUCKDB_TYPES.get(kind, kind) for name, kind in columns}


def _differences(conn: Connection, mart: str, file: Path) -> list[str]:
    """Where DuckDB's answer is not ours: rows, or a column's values that are known, or the sum of its numbers."""
    theirs = pq.read_table(file)
    columns = dict(
        conn.execute(
            """
            SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
            """,
            (f"analytics.{mart}",),
        ).fetchall()
    )
    if odd := set(columns) - NOT_ASKED.get(mart, set()) ^ set(theirs.column_names):
        return [f"bench: {mart}: DuckDB is asked for other columns than the mart has: {', '.join(sorted(odd))}"]
    found = []
    for name in theirs.column_names:
        is_number = columns[name] in {"smallint", "integer", "bigint", "numeric", "double precision"}
        measured = "count({0}), sum({0})::double precision" if is_number else "count({0})"
        ours = conn.execute(
            sql.SQL("SELECT count(*), " + measured + " FROM {1}").format(
                sql.Identifier(name), sql.Identifier("analytics", mart)
            )
        ).fetchone()
        column = theirs[name]
        answer = [len(column), len(column) - column.null_count]
        if is_number:
            answer.append(pc.sum(pc.cast(column, "float64")).as_py())
        assert ours is not None
        if not all(_is_same(*pair) for pair in zip(ours, answer, strict=True)):
            found.append(f"bench: {mart}.{name} differs: ours {ours}, DuckDB {tuple(answer)} (rows, known, sum)")
    return found


def _is_same(ours: float | None, theirs: float | None) -> bool:
    if ours is None or theirs is None:
        return ours == theirs
    return abs(ours - theirs) <= TOLERANCE * max(abs(ours), abs(theirs), 1e-3)


def _made_of(names: tuple[str, ...]) -> list[str]:
    """Those marts and all that they are made of, each once."""
    found = dict.fromkeys(names)
    for name in found.copy():
        found |= dict.fromkeys(_made_of(MARTS[name].upstream))
    return list(found)


def _against_peer(seconds: Seconds) -> list[Result]:
    if not seconds.peer:
        return []
    results = [
        _times(seconds, question, _made_of(QUESTIONS[question]), peer, goal="≤ 3")
        for question, peer in seconds.peer.items()
    ]
    asked = _made_of(tuple(name for question in seconds.peer for name in QUESTIONS[question]))
    return [
        *results,
        *(
            Result(
                name=f"analytics.floor_{name}_times_duckdb",
                value=ours / peer,
                unit="times",
                against=seconds.peer_name,
                detail=f"{ours:.2f} s against {peer:.2f} s; {SIZE}; the same plain SELECT",
            )
            for name, (ours, peer) in seconds.floors.items()
        ),
        _times(seconds, "together", asked, sum(seconds.peer.values()), goal=None),
        Result(
            name="analytics.answers_that_differ",
            value=len(seconds.differences),
            unit="columns",
            against="DuckDB's answers: rows, known values and sums of each column",
            goal="≤ 0",
            detail="; ".join(seconds.differences) or f"all columns of {len(seconds.peer)} marts are the same; {SIZE}",
        ),
    ]


def _times(seconds: Seconds, name: str, marts: list[str], peer: float, *, goal: str | None) -> Result:
    total = sum(seconds.first[mart] for mart in marts)
    parts = " + ".join(f"{mart} {seconds.first[mart]:.2f}" for mart in marts)
    return Result(
        name=f"analytics.{name}_times_duckdb",
        value=total / peer,
        unit="times",
        against=seconds.peer_name,
        goal=goal,
        detail=f"{total:.2f} s against {peer:.2f} s; {SIZE}; first build of {parts}",
    )


def _alone(seconds: Seconds) -> list[Result]:
    asked = _made_of(tuple(name for question in QUESTIONS.values() for name in question))
    return [
        Result(
            name=f"analytics.{name}_seconds",
            value=value,
            unit="s",
            against="nothing",
            detail=f"first build; {SIZE}",
        )
        for name, value in seconds.first.items()
        if name not in asked
    ]


def _one_day(seconds: Seconds) -> Result:
    day, first = sum(seconds.day.values()), sum(seconds.first.values())
    dear = sorted(seconds.day, key=seconds.day.__getitem__, reverse=True)[:4]
    return Result(
        name="analytics.refresh_of_one_day",
        value=100 * day / first,
        unit="%",
        against="the first build of all marts",
        goal="≤ 3",
        detail=f"{day:.2f} s against {first:.2f} s; {SIZE}; most: "
        + ", ".join(f"{name} {seconds.day[name]:.2f}" for name in dear),
    )


def _table(seconds: Seconds) -> list[str]:
    """Each mart of the registry: the first build and the day's refresh."""
    lines = [f"{'seconds':28}{'first build':>14}{'one day':>10}"]
    lines += [f"{name:28}{first:14.2f}{seconds.day[name]:10.3f}" for name, first in seconds.first.items()]
    return lines
