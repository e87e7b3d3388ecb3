"""Reading features online, beside Feast on the same Postgres and beside a bare SELECT; and publishing them.

FEATURES_ONLINE_CUSTOMERS customers (100000 is the full size) in a view of 20 features and four of 5. Ours and the bare
SELECT are asked in turns, each over connections of its own with prepared statements; Feast is asked after them, one
request after the other as well. All answers are turned into Python values.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from psycopg import Connection, sql

from bench.feast_peer.environment import ask_feast, feast_python
from bench.feast_peer.repositories import postgres_repository, redis_repository
from bench.features_online_data import DAY, NOW, VIEWS, WIDE, correct_some, fill_views
from bench.own_environment import EnvironmentUnavailable
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.features.definitions.versions import ViewVersion
from include.features.definitions.view import FeatureView
from include.features.online.postgres import SETTINGS
from include.features.online.publish import publish_online
from include.features.online.reads import OnlineFeatures
from include.warehouse.connection import connect_warehouse
from tests.integration.redis_process import redis_server

CUSTOMERS = int(os.environ.get("FEATURES_ONLINE_CUSTOMERS", "20000"))
FULL_CUSTOMERS = 100_000
ONE_IN = 100
"""Of so many customers one has changed in the second publication."""
QUESTIONS = 200
BLOCKS = 5
Question = list[dict[str, int]]


@dataclass(frozen=True, slots=True)
class Latency:
    """Of many requests, in milliseconds: the median of the percentiles of some blocks of them."""

    p50: float
    p99: float

    @classmethod
    def of(cls, blocks: list[list[float]]) -> Latency:
        """:param blocks: of seconds, one per request. Blocks of each way of reading are taken in turns."""
        p50, p99 = np.median([np.percentile(seconds, [50, 99]) for seconds in blocks], axis=0) * 1000
        return cls(float(p50), float(p99))

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms"


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of request.

    :param rounds: how often it is asked, in all blocks together.
    :param goal_feast: how many times Feast's p99 ours is at least.
    :param bare: which percentile is held against the bare SELECT, if any.
    """

    name: str
    customers: int
    views: list[FeatureView]
    rounds: int
    goal_feast: float
    bare: str | None


READINGS = [
    Reading("one_customer", 1, [WIDE], 3_000, 3, "p50"),
    Reading("100_customers", 100, [WIDE], 1_000, 5, "p99"),
    Reading("100_customers_five_views", 100, VIEWS, 500, 10, None),
]


def run() -> list[Result]:
    print(f"bench: features_online at {CUSTOMERS:,} customers (FEATURES_ONLINE_CUSTOMERS={FULL_CUSTOMERS} is all)")
    with tempfile.TemporaryDirectory() as name, fresh_warehouse() as dsn:
        with connect_warehouse(dsn) as conn:
            versions = fill_views(conn, customers=CUSTOMERS)
            full = _publish(conn, [WIDE])
            _publish(conn, VIEWS[1:])
            changed = correct_some(conn, versions[0], customers=CUSTOMERS, step=ONE_IN)
            again = _publish(conn, [WIDE])
            _settle(conn, versions)
        results = [
            Result(
                name="features.publish_changed_share_of_full",
                value=100 * again / full,
                unit="%",
                against="the publication of all of them",
                goal="≤ 5",
                detail=f"{again * 1000:.0f} ms for {changed:,} changed customers against {full * 1000:,.0f} ms for "
                f"{CUSTOMERS:,}; 20 features",
            )
        ]
        feast = _feast_in_postgres(dsn, Path(name), versions)
        if feast is not None:
            results.append(_publication(dsn, Path(name), versions[0], feast, ours=full))
        with connect_warehouse(dsn) as conn:
            conn.execute("CHECKPOINT")
        for reading in READINGS:
            results += _read(dsn, reading, versions[0], feast)
        return results


def _publish(conn: Connection, views: list[FeatureView]) -> float:
    conn.execute("CHECKPOINT")
    started = time.perf_counter()
    publish_online(conn, views, window=DAY, now=NOW)
    conn.commit()
    return time.perf_counter() - started


def _settle(conn: Connection, versions: list[ViewVersion]) -> None:
    conn.autocommit = True
    for version in versions:
        conn.execute(sql.SQL("VACUUM ANALYZE {}").format(version.online))
    conn.autocommit = False


def _feast_in_postgres(dsn: str, folder: Path, versions: list[ViewVersion]) -> Path | None:
    try:
        feast_python()
    except EnvironmentUnavailable as error:
        print(f"bench: features_online runs without Feast: {error}", flush=True)
        return None
    return postgres_repository(folder / "feast_postgres", dsn, *versions)


def _materialize(dsn: str, repository: Path, views: list[FeatureView]) -> float:
    return ask_feast(
        dsn, repository=str(repository), apply=True, wanted="materialize", views=[view.name for view in views],
        start=DAY.start.isoformat(), end=NOW.isoformat(),
    )["seconds"][0]  # fmt: skip


def _publication(dsn: str, folder: Path, version: ViewVersion, feast: Path, *, ours: float) -> Result:
    """Feast into Postgres, which the readings then need, and into Redis where there is one."""
    theirs = {"Postgres": _materialize(dsn, feast, [WIDE])}
    _materialize(dsn, feast, VIEWS[1:])
    if shutil.which("redis-server") is not None:
        with redis_server() as redis:
            repository = redis_repository(folder / "feast_redis", dsn, redis, version)
            theirs["Redis"] = _materialize(dsn, repository, [WIDE])
    fastest = min(theirs.values())
    return Result(
        name="features.publish_times_feast",
        value=fastest / ours,
        unit="times",
        against="Feast's materialize, the fastest of " + " and ".join(theirs),
        goal="≥ 9",
        detail=f"{CUSTOMERS / ours:,.0f} entities/s of 20 features into Postgres against "
        + ", ".join(f"{CUSTOMERS / seconds:,.0f} ({store})" for store, seconds in theirs.items()),
    )


def _read(dsn: str, reading: Reading, wide: ViewVersion, feast: Path | None) -> list[Result]:
    chance = random.Random(5)
    questions = [
        [{"customer_id": chance.randrange(1, CUSTOMERS + 1)} for _ in range(reading.customers)]
        for _ in range(QUESTIONS)
    ]
    features = [f"{view}:{name}" for view in reading.views for name in view.feature_names]
    blocks: tuple[list[list[float]], ...] = ([], [], [])
    for _ in range(BLOCKS):
        for own, seconds in zip(blocks, _in_turns(dsn, reading, wide, questions), strict=False):
            own.append(seconds)
        if feast is not None:
            answer = ask_feast(
                dsn, repository=str(feast), wanted="online", features=features, entity_rows=questions,
                rounds=reading.rounds // BLOCKS,
            )  # fmt: skip
            blocks[2].append(answer["seconds"])
    ours, bare = Latency.of(blocks[0]), Latency.of(blocks[1])
    results = []
    if reading.bare is not None:
        value, floor = getattr(ours, reading.bare), getattr(bare, reading.bare)
        results.append(
            Result(
                name=f"features.online_{reading.name}_{reading.bare}_times_bare_select",
                value=value / floor,
                unit="times",
                against="a bare SELECT of key, time and features by primary key, prepared and binary",
                goal="≤ 1.5",
                detail=f"{ours} against {bare}; {reading.rounds:,} requests each, {CUSTOMERS:,} customers",
            )
        )
    if feast is not None:
        theirs = Latency.of(blocks[2])
        results.append(
            Result(
                name=f"features.online_{reading.name}_p99_times_feast",
                value=theirs.p99 / ours.p99,
                unit="times",
                against="Feast's p99 on the same Postgres",
                goal=f"≥ {reading.goal_feast:g}",
                detail=f"{ours} against {theirs}; {reading.rounds:,} requests each, {CUSTOMERS:,} customers, "
                f"{len(features)} features",
            )
        )
    return results


def _in_turns(
    dsn: str, reading: Reading, wide: ViewVersion, questions: list[Question]
) -> tuple[list[float], list[float]]:
    """Seconds of ours over its pool and of the bare SELECT, one request each in turns."""
    with OnlineFeatures(dsn) as online, psycopg.connect(dsn, **SETTINGS) as conn:
        condition = "customer_id = ANY(%s)" if reading.customers > 1 else "customer_id = %s"
        statement = sql.SQL("SELECT {}, event_time, {} FROM {} WHERE " + condition).format(
            wide.keys, wide.features, wide.online
        )

        def ask(question: Question) -> None:
            online.get_online_features(reading.views, question).to_dict()

        def select(question: Question) -> None:
            keys = [row["customer_id"] for row in question]
            with conn.cursor(binary=True) as cursor:
                cursor.execute(statement, (keys if reading.customers > 1 else keys[0],), prepare=True).fetchall()

        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(-20, reading.rounds // BLOCKS):
            for own, request in zip(seconds, (ask, select), strict=True):
                taken = _timed(request, questions[number % QUESTIONS])
                if number >= 0:
                    own.append(taken)
    return seconds


def _timed(request: Callable[[Question], None], question: Question) -> float:
    started = time.perf_counter()
    request(question)
    return time.perf_counter() - started
