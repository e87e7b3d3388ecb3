"""What the warehouse knows of one customer, without e-mail and names: purchases, features over time, scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import Connection, sql

from include.features.definitions.versions import UnknownVersion, current_version
from include.features.definitions.view import FeatureView


@dataclass(frozen=True, slots=True)
class CustomerSummary:
    """Who it is, as far as it is nobody's business to hide.

    :param country: two letters, as the customer gave it.
    :param order_count: paid orders.
    :param first_paid_at, last_paid_at: of paid orders, in UTC.
    :param paid_amounts: currency to what was paid less what was given back.
    """

    customer_id: int
    country: str | None
    registered_at: datetime | None
    order_count: int
    first_paid_at: datetime | None
    last_paid_at: datetime | None
    paid_amounts: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class CustomerOrder:
    """One order.

    :param paid_at: None while it is not paid, in UTC.
    :param refund_amount: given back of it so far, in its currency.
    :param unit_count: units of products in it.
    :param products: names of the first products in it.
    """

    order_id: int
    placed_at: datetime
    paid_at: datetime | None
    currency: str
    total_amount: Decimal
    refund_amount: Decimal
    unit_count: int
    products: Sequence[str]


@dataclass(frozen=True, slots=True)
class CustomerScore:
    """One row of `ml.customer_scores`; amounts in the currency of the shop.

    :param reasons: a list of {feature, value, effect, text}, the strongest first.
    """

    snapshot_at: datetime
    model_id: str
    model_version: str
    churn_probability: float
    churn_decile: int
    reasons: Sequence[dict[str, Any]]
    value_amount: float | None
    value_low_amount: float | None
    value_high_amount: float | None
    horizon_days: int | None


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """The rows of one customer in one view, oldest first.

    :param rows: (snapshot, values in the order of `view.features`).
    """

    view: FeatureView
    rows: list[tuple[datetime, tuple[Any, ...]]]


def customer_summary(conn: Connection, customer_id: int) -> CustomerSummary | None:
    """None if neither the shop's customers, nor its orders, nor any score know the number."""
    row = conn.execute(
        """
        SELECT
            customers.country,
            customers.registered_at,
            purchases.order_count,
            purchases.first_paid_at,
            purchases.last_paid_at,
            customers.customer_id IS NOT NULL
            OR EXISTS (SELECT FROM shop.orders WHERE orders.customer_id = wanted.customer_id)
            OR EXISTS (SELECT FROM ml.customer_scores AS scores WHERE scores.customer_id = wanted.customer_id)
        FROM (SELECT %s::bigint AS customer_id) AS wanted
        LEFT JOIN shop.customers ON wanted.customer_id = customers.customer_id
        CROSS JOIN LATERAL (
            SELECT count(*) AS order_count, min(paid_at) AS first_paid_at, max(paid_at) AS last_paid_at
            FROM shop.orders
            WHERE orders.customer_id = wanted.customer_id AND paid_at IS NOT NULL
        ) AS purchases
        """,
        (customer_id,),
    ).fetchone()
    assert row is not None
    country, registered_at, order_count, first_paid_at, last_paid_at, is_known = row
    if not is_known:
        return None
    paid = _paid(conn, customer_id)
    return CustomerSummary(customer_id, country, registered_at, order_count, first_paid_at, last_paid_at, paid)


def _paid(conn: Connection, customer_id: int) -> dict[str, Decimal]:
    rows = conn.execute(
        """
        SELECT currency, sum(amount) FROM (
            SELECT currency, total_amount AS amount FROM shop.orders
            WHERE customer_id = %(customer_id)s AND paid_at IS NOT NULL
            UNION ALL
            SELECT currency, -refund_amount FROM shop.refunds WHERE customer_id = %(customer_id)s
            UNION ALL
            SELECT refunds.currency, -refunds.refund_amount
            FROM shop.orders INNER JOIN shop.refunds ON orders.order_id = refunds.order_id
            WHERE orders.customer_id = %(customer_id)s AND refunds.customer_id IS NULL
        ) AS amounts
        GROUP BY currency ORDER BY currency
        """,
        {"customer_id": customer_id},
    ).fetchall()
    return dict(rows)


def customer_orders(conn: Connection, customer_id: int, *, limit: int) -> list[CustomerOrder]:
    """The newest orders, at most `limit`, the last placed first."""
    rows = conn.execute(
        """
        SELECT
            newest.order_id,
            newest.placed_at,
            newest.paid_at,
            newest.currency,
            newest.total_amount,
            coalesce((
                SELECT sum(refunds.refund_amount) FROM shop.refunds WHERE refunds.order_id = newest.order_id
            ), 0),
            coalesce(lines.unit_count, 0),
            coalesce(lines.products, '{}')
        FROM (
            SELECT * FROM shop.orders WHERE customer_id = %(customer_id)s
            ORDER BY placed_at DESC, order_id DESC LIMIT %(limit)s
        ) AS newest
        CROSS JOIN LATERAL (
            SELECT sum(quantity)::bigint AS unit_count, (array_agg(name ORDER BY line_id))[:3] AS products
            FROM shop.order_lines
            WHERE order_lines.order_id = newest.order_id AND kind = 'product'
        ) AS lines
        ORDER BY newest.placed_at DESC, newest.order_id DESC
        """,
        {"customer_id": customer_id, "limit": limit},
    ).fetchall()
    return [CustomerOrder(*row) for row in rows]


def customer_scores(conn: Connection, customer_id: int, *, limit: int) -> list[CustomerScore]:
    """The newest scores, at most `limit`, oldest first; of two models at a snapshot the one that scored last."""
    rows = conn.execute(
        """
        SELECT * FROM (
            SELECT DISTINCT ON (scores.snapshot_at)
                scores.snapshot_at, scores.model_id, scores.model_version, scores.churn_probability,
                scores.churn_decile, scores.reasons, scores.value_amount, scores.value_low_amount,
                scores.value_high_amount, runs.horizon_days
            FROM ml.customer_scores AS scores
            LEFT JOIN ml.score_runs AS runs
                ON scores.model_id = runs.model_id AND scores.snapshot_at = runs.snapshot_at
            WHERE scores.customer_id = %(customer_id)s
            ORDER BY scores.snapshot_at DESC, runs.scored_at DESC NULLS LAST, scores.model_id
            LIMIT %(limit)s
        ) AS newest
        ORDER BY snapshot_at
        """,
        {"customer_id": customer_id, "limit": limit},
    ).fetchall()
    return [CustomerScore(*row) for row in rows]


def customer_features(conn: Connection, view: FeatureView, customer_id: int, *, limit: int) -> FeatureRows:
    """The newest snapshots of a customer in a view, at most `limit`, each as it is known now.

    A view that was never built as it is defined now has no rows.
    """
    try:
        version = current_version(conn, view)
    except UnknownVersion:
        return FeatureRows(view, [])
    rows = conn.execute(
        sql.SQL(
            """
            SELECT event_time, is_tombstone, {features} FROM (
                SELECT DISTINCT ON (event_time) * FROM {history}
                WHERE customer_id = %(customer_id)s
                ORDER BY event_time DESC, available_time DESC, seq DESC
                LIMIT %(limit)s
            ) AS newest
            ORDER BY event_time
            """
        ).format(features=version.features, history=version.history),
        {"customer_id": customer_id, "limit": limit},
    ).fetchall()
    return FeatureRows(view, [(at, tuple(values)) for at, is_tombstone, *values in rows if not is_tombstone])
