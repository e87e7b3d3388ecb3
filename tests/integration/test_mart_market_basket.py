"""What is bought together equals what FP-growth finds, and the figures of rules what mlxtend says of them."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from mlxtend.frequent_patterns import association_rules, fpgrowth
from mlxtend.preprocessing import TransactionEncoder
from psycopg import Connection
from psycopg.rows import dict_row

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from include.entities.window import Window
from tests.integration.feature_shop import Order, load

START = datetime(2024, 1, 15, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=30))
NOW = datetime(2025, 1, 1, tzinfo=UTC)
FIGURES = {"support_share": "support", "confidence": "confidence", "lift": "lift", "leverage": "leverage"}
Rules = dict[tuple[frozenset[int], frozenset[int]], dict[str, Any]]


def refreshed(conn: Connection, *, least_support: str = "0.005") -> Rules:
    for name in ("baskets_daily", "market_basket"):
        refresh(conn, MARTS[name], window=WINDOW, until=None, now=NOW, settings={"least_support": least_support})
    conn.commit()
    return rules_in(conn)


def rules_in(conn: Connection) -> Rules:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM analytics.market_basket").fetchall()
    assert all(sorted(row[name]) == row[name] for row in rows for name in ("antecedent", "consequent", "products"))
    return {(frozenset(row["antecedent"]), frozenset(row["consequent"])): row for row in rows}


def found_by_mlxtend(baskets: list[list[int]], least_support: float) -> tuple[dict[frozenset[int], float], Any]:
    """The support of the frequent sets of one to three products, and all rules of them."""
    encoder = TransactionEncoder()
    table = pd.DataFrame(encoder.fit_transform(baskets), columns=encoder.columns_)
    sets = fpgrowth(table, min_support=least_support, use_colnames=True, max_len=3)
    rules = association_rules(sets, metric="support", min_threshold=0) if len(sets) else sets
    return dict(zip(sets["itemsets"], sets["support"], strict=True)), rules


def baskets_of(orders: list[Order]) -> list[list[int]]:
    baskets = [{*order.products} - {None} for order in orders if order.paid_at is not None]
    return [sorted(basket) for basket in baskets if basket]


def random_orders(seed: int, *, count: int, products: int, largest: int) -> list[Order]:
    """Some products are in most baskets, some come in twos and threes, some lines have no product or one twice."""
    rng = random.Random(seed)
    weights = [1 / place for place in range(1, products + 1)]
    names = rng.sample(range(1, 1000), products)
    orders = []
    for number in range(count):
        chosen = rng.choices([None, *names], [0.05, *weights], k=rng.randrange(largest + 1))
        if rng.random() < 0.2:
            chosen += names[-3 : -1 if rng.random() < 0.7 else None]
        paid_at = START + timedelta(minutes=rng.randrange(30 * 1440)) if rng.random() < 0.95 else None
        orders.append(Order(number + 1, None, paid_at, products=tuple(chosen)))
    return orders


@pytest.mark.parametrize(
    ("seed", "count", "products", "largest", "least_support"),
    [(1, 400, 12, 6, "0.03"), (2, 300, 25, 12, "0.05"), (3, 500, 40, 4, "0.005"), (5, 150, 60, 60, "0.2")],
    ids=["few products", "up to 12 in a basket", "rare sets", "small and large baskets"],
)
def test_sets_and_the_figures_of_all_rules_equal_those_of_fp_growth(
    warehouse, seed, count, products, largest, least_support
):
    print(f"seed {seed}")
    orders = random_orders(seed, count=count, products=products, largest=largest)
    load(warehouse, orders)
    rules = refreshed(warehouse, least_support=least_support)
    baskets = baskets_of(orders)
    assert largest < 21 or {len(basket) > 20 for basket in baskets} == {True, False}
    assert_rules_are(rules, baskets, least_support=float(least_support))
    assert any(row["item_count"] == 3 for row in rules.values())


def assert_rules_are(rules: Rules, baskets: list[list[int]], *, least_support: float) -> None:
    sets, expected = found_by_mlxtend(baskets, least_support)
    assert {a | b for a, b in rules} == {products for products in sets if len(products) > 1}
    assert rules.keys() == set(zip(expected["antecedents"], expected["consequents"], strict=True))
    for line in expected.to_dict("records"):
        row = rules[line["antecedents"], line["consequents"]]
        assert {name: row[name] for name in FIGURES} == pytest.approx(
            {name: line[theirs] for name, theirs in FIGURES.items()}, rel=1e-9, abs=1e-12
        )
        assert row["reverse_confidence"] == pytest.approx(line["support"] / line["consequent support"])
        if line["confidence"] == 1:
            assert row["conviction"] is None
        else:
            assert row["conviction"] == pytest.approx(line["conviction"])
        assert row["support_count"] == round(line["support"] * len(baskets))
        assert row["antecedent_count"] == round(line["antecedent support"] * len(baskets))
        assert row["consequent_count"] == round(line["consequent support"] * len(baskets))
        assert row["item_count"] == len(row["products"])


def test_a_set_that_is_exactly_as_frequent_as_it_must_be_is_told_of(warehouse):
    """1 of 200 is 0.5 %, in whatever way that is rounded; 1 of 201 is less."""
    load(warehouse, [Order(number, None, START, products=(5,)) for number in range(2, 201)])
    load(warehouse, [Order(1, None, START, products=(1, 2))])
    assert refreshed(warehouse).keys() == {
        (frozenset({1}), frozenset({2})),
        (frozenset({2}), frozenset({1})),
    }
    load(warehouse, [Order(201, None, START, products=(5,))])
    assert refreshed(warehouse) == {}


def test_another_least_support_gives_other_sets(warehouse):
    load(warehouse, random_orders(4, count=200, products=10, largest=5))
    assert len(refreshed(warehouse, least_support="0.2")) < len(refreshed(warehouse, least_support="0.02"))


@pytest.mark.parametrize(
    "orders",
    [
        [],
        [Order(1, None, START, products=(3, 3))],
        [Order(1, None, None, products=(1, 2))],
        [Order(1, None, START, products=(None, 2))],
        [Order(1, None, START)],
    ],
    ids=["empty shop", "one product twice", "not paid", "one without a number", "no product"],
)
def test_nothing_is_bought_together_in_a_shop_with(warehouse, orders):
    load(warehouse, orders)
    assert refreshed(warehouse) == {}


@pytest.mark.parametrize("products", [(3, 1, 2, 4), tuple(range(21, 0, -1))], ids=["small", "large"])
def test_one_order_makes_all_rules_of_its_products(warehouse, products):
    load(warehouse, [Order(1, None, START, products=products)])
    rules = refreshed(warehouse)
    assert len(rules) == math.comb(len(products), 2) * 2 + math.comb(len(products), 3) * 6
    assert {(row["confidence"], row["lift"], row["leverage"], row["conviction"]) for row in rules.values()} == {
        (1.0, 1.0, 0.0, None)
    }
