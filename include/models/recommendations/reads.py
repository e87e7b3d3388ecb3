"""Reads of what was published. One statement each, so that a reader sees one publication and never half of one.

The statements stand here as constants for callers with another kind of connection. What has been sold out or taken
off the shop since the publication is left out when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

RECOMMENDATIONS_SQL = """
-- One row per product recommended to the customer, best first; popular ones where their own list is too short.
WITH own AS (
    SELECT
        1 AS part,
        recommendations.rank,
        recommendations.product_id,
        recommendations.score,
        recommendations.source,
        recommendations.model_id,
        recommendations.computed_at
    FROM ml.recommendations
    INNER JOIN ml.recommendable_products ON recommendations.product_id = recommendable_products.product_id
    WHERE recommendations.customer_id = %(customer_id)s
    ORDER BY recommendations.rank
    LIMIT %(limit)s
),

popular AS (
    SELECT
        2 AS part,
        popular_products.rank,
        popular_products.product_id,
        popular_products.score,
        'popularity' AS source,
        popular_products.model_id,
        popular_products.computed_at
    FROM ml.popular_products
    INNER JOIN ml.recommendable_products ON popular_products.product_id = recommendable_products.product_id
    WHERE popular_products.product_id NOT IN (SELECT own.product_id FROM own)
    ORDER BY popular_products.rank
    LIMIT greatest(%(limit)s - (SELECT count(*) FROM own), 0)
)

SELECT
    row_number() OVER (ORDER BY part, rank) AS rank,
    product_id,
    score,
    source,
    part = 2 OR source = 'popularity' AS is_fallback,
    model_id,
    computed_at
FROM (SELECT * FROM own UNION ALL SELECT * FROM popular) AS listed
ORDER BY part, rank
"""
"""Parameters: customer_id (bigint), limit (how many at most, from 0). Columns: those of `Recommendation`."""

BOUGHT_TOGETHER_SQL = """
-- One row per product that is bought in the same orders, best first.
SELECT
    row_number() OVER (ORDER BY bought_together.rank) AS rank,
    bought_together.other_product_id AS product_id,
    bought_together.order_count,
    bought_together.support,
    bought_together.confidence,
    bought_together.reverse_confidence,
    bought_together.lift,
    bought_together.model_id,
    bought_together.computed_at
FROM ml.bought_together
INNER JOIN ml.recommendable_products ON bought_together.other_product_id = recommendable_products.product_id
WHERE bought_together.product_id = %(product_id)s
ORDER BY bought_together.rank
LIMIT %(limit)s
"""
"""Parameters: product_id (bigint), limit (how many at most, from 0). Columns: those of `BoughtTogether`."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One product of a customer's list; the columns of `RECOMMENDATIONS_SQL` in order.

    :param rank: 1 is the best.
    :param score: comparable within a list, and not with those that it was filled up with.
    :param source: what spoke for it most: `repeat`, `item_to_item`, `factors` or `popularity`.
    :param is_fallback: it is there because it is popular, not for what this customer bought.
    :param computed_at: when the list was published, in UTC.
    """

    rank: int
    product_id: int
    score: float
    source: str
    is_fallback: bool
    model_id: str
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class BoughtTogether:
    """Another product of the same orders; the columns of `BOUGHT_TOGETHER_SQL` in order.

    :param rank: 1 is the best.
    :param product_id: the other product.
    :param order_count: orders with both.
    :param support: share of all orders that have both, 0 to 1.
    :param confidence: share of the orders with the product asked about that have this one too, 0 to 1.
    :param reverse_confidence: share of the orders with this one that have the product asked about too, 0 to 1.
    :param lift: how many times more often both are in an order than by chance; above 1.
    """

    rank: int
    product_id: int
    order_count: int
    support: float
    confidence: float
    reverse_confidence: float
    lift: float
    model_id: str
    computed_at: datetime


def recommendations_for(conn: Connection, customer_id: int, *, limit: int = 10) -> list[Recommendation]:
    """What to recommend to a customer now, best first; to a customer nobody knows, what is popular.

    :returns: at most `limit`; fewer, or none, where the shop has no more that it sells.
    """
    rows = conn.execute(RECOMMENDATIONS_SQL, {"customer_id": customer_id, "limit": limit}).fetchall()
    return [Recommendation(*row) for row in rows]


def bought_together(conn: Connection, product_id: int, *, limit: int = 10) -> list[BoughtTogether]:
    """What is bought in the same orders as a product, best first; empty if nothing is, or nobody knows the product."""
    rows = conn.execute(BOUGHT_TOGETHER_SQL, {"product_id": product_id, "limit": limit}).fetchall()
    return [BoughtTogether(*row) for row in rows]
