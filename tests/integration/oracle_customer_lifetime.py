"""What customers were worth so far, computed the plain way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tests.integration.purchase_facts import DAY, Fact, purchases_of, refunds_of


def plain_lifetime(facts: Sequence[Fact], customer: int, snapshot: datetime) -> dict[str, Any] | None:
    """Every feature of one customer at one snapshot, or None if they had bought nothing before it."""
    orders = purchases_of(facts, customer, snapshot)
    if not orders:
        return None
    refunds = refunds_of(facts, customer, snapshot)
    paid = sum(order.amount for order in orders)
    instants = sorted({order.paid_at for order in orders})
    gaps = [later - earlier for earlier, later in itertools.pairwise(instants)]
    by_day: dict[date, Decimal] = {}
    for order in orders:
        day = order.paid_at.astimezone(UTC).date()
        by_day[day] = by_day.get(day, Decimal(0)) + order.amount
    first_day, *repeat_days = sorted(by_day)
    return {
        "lifetime_tenure_days": (snapshot - instants[0]) / DAY,
        "repeat_purchase_days": len(repeat_days),
        "lifetime_recency_days": (max(by_day) - first_day).days,
        "lifetime_age_days": (snapshot.astimezone(UTC).date() - first_day).days,
        "average_repeat_day_amount": (
            float(sum(by_day[day] for day in repeat_days)) / len(repeat_days) if repeat_days else None
        ),
        "historic_value_amount": paid - sum(refund.amount for refund in refunds),
        "lifetime_paid_amount": paid,
        "average_order_amount": float(paid) / len(orders),
        "first_order_amount": orders[0].amount,
        "last_order_amount": orders[-1].amount,
        "largest_order_amount": max(order.amount for order in orders),
        "days_to_second_purchase": gaps[0].total_seconds() / 86400 if gaps else None,
        "largest_gap_days": max(gaps).total_seconds() / 86400 if gaps else None,
        "lifetime_refund_count": len(refunds),
    }
