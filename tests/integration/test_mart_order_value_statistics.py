"""What orders are worth, against NumPy, SciPy and plain fractions; no change of them is lost or counted twice."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import Connection
from psycopg.rows import dict_row
from scipy import stats

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from tests.integration.golden import NOW, WINDOW, make_mart
from tests.integration.purchase_facts import Order, Version, load, orders_in, random_facts
from tests.properties import examples

START = datetime(2024, 1, 30, tzinfo=UTC)
PERCENTS = {"p05": 5, "p10": 10, "p25": 25, "median": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99}
NAME = "order_value_statistics"
Groups = dict[tuple[str, str], list[Decimal]]


def quantile(amounts: Sequence[Fraction], percent: int) -> Fraction:
    place = Fraction(percent * (len(amounts) - 1), 100)
    lower = amounts[int(place)]
    return lower + (place - int(place)) * (amounts[min(int(place) + 1, len(amounts) - 1)] - lower)


def plain_statistics(values: Sequence[Decimal]) -> dict[str, Any]:
    """Every column but the key, None for null."""
    exact = sorted(map(Fraction, values))
    floats, total, count = np.array(exact, dtype=float), sum(exact), len(exact)
    quartiles = [quantile(exact, percent) for percent in (25, 50, 75)]
    spread = quartiles[2] - quartiles[0]
    distances = sorted(abs(amount - quartiles[1]) for amount in exact)
    deviation = quantile(distances, 50)
    is_shared = exact[0] >= 0 and total > 0
    top = {percent: sum(exact[-(-(percent * count) // 100) * -1 :]) for percent in (1, 10, 20)}
    differences = np.abs(floats[:, None] - floats[None, :]).mean()
    found: dict[str, Any] = {
        "order_count": count, "total_amount": total, "smallest_amount": exact[0], "largest_amount": exact[-1],
        "mean_amount": floats.mean(),
        "deviation_amount": floats.std(ddof=1) if count > 1 else None,
        "skewness": stats.skew(floats, bias=False) if count > 2 and exact[0] < exact[-1] else None,
        "interquartile_range_amount": spread,
        "outlier_count": sum(
            amount < quartiles[0] - Fraction(3, 2) * spread or amount > quartiles[2] + Fraction(3, 2) * spread
            for amount in exact
        ),
        "median_absolute_deviation_amount": deviation,
        "robust_outlier_count": sum(
            distance * Fraction("0.6745") > Fraction("3.5") * deviation for distance in distances
        ) if deviation else None,
        "gini": differences / (2 * floats.mean()) if is_shared else None,
    }  # fmt: skip
    for percent, amount in top.items():
        found[f"top_{percent}_percent_share"] = amount / total if is_shared else None
    for name, percent in PERCENTS.items():
        found[f"{name}_amount"] = np.percentile(floats, percent)
        found[f"{name}_discrete_amount"] = exact[-(-percent * count // 100) - 1]
    return found


def statistics_in(conn: Connection) -> dict[tuple[str, str], dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM analytics.order_value_statistics").fetchall()
    assert {row.pop("currency") for row in rows} <= {"GBP"}
    return {(row.pop("scope"), row.pop("scope_value")): row for row in rows}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
        else:
            assert found[name] is not None, name
            assert float(found[name]) == pytest.approx(float(value), rel=1e-9, abs=1e-9), name


amounts = st.one_of(st.integers(0, 12), st.integers(0, 10_000_000)).map(lambda number: Decimal(number) / 100)


@given(values=st.lists(amounts, min_size=1, max_size=60))
@example(values=[Decimal(0)])
@example(values=[Decimal(-5), Decimal(5), Decimal(7)])
@example(values=[Decimal(1)] * 99 + [Decimal(100)])
@examples(30)
def test_of_any_amounts_it_says_what_numpy_and_scipy_say(empty_shop, values):
    empty_shop.rollback()
    empty_shop.execute(
        "INSERT INTO analytics.order_values_daily VALUES ('2024-01-01', 'GBP', 'country', 'DE', %s)", (values,)
    )
    refresh(empty_shop, MARTS[NAME], window=WINDOW, until=None, now=NOW)
    found = statistics_in(empty_shop)
    assert found.keys() == {("all", ""), ("country", "DE")}
    assert found["all", ""] == found["country", "DE"]
    assert_same(found["all", ""], plain_statistics(values))


def test_skewness_is_also_what_pandas_says():
    values = [Decimal(number) for number in (1, 2, 2, 3, 50)]
    assert plain_statistics(values)["skewness"] == pytest.approx(pd.Series(map(float, values)).skew())


def shop(conn: Connection, seed: int) -> list:
    print(f"seed {seed}")
    facts = random_facts(random.Random(seed), start=START, days=40, count=90, customers=9)
    load(conn, facts)
    conn.execute("UPDATE shop.orders SET country = (ARRAY['DE', 'AT', NULL])[order_id % 3 + 1]")
    return facts


def plain_groups(facts: list) -> Groups:
    """What the paid orders of each kind are worth."""
    versions = versions_of([fact for fact in facts if isinstance(fact, Version)])
    groups: Groups = defaultdict(list)
    for order in orders_in(facts):
        if order.paid_at is None:
            continue
        groups["all", ""].append(order.amount)
        groups["country", ("DE", "AT", "")[order.order_id % 3]].append(order.amount)
        for category, amount in categories_of(order, versions).items():
            groups["category", category].append(amount)
    return groups


def versions_of(versions: Sequence[Version]) -> dict[int, list[tuple[datetime, Sequence[str]]]]:
    """From when on each product was in which categories."""
    found = defaultdict(list)
    for version in versions:
        found[version.product_id].append((version.known_from or datetime.min.replace(tzinfo=UTC), version.categories))
    return found


def categories_of(order: Order, versions: dict) -> dict[str, Decimal]:
    own: dict[str, Decimal] = defaultdict(Decimal)
    for line in order.lines:
        if line.kind == "product":
            known = [each for each in sorted(versions[line.product_id]) if each[0] <= order.paid_at]
            for category in set(known[-1][1]) if known and known[-1][1] else {""}:
                own[category] += line.amount
    return own


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_shop_it_says_of_each_country_and_category_what_numpy_and_scipy_say(empty_shop, seed):
    facts = shop(empty_shop, seed)
    make_mart(empty_shop, NAME)
    found, expected = statistics_in(empty_shop), plain_groups(facts)
    assert found.keys() == expected.keys()
    assert len(found) > 5
    for group, values in expected.items():
        assert_same(found[group], plain_statistics(values))


def recounted(conn: Connection) -> set[tuple]:
    return set(
        conn.execute(
            """
            WITH parts AS (
                SELECT scope, scope_value, currency, order_amount, count(*) AS order_count
                FROM analytics.order_values_daily, unnest(order_amounts) AS order_amount GROUP BY 1, 2, 3, 4
            )
            SELECT * FROM parts UNION ALL SELECT 'all', '', currency, order_amount, sum(order_count)::bigint
            FROM parts WHERE scope = 'country' GROUP BY currency, order_amount
            """
        ).fetchall()
    )


def counted(conn: Connection) -> set[tuple]:
    rows = conn.execute(
        """
        SELECT scope, scope_value, currency, ten_thousandths * 0.0001, order_count
        FROM analytics.order_value_counts INNER JOIN analytics.order_kinds USING (kind_number)
        """
    ).fetchall()
    return set(rows)


CHANGES = {
    "new amounts": "UPDATE shop.orders SET total_amount = total_amount + 1 WHERE order_id % 5 = 0",
    "other days": "UPDATE shop.orders SET paid_at = paid_at + interval '3 days' WHERE order_id % 4 = 0",
    "other countries": "UPDATE shop.orders SET country = 'FR' WHERE order_id % 7 = 0",
    "orders gone": "DELETE FROM shop.orders WHERE order_id % 6 = 0",
    "all gone": "DELETE FROM shop.orders",
    "another category": "INSERT INTO shop.product_versions VALUES (1, '2024-02-20Z', 'p', 1, 'GBP', '[\"new\"]')",
    "a first version": "INSERT INTO shop.product_versions VALUES (5, '-infinity', 'p', 1, 'GBP', '[\"new\"]')",
    "a corrected version": "UPDATE shop.product_versions SET categories = '[\"new\"]' WHERE product_id = 2",
    "a version gone": "DELETE FROM shop.product_versions WHERE product_id < 4",
}


def test_after_any_change_counts_and_days_are_as_if_made_at_once(empty_shop):
    shop(empty_shop, 3)
    make_mart(empty_shop, NAME)
    before = counted(empty_shop)
    for name, change in CHANGES.items():
        with empty_shop.transaction(force_rollback=True):
            empty_shop.execute(change)
            make_mart(empty_shop, NAME)
            after = counted(empty_shop)
            assert after != before, name
            assert after == recounted(empty_shop), name
            whole = refresh(
                empty_shop, MARTS["order_values_daily"], window=WINDOW, until=None, now=NOW, rebuild=True
            )  # fmt: skip
            assert (whole.inserted, whole.updated, whole.deleted) == (0, 0, 0), name


def stale_days(conn: Connection) -> set[date]:
    rows = conn.execute("SELECT stale_on FROM analytics.stale_days WHERE mart = 'order_values_daily'").fetchall()
    return {day for (day,) in rows}


def test_another_category_makes_those_days_stale_that_sold_the_product_since(empty_shop):
    facts = shop(empty_shop, 4)
    make_mart(empty_shop, NAME)
    since = START + timedelta(days=20)
    empty_shop.execute("INSERT INTO shop.product_versions VALUES (1, %s, 'p', 1, 'GBP', '[\"new\"]')", (since,))
    sold = {
        order.paid_at.date()
        for order in orders_in(facts)
        if order.paid_at is not None and order.paid_at >= since and any(line.product_id == 1 for line in order.lines)
    }
    assert sold
    assert stale_days(empty_shop) == sold


def test_another_price_makes_no_day_stale(empty_shop):
    shop(empty_shop, 4)
    make_mart(empty_shop, NAME)
    empty_shop.execute(
        """
        INSERT INTO shop.product_versions
        SELECT DISTINCT ON (product_id) product_id, known_from + interval '1 day', name, 77, currency, categories
        FROM shop.product_versions WHERE known_from > '-infinity' ORDER BY product_id, known_from DESC
        """
    )
    empty_shop.execute("UPDATE shop.product_versions SET price = 78")
    assert stale_days(empty_shop) == set()


def test_it_is_made_of_the_mart_whose_triggers_keep_its_counts():
    assert MARTS[NAME].upstream == ("order_values_daily",)
