"""Reads of published recommendations: order, fallback, and what has stopped being for sale since."""

from __future__ import annotations

import pytest

from include.models.recommendations.reads import bought_together, recommendations_for
from tests.integration.feature_shop import NOW

PROVENANCE = "'test', '2000-01-01Z', '00000000-0000-0000-0000-000000000000', '2000-01-01Z', '2000-01-01Z'"
MODEL = "recommendations-1"
SOLD = range(1, 9)


def add_products(conn, products, *, stock_status: str | None = "instock", is_published: bool = True) -> None:
    for product_id in products:
        conn.execute(
            "INSERT INTO shop.products VALUES (%s, NULL, 'p', 1, 'GBP', '[]', '{}', %s, %s, NULL, " + PROVENANCE + ")",
            (product_id, stock_status, is_published),
        )


@pytest.fixture
def published(warehouse):
    """Customer 1 has products 3, 2 and 1; 5, 3, 4 and 6 are popular; 1 is bought with 2 and 3."""
    add_products(warehouse, SOLD)
    warehouse.execute(
        """INSERT INTO ml.recommendation_runs (model_id, as_of, parameters, data_digest, file_path, purchase_count,
        customer_count, product_count, status, built_at) VALUES (%s, %s, '{}', '', '', 1, 1, 1, 'published', %s)""",
        (MODEL, NOW, NOW),
    )
    for rank, product in enumerate((3, 2, 1), 1):
        warehouse.execute(
            "INSERT INTO ml.recommendations VALUES (1, %s, %s, %s, 'repeat', %s, %s)",
            (product, rank, 1 / rank, MODEL, NOW),
        )
    for rank, product in enumerate((5, 3, 4, 6), 1):
        warehouse.execute(
            "INSERT INTO ml.popular_products VALUES (%s, %s, %s, %s, %s)", (product, rank, 9 / rank, MODEL, NOW)
        )
    for rank, other in enumerate((3, 2), 1):
        warehouse.execute(
            "INSERT INTO ml.bought_together VALUES (1, %s, %s, 4, 0.1, 0.5, 0.25, 2.5, %s, %s)",
            (other, rank, MODEL, NOW),
        )
    warehouse.commit()
    return warehouse


def listed(conn, customer: int, *, limit: int = 10) -> list[tuple[int, bool]]:
    rows = recommendations_for(conn, customer, limit=limit)
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
    return [(row.product_id, row.is_fallback) for row in rows]


def test_a_customers_own_list_comes_first_and_is_filled_up_with_what_is_popular(published):
    assert listed(published, 1) == [(3, False), (2, False), (1, False), (5, True), (4, True), (6, True)]
    assert listed(published, 1, limit=4) == [(3, False), (2, False), (1, False), (5, True)]
    assert listed(published, 1, limit=2) == [(3, False), (2, False)]
    assert listed(published, 1, limit=0) == []


def test_a_customer_whom_nobody_knows_gets_what_is_popular(published):
    assert listed(published, 999, limit=3) == [(5, True), (3, True), (4, True)]
    row = recommendations_for(published, 999, limit=1)[0]
    assert (row.source, row.score, row.model_id, row.computed_at) == ("popularity", 9.0, MODEL, NOW)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE shop.products SET stock_status = 'outofstock' WHERE product_id IN (3, 5)",
        "UPDATE shop.products SET is_published = false WHERE product_id IN (3, 5)",
        "DELETE FROM shop.products WHERE product_id IN (3, 5)",
        "INSERT INTO shop.order_lines SELECT 1, p, 'fee', p, NULL, 'f', 1, 1, 1, " + PROVENANCE + " FROM unnest('{3,5}'"
        "::bigint[]) AS p",
        "INSERT INTO shop.order_lines SELECT 1, p, 'shipping', p, NULL, 'f', 1, 1, 1, "
        + PROVENANCE
        + " FROM unnest('{3,5}'::bigint[]) AS p",
    ],
    ids=["sold out", "unpublished", "gone", "a fee", "shipping"],
)
def test_what_is_no_longer_for_sale_is_left_out_at_once(published, change):
    published.execute(change)
    assert listed(published, 1) == [(2, False), (1, False), (4, True), (6, True)]
    assert listed(published, 999) == [(4, True), (6, True)]
    assert [row.product_id for row in bought_together(published, 1)] == [2]


def test_what_can_be_ordered_although_it_is_not_there_and_unknown_stock_are_shown(published):
    published.execute("UPDATE shop.products SET stock_status = 'onbackorder' WHERE product_id = 3")
    published.execute("UPDATE shop.products SET stock_status = NULL WHERE product_id = 2")
    assert listed(published, 1, limit=2) == [(3, False), (2, False)]


def test_what_is_bought_together_comes_with_its_figures(published):
    rows = bought_together(published, 1)
    assert [(row.rank, row.product_id) for row in rows] == [(1, 3), (2, 2)]
    assert (rows[0].order_count, rows[0].support, rows[0].confidence) == (4, 0.1, 0.5)
    assert (rows[0].reverse_confidence, rows[0].lift, rows[0].computed_at) == (0.25, 2.5, NOW)
    assert [row.product_id for row in bought_together(published, 1, limit=1)] == [3]
    assert bought_together(published, 999) == []


def test_an_empty_shop_has_nothing_to_recommend(warehouse):
    assert listed(warehouse, 1) == []
    assert bought_together(warehouse, 1) == []
