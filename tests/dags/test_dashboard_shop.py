"""The page Shop: its figures are those of the orders, counted again in Python."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from include.entities.window import Window
from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import Order, Refund, day, load
from tests.own_database import connection, own_database

FIRST = day("2023-01-01")
UNTIL = day("2024-03-01")
DAY = timedelta(days=1)
NOT_READ = {"correlations", "data_inventory"}


def facts() -> list[Order | Refund]:
    """A year and two months: each day some orders of 40 customers, one refund a week."""
    made: list[Order | Refund] = []
    for number in range((UNTIL - FIRST).days):
        at = FIRST + DAY * number + timedelta(hours=9)
        made += [
            Order(
                number * 10 + each, (number * 7 + each * 3) % 40 + 1, at, Decimal(20 + number % 9 + each), (1, 2 + each)
            )
            for each in range(1 + (number % 5 == 0))
        ]
        if number % 7 == 6:
            made.append(Refund(number, at, Decimal("5.5"), (number - 1) * 10))
    return made


@pytest.fixture(scope="module")
def sold_dsn(postgres_server: Any) -> Iterator[str]:
    """A warehouse with the marts that the page reads, for tests that change nothing."""
    with own_database(postgres_server, "sold") as dsn:
        with connect_warehouse(dsn) as conn:
            load(conn, facts())
            for mart in MARTS.values():
                if mart.name not in NOT_READ:
                    refresh(conn, mart, window=Window(FIRST, UNTIL), until=UNTIL, now=datetime.now(UTC))
        yield dsn


@pytest.fixture
def buyer(admin: TestClient, sold_dsn: str, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Somebody who sees that warehouse."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection(sold_dsn))
    return admin


def net(first: datetime, last: datetime) -> Decimal:
    """Paid less given back from the first day to the last one, both included."""
    total = Decimal(0)
    for fact in facts():
        at, sign = (fact.paid_at, 1) if isinstance(fact, Order) else (fact.refunded_at, -1)
        if at is not None and first <= at < last + DAY:
            total += sign * fact.amount
    return total


def specs(text: str) -> dict[str, dict]:
    """The charts' specifications by the name of the figure."""
    found = re.findall(
        r'<figure class="chart" id="(\w+)">.*?<script type="application/json">(.*?)</script>', text, re.S
    )
    return {name: json.loads(spec) for name, spec in found}


def test_the_figures_and_charts_are_those_of_the_orders(buyer):
    answer = buyer.get("/regulars/shop")
    assert answer.status_code == 200, answer.text
    last = UNTIL - DAY
    assert f"Until {last:%Y-%m-%d}" in answer.text
    assert f'<dd class="figure">{net(last - DAY * 27, last):,.0f} GBP</dd>' in answer.text
    assert f'<dd class="figure">{net(last - DAY * 391, last - DAY * 364):,.0f} GBP</dd>' in answer.text
    drawn = specs(answer.text)
    assert set(drawn) == {"revenue", "cohorts", "segments", "pairs", "order_values"}, "no events, so no funnel"
    assert "No session saw a product." in answer.text
    days = {row["sold_on"]: row for row in drawn["revenue"]["data"]["values"]}
    assert len(days) == 365
    for at in (last, last - DAY * 100):
        row = days[f"{at:%Y-%m-%d}"]
        assert row["net_amount"] == pytest.approx(float(net(at, at)))
        assert row["net_average_7_days"] == pytest.approx(float(net(at - DAY * 6, at) / 7))
    assert days[f"{last:%Y-%m-%d}"]["year_before_average_7_days"] == pytest.approx(
        float(net(last - DAY * 370, last - DAY * 364) / 7)
    )
    every = drawn["order_values"]["data"]["values"][0]
    assert every["order_count"] == sum(isinstance(fact, Order) for fact in facts())
    assert sum(row["customer_count"] for row in drawn["segments"]["data"]["values"]) == 40


def test_each_chart_has_its_words_and_its_table(buyer):
    text = buyer.get("/regulars/shop").text
    for name, spec in specs(text).items():
        [figure] = re.findall(rf'<figure class="chart" id="{name}">.*?</figure>', text, re.S)
        caption = re.search(rf'<span id="{name}-caption">(.*?)</span>', figure)
        assert caption and re.search(r"\d", caption[1]), name
        assert f'aria-describedby="{name}-caption"' in figure
        assert figure.count("<tr>") == min(len(spec["data"]["values"]), 400) + 1, name


def test_cohorts_can_be_seen_by_value(buyer):
    spec = specs(buyer.get("/regulars/shop", params={"cohorts": "value"}).text)["cohorts"]
    assert spec["layer"][0]["encoding"]["color"]["field"] == "cumulative_amount_per_customer"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"days": "17"}, "Choose 90, 365, 730"),
        ({"days": "many"}, "days"),
        ({"cohorts": "by moon"}, "Choose retention or value"),
        ({"currency": "XXX"}, "Choose GBP"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(buyer, asked, says):
    answer = buyer.get("/regulars/shop", params=asked)
    assert answer.status_code == 400 and says in answer.text
