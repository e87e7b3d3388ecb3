"""How each product does equals what pandas and statsmodels say of its lines."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from psycopg import Connection
from psycopg.rows import dict_row

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from include.entities.window import Window
from tests.integration.view_rows import PROVENANCE

START = datetime(2023, 12, 6, tzinfo=UTC)
"""A Wednesday; the days after it hold a leap day and, in Berlin, the change to summer time."""
DAYS = 150
UNTIL = START + timedelta(days=DAYS, hours=15)
NOW = datetime(2025, 1, 1, tzinfo=UTC)
BOUNDS = {"A": Decimal("0.8"), "B": Decimal("0.95")}
Rows = dict[tuple[int, str], dict[str, Any]]


def refreshed(conn: Connection, *, until: datetime | None = UNTIL, time_zone: str = "UTC") -> Rows:
    window = Window(START, UNTIL)
    for name in ("product_sales_daily", "product_performance"):
        refresh(conn, MARTS[name], window=window, until=until, now=NOW, time_zone=time_zone)
    conn.commit()
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM analytics.product_performance").fetchall()
    return {(row["product_id"], row["currency"]): row for row in rows}


def random_lines(seed: int, *, products: int = 12, count: int = 800) -> pd.DataFrame:
    """Lines sold and given back: some products sell seldom, at one price, or are given back more than sold."""
    rng = random.Random(seed)
    lines = []
    for _ in range(count):
        product = min(rng.randrange(products), rng.randrange(products))
        price = Decimal(rng.randrange(800, 1200)) / 100 if product % 3 else Decimal("9.99")
        elasticity_units = max(1, round(40 / float(price)) - 3) if product % 2 else 1
        lines.append(
            {
                "product_id": product or None,
                "currency": "GBP" if product < 9 or rng.random() < 0.5 else "EUR",
                "at": START + timedelta(minutes=rng.randrange(DAYS * 1440) // (1 + 3 * (product == 7))),
                "quantity": rng.choice((1, elasticity_units, 2)),
                "price": price,
                "is_return": rng.random() < (0.8 if product == 8 else 0.06),
                "kind": "fee" if rng.random() < 0.03 else "product",
            }
        )
    return with_amounts(pd.DataFrame(lines).astype({"product_id": "Int64"}))


def with_amounts(lines: pd.DataFrame) -> pd.DataFrame:
    return lines.assign(amount=lines["price"] * lines["quantity"])


def load(conn: Connection, lines: pd.DataFrame) -> None:
    for number, line in enumerate(lines.to_dict("records"), 1):
        product = None if line["product_id"] is pd.NA else line["product_id"]
        amount = line["price"] * line["quantity"]
        if line["is_return"]:
            conn.execute(
                f"INSERT INTO shop.refunds VALUES (%s, NULL, NULL, %s, %s, NULL, %s, {PROVENANCE})",
                (number, amount, line["currency"], line["at"]),
            )
            conn.execute(
                f"INSERT INTO shop.refund_lines VALUES (%s, 1, %s, %s, NULL, 'p', %s, %s, {PROVENANCE})",
                (number, line["kind"], product, line["quantity"], amount),
            )
            continue
        conn.execute(
            f"""INSERT INTO shop.orders VALUES (%s, 'n', 1, 'x', %s, %s, 0, 0, 0, NULL, %s, %s, NULL, NULL,
            {PROVENANCE})""",
            (number, line["currency"], amount, line["at"], line["at"]),
        )
        conn.execute(
            f"INSERT INTO shop.order_lines VALUES (%s, 1, %s, %s, NULL, 'p', %s, %s, %s, {PROVENANCE})",
            (number, line["kind"], product, line["quantity"], line["price"], amount),
        )
    conn.commit()


def offer(conn: Connection, product_id: int, *, currency: str = "GBP", name: str = "name") -> None:
    conn.execute(
        f"""INSERT INTO shop.products VALUES (%s, NULL, %s, 1, %s, '[]', '[]', NULL, true, NULL, {PROVENANCE})""",
        (product_id, f"{name} {product_id}", currency),
    )
    conn.commit()


def days_of(lines: pd.DataFrame, time_zone: str) -> pd.DataFrame:
    """Units and amounts by product, currency and day."""
    known = lines[(lines["kind"] == "product") & lines["product_id"].notna()].copy()
    known["day"] = [at.astimezone(ZoneInfo(time_zone)).date() for at in known["at"]]
    for name, is_return in (("sold", False), ("returned", True)):
        of_kind = known["is_return"] == is_return
        known[f"{name}_units"] = known["quantity"].where(of_kind, 0)
        known[f"{name}_amount"] = known["amount"].where(of_kind, Decimal(0))
    known["lines"] = (~known["is_return"]).astype(int)
    columns = ["sold_units", "returned_units", "sold_amount", "returned_amount", "lines"]
    return known.groupby(["product_id", "currency", "day"])[columns].sum().reset_index()


def plain_performance(lines: pd.DataFrame, *, until: datetime | None, time_zone: str) -> Rows:
    days = days_of(lines, time_zone)
    last = until.astimezone(ZoneInfo(time_zone)).date() - timedelta(days=1) if until else days["day"].max()
    rows = {}
    for (product, currency), own in days.groupby(["product_id", "currency"]):
        rows[int(product), currency] = _row(own, first=days["day"].min(), last=last)
    for currency in {currency for _, currency in rows}:
        _classify([row for (_, of), row in rows.items() if of == currency])
    return rows


def _row(own: pd.DataFrame, *, first: date, last: date) -> dict[str, Any]:
    sums = own[["sold_units", "returned_units", "sold_amount", "returned_amount", "lines"]].sum()
    sold = own[own["lines"] > 0]
    # The calendar of the product: every day from its first sale on, with zeros.
    calendar = pd.date_range(last - timedelta(days=89), last).date
    units = own.set_index("day")["sold_units"].reindex(calendar, fill_value=0)
    net = (own.set_index("day")["sold_amount"] - own.set_index("day")["returned_amount"]).reindex(
        calendar, fill_value=Decimal(0)
    )
    first_sale = sold["day"].min() if len(sold) else None
    on_sale = units[[day >= first_sale for day in calendar]] if first_sale else units[:0]
    before = units.iloc[-56:-28].sum()
    weeks = _weeks(own, first=first, last=last)
    return {
        "unit_count": sums["sold_units"],
        "line_count": sums["lines"],
        "gross_amount": sums["sold_amount"],
        "returned_unit_count": sums["returned_units"],
        "returned_amount": sums["returned_amount"],
        "net_amount": sums["sold_amount"] - sums["returned_amount"],
        "return_share": _share(sums["returned_units"], sums["sold_units"]),
        "returned_amount_share": _share(sums["returned_amount"], sums["sold_amount"]),
        "average_unit_amount": _share(sums["sold_amount"], sums["sold_units"]),
        "first_sold_on": first_sale,
        "last_sold_on": sold["day"].max() if len(sold) else None,
        "as_of_on": last,
        "days_since_last_sale": (last - sold["day"].max()).days if len(sold) else None,
        **{f"units_lag_{lag}_day{'s' * (lag != 1)}": units.iloc[-1 - lag] for lag in (0, 1, 7, 28)},
        **{f"units_{span}_days": units.iloc[-span:].sum() for span in (7, 28, 90)},
        "units_28_days_before": before,
        "units_growth_share": _share(units.iloc[-28:].sum() - before, before),
        "units_mean_7_days": on_sale.iloc[-7:].mean() if len(on_sale) else None,
        "units_mean_28_days": on_sale.iloc[-28:].mean() if len(on_sale) else None,
        "units_deviation_28_days": on_sale.iloc[-28:].std() if len(on_sale) > 1 else None,
        **{f"net_amount_{span}_days": net.iloc[-span:].sum() for span in (7, 28, 90)},
        **_elasticity(weeks),
    }


def _weeks(own: pd.DataFrame, *, first: date, last: date) -> pd.DataFrame:
    weeks = own.assign(week=[day - timedelta(days=day.weekday()) for day in own["day"]])
    weeks = weeks.groupby("week")[["sold_units", "sold_amount"]].sum()
    is_whole = [first <= week and week + timedelta(days=6) <= last for week in weeks.index]
    return weeks[np.array(is_whole, dtype=bool) & (weeks["sold_units"] > 0) & (weeks["sold_amount"] > 0)]


def _elasticity(weeks: pd.DataFrame) -> dict[str, Any]:
    prices = np.array([float(amount / int(units)) for units, amount in weeks.itertuples(index=False)])
    if len(weeks) < 3 or len(set(prices)) == 1:
        return {"price_elasticity": None, "price_elasticity_error": None, "price_week_count": len(weeks)}
    fit = sm.OLS(np.log(weeks["sold_units"].astype(float)), sm.add_constant(np.log(prices))).fit()
    return {
        "price_elasticity": fit.params.iloc[1],
        "price_elasticity_error": fit.bse.iloc[1],
        "price_week_count": len(weeks),
    }


def _classify(rows: list[dict[str, Any]]) -> None:
    """Shares and classes by going down the list of net revenue, one revenue after the other."""
    total = sum((row["net_amount"] for row in rows if row["net_amount"] > 0), Decimal(0))
    passed, place = Decimal(0), 1
    for revenue in sorted({row["net_amount"] for row in rows}, reverse=True):
        equal = [row for row in rows if row["net_amount"] == revenue]
        letter = next((letter for letter, bound in BOUNDS.items() if total and passed < bound * total), "C")
        passed += max(revenue, Decimal(0)) * len(equal)
        for row in equal:
            row |= {
                "abc_class": letter if revenue > 0 else "C",
                "revenue_rank": place,
                "revenue_share": _share(max(revenue, Decimal(0)), total),
                "cumulative_revenue_share": _share(passed, total),
            }
        place += len(equal)


def _share(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None


def assert_same(found: Rows, expected: Rows) -> None:
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        wrong = {
            name: (found[key][name], value) for name, value in row.items() if not _is_same(found[key][name], value)
        }
        assert not wrong, f"{key}: (found, expected) are {wrong}"


def _is_same(found: Any, expected: Any) -> bool:
    if expected is None or isinstance(expected, str | date):
        return found == expected
    return found is not None and math.isclose(float(found), float(expected), rel_tol=1e-7, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("seed", "time_zone", "until"), [(1, "UTC", UNTIL), (2, "Europe/Berlin", UNTIL), (3, "America/New_York", None)]
)
def test_it_equals_what_pandas_and_statsmodels_say(warehouse, seed, time_zone, until):
    print(f"seed {seed}")
    lines = random_lines(seed)
    load(warehouse, lines)
    expected = plain_performance(lines, until=until, time_zone=time_zone)
    rows = list(expected.values())
    assert {row["abc_class"] for row in rows} == {"A", "B", "C"}
    assert {row["price_elasticity"] is None for row in rows} == {True, False}
    assert any(row["net_amount"] < 0 for row in rows), "no product is given back more than it is sold"
    assert_same(refreshed(warehouse, until=until, time_zone=time_zone), expected)


def test_late_lines_and_corrections_are_followed(warehouse):
    print("seed 4")
    lines = random_lines(4, count=300)
    load(warehouse, lines)
    refreshed(warehouse)
    moved = lines.index % 7 == 0
    lines.loc[moved, "at"] += timedelta(days=9)
    warehouse.execute("UPDATE shop.orders SET paid_at = paid_at + interval '9 days' WHERE (order_id - 1) % 7 = 0")
    warehouse.execute(
        "UPDATE shop.refunds SET refunded_at = refunded_at + interval '9 days' WHERE (refund_id - 1) % 7 = 0"
    )
    warehouse.commit()
    assert_same(refreshed(warehouse), plain_performance(lines, until=UNTIL, time_zone="UTC"))


def test_what_is_offered_and_never_sold_is_in_the_last_class(warehouse):
    offer(warehouse, 1)
    offer(warehouse, 2, currency="EUR")
    (one, two) = (refreshed(warehouse, until=None)[key] for key in ((1, "GBP"), (2, "EUR")))
    assert (one["name"], one["abc_class"], one["unit_count"], one["return_share"]) == ("name 1", "C", 0, None)
    assert (two["units_mean_28_days"], two["first_sold_on"], two["as_of_on"]) == (None, None, None)


def test_units_that_go_with_a_power_of_the_price_have_that_power_as_their_elasticity(warehouse):
    """Week by week 1, 2, 4, 8 times the price; units go with the power -2 of it: the slope is -2 and has no error."""
    lines = pd.DataFrame(
        [
            {
                "product_id": 5, "currency": "GBP", "at": datetime(2024, 1, 1, tzinfo=UTC) + timedelta(weeks=week),
                "quantity": 640 // 4**week, "price": Decimal(2**week), "is_return": False, "kind": "product",
            }
            for week in range(4)
        ]
    )  # fmt: skip
    load(warehouse, lines)
    row = refreshed(warehouse, until=datetime(2024, 1, 29, tzinfo=UTC))[5, "GBP"]
    assert row["price_week_count"] == 4
    assert row["price_elasticity"] == pytest.approx(-2)
    assert row["price_elasticity_error"] == pytest.approx(0, abs=1e-6)


def test_a_price_that_never_changes_has_no_elasticity_however_it_is_divided(warehouse):
    """3.10 for 3, 31.00 for 30, 310.00 for 300: one price, whose quotients differ in their last digit."""
    lines = pd.DataFrame(
        [
            {
                "product_id": 5, "currency": "GBP", "at": datetime(2024, 1, 1, tzinfo=UTC) + timedelta(weeks=week),
                "quantity": 3 * 10**week, "price": Decimal("3.10") / 3, "is_return": False, "kind": "product",
            }
            for week in range(3)
        ]
    )  # fmt: skip
    load(warehouse, lines)
    row = refreshed(warehouse, until=datetime(2024, 1, 22, tzinfo=UTC))[5, "GBP"]
    assert (row["price_week_count"], row["gross_amount"]) == (3, Decimal("344.10"))
    assert (row["price_elasticity"], row["price_elasticity_error"]) == (None, None)
