"""What is bought together, mined in the database beside mlxtend's FP-growth on the same baskets: the same sets, sooner.

The shop is the simulator's; MARKET_BASKET_DATA=path takes a file in the layout of Online Retail instead.
MARKET_BASKET_LEAST_SUPPORT says in what share of the baskets products must be together (0.005).
"""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from mlxtend.frequent_patterns import association_rules, fpgrowth
from mlxtend.preprocessing import TransactionEncoder
from psycopg import Connection

from bench.churn_shops import load_online_retail, load_simulated
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.analytics.refresh import refresh
from include.analytics.registry import mart_named
from include.entities.window import Window
from include.warehouse.connection import connect_warehouse

CUSTOMERS = int(os.environ.get("MARKET_BASKET_CUSTOMERS", "1500"))
"""How many customers the simulated shop has."""
DATA = os.environ.get("MARKET_BASKET_DATA")
LEAST_SUPPORT = os.environ.get("MARKET_BASKET_LEAST_SUPPORT", "0.005")
NOW = datetime(2030, 1, 1, tzinfo=UTC)
Sets = dict[frozenset[int], int]


def run() -> list[Result]:
    """How many times as long mlxtend takes, and how many sets only one of the two has or counts otherwise."""
    with fresh_warehouse() as dsn, connect_warehouse(dsn) as conn:
        if DATA:
            load_online_retail(conn, Path(DATA), now=NOW)
        else:
            load_simulated(conn, customers=CUSTOMERS, seed=1, now=NOW)
        conn.execute("ANALYZE")
        seconds = {name: _refresh(conn, name) for name in ("baskets_daily", "market_basket")}
        ours = _sets_of_mart(conn)
        (rules,) = conn.execute("SELECT count(*) FROM analytics.market_basket").fetchone()
        baskets = [products for (products,) in conn.execute("SELECT products FROM analytics.baskets_daily")]
    theirs, their_rules, their_seconds = _found_by_mlxtend(baskets)
    sizes = [sum(len(products) == size for products in ours) for size in (2, 3)]
    against = f"mlxtend's FP-growth, {len(baskets):,} baskets at {float(LEAST_SUPPORT):.1%} support"
    return [
        Result(
            name="analytics.market_basket_times_faster",
            value=sum(their_seconds.values()) / seconds["market_basket"],
            unit="times",
            against=against,
            goal="≥ 1" if DATA else None,
            detail=(
                f"the mart {seconds['market_basket']:.1f} s, written down; its baskets {seconds['baskets_daily']:.1f} s"
                f" once; mlxtend {_listed(their_seconds)}, baskets given"
            ),
        ),
        Result(
            name="analytics.market_basket_different_sets",
            value=len(ours.items() ^ theirs.items()) + abs(rules - their_rules),
            unit="sets",
            against=against,
            goal="≤ 0",
            detail=f"{sizes[0]:,} pairs and {sizes[1]:,} triples with their counts, {rules:,} rules",
        ),
    ]


def _refresh(conn: Connection, name: str) -> float:
    started = time.monotonic()
    refresh(
        conn, mart_named(name), window=Window(datetime(2000, 1, 1, tzinfo=UTC), NOW), until=None, now=NOW,
        settings={"least_support": LEAST_SUPPORT},
    )  # fmt: skip
    conn.commit()
    return time.monotonic() - started


def _sets_of_mart(conn: Connection) -> Sets:
    rows = conn.execute("SELECT DISTINCT products, support_count FROM analytics.market_basket").fetchall()
    return {frozenset(products): count for products, count in rows}


def _found_by_mlxtend(baskets: list[list[int]]) -> tuple[Sets, int, dict[str, float]]:
    """Pairs and triples with their counts, the number of rules, and the seconds of each step."""
    started = time.monotonic()
    encoder = TransactionEncoder()
    table = pd.DataFrame(encoder.fit_transform(baskets), columns=encoder.columns_)
    seconds = {"encoding": time.monotonic() - started}
    sets = fpgrowth(table, min_support=float(LEAST_SUPPORT), use_colnames=True, max_len=3)
    seconds["FP-growth"] = time.monotonic() - started - sum(seconds.values())
    rules = association_rules(sets, metric="support", min_threshold=0)
    seconds["rules"] = time.monotonic() - started - sum(seconds.values())
    counts = {
        frozenset(products): round(support * len(baskets))
        for products, support in zip(sets["itemsets"], sets["support"], strict=True)
        if len(products) > 1
    }
    return counts, len(rules), seconds


def _listed(seconds: dict[str, float]) -> str:
    return ", ".join(f"{step} {value:.1f} s" for step, value in seconds.items())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for result in run():
        print(f"{result.name:45} {result.value:8.2f} {result.unit:6} against {result.against}\n{'':45} {result.detail}")
