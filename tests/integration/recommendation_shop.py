"""A shop with tastes, made in Python, for tests of recommendations."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta

from psycopg import Connection

from include.entities.window import Window
from tests.integration.feature_shop import DAY, Order, day, load

START = day("2024-01-01")
DAYS = 240
END = START + DAY * DAYS
WINDOW = Window(END - DAY, END)
PRODUCTS = range(1, 41)
PROVENANCE = "'test', '2000-01-01Z', '00000000-0000-0000-0000-000000000000', '2000-01-01Z', '2000-01-01Z'"


def add_products(
    conn: Connection, products: Iterable[int], *, stock_status: str | None = "instock", is_published: bool = True
) -> None:
    for product_id in products:
        conn.execute(
            "INSERT INTO shop.products VALUES (%s, NULL, 'p', 1, 'GBP', '[]', '{}', %s, %s, NULL, " + PROVENANCE + ")",
            (product_id, stock_status, is_published),
        )


def orders_with_tastes(seed: int, *, customers: int = 120) -> list[Order]:
    """Each customer buys within one of four tastes of ten products, what they bought before more than what is new.

    Some orders are of guests, some were never paid, some hold a product twice.
    """
    rng = random.Random(seed)
    orders: list[Order] = []
    for customer in range(1, customers + 1):
        taste, known = customer % 4, []
        instant = START + DAY * rng.uniform(0, 60)
        while instant < END:
            products = []
            for _ in range(rng.randint(1, 4)):
                if known and rng.random() < 0.5:
                    products.append(rng.choice(known))
                else:
                    products.append(1 + taste * 10 + min(int(rng.expovariate(0.35)), 9))
            known += products
            owner = None if rng.random() < 0.05 else customer
            paid_at = None if rng.random() < 0.03 else instant + timedelta(seconds=1)
            orders.append(Order(len(orders) + 1, owner, paid_at, products=tuple(products)))
            instant += DAY * rng.expovariate(1 / 25)
    return orders


def random_orders(seed: int, *, customers: int = 120) -> list[Order]:
    """Everybody buys anything, all alike: nothing to be learned."""
    rng = random.Random(seed)
    return [
        Order(number, rng.randint(1, customers), START + DAY * rng.uniform(0, DAYS), products=(rng.choice(PRODUCTS),))
        for number in range(1, 1200)
    ]


def fill(conn: Connection, orders: list[Order], *, products: Iterable[int] = PRODUCTS) -> None:
    add_products(conn, products)
    load(conn, orders)
