"""Recommendations and products bought together over HTTP: what was published, for those who are known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import NOW, Order, load
from tests.integration.serving_host import Api, api
from tests.integration.serving_shop import NEWEST, RUN, fill_tables


@pytest.fixture
def running(warehouse_dsn: str) -> Iterator[Api]:
    with connect_warehouse(warehouse_dsn) as conn:
        load(conn, [Order(1, 1, NEWEST), Order(2, 50, NEWEST)])
        fill_tables(conn)
    with api(warehouse_dsn) as started:
        yield started


def listed(running: Api, customer: int, **parameters: int) -> list[tuple[int, int, bool]]:
    answer = running.get(f"/v1/customers/{customer}/recommendations", params=parameters)
    assert answer.status_code == 200, answer.text
    products = answer.json()["recommendations"]
    return [(each["rank"], each["product_id"], each["is_fallback"]) for each in products]


def test_a_customers_own_products_come_first_then_what_many_buy(running):
    assert listed(running, 1, limit=5) == [(1, 3, False), (2, 4, False), (3, 5, False), (4, 30, True), (5, 29, True)]
    first = running.get("/v1/customers/1/recommendations").json()["recommendations"][0]
    assert first == {
        "rank": 1,
        "product_id": 3,
        "score": 1.0,
        "source": "repeat",
        "is_fallback": False,
        "model_id": RUN,
        "computed_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
    }


def test_a_customer_without_a_list_gets_what_many_buy_and_nobody_is_not_found(running):
    assert listed(running, 50, limit=2) == [(1, 30, True), (2, 29, True)]
    assert running.get("/v1/customers/51/recommendations").status_code == 404


def test_products_of_the_same_orders_best_first(running):
    answer = running.get("/v1/products/1/bought-together?limit=2").json()
    listed = [(each["rank"], each["product_id"], each["lift"]) for each in answer["products"]]
    assert listed == [(1, 3, 2.5), (2, 4, 2.5)]
    assert len(running.get("/v1/products/1/bought-together").json()["products"]) == 5


def test_a_product_with_nothing_beside_it_is_another_thing_than_one_nobody_knows(running):
    assert running.get("/v1/products/30/bought-together").json() == {"product_id": 30, "products": []}
    assert running.get("/v1/products/31/bought-together").status_code == 404
