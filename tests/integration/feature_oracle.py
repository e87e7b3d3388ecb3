"""Every feature of one customer at one snapshot, computed the plain way from the facts before it."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from tests.integration.feature_shop import Event, Fact, Order, Refund

SEGMENTS = {  # recency score, then frequency score 1 to 5
    5: ("New", "Potential Loyalist", "Potential Loyalist", "Champions", "Champions"),
    4: ("Promising", "Potential Loyalist", "Potential Loyalist", "Champions", "Champions"),
    3: ("About To Sleep", "About To Sleep", "Need Attention", "Loyal", "Loyal"),
    2: ("Hibernating", "Hibernating", "At Risk", "At Risk", "Cannot Lose Them"),
    1: ("Hibernating", "Hibernating", "At Risk", "At Risk", "Cannot Lose Them"),
}


def days(span: timedelta) -> float:
    return span.total_seconds() / 86400


def fifths(values: dict[int, object]) -> dict[int, int]:
    """Five groups of customers by (value, customer), as even as can be, the larger ones first."""
    ordered = sorted(values, key=lambda customer: (values[customer], customer))
    size, larger = divmod(len(ordered), 5)
    scores: dict[int, int] = {}
    for score in range(1, 6):
        for _ in range(size + (score <= larger)):
            scores[ordered[len(scores)]] = score
    return scores


class Past:
    """What happened strictly before a snapshot."""

    def __init__(self, facts: Iterable[Fact], snapshot: datetime) -> None:
        facts = list(facts)
        self.snapshot = snapshot
        all_orders = [fact for fact in facts if isinstance(fact, Order)]
        self.owner = {order.order_id: order.customer_id for order in all_orders}
        self.orders = [order for order in all_orders if order.paid_at is not None and order.paid_at < snapshot]
        self.refunds = [fact for fact in facts if isinstance(fact, Refund) and fact.refunded_at < snapshot]
        self.events = [fact for fact in facts if isinstance(fact, Event) and fact.occurred_at < snapshot]
        self.customers = sorted({order.customer_id for order in self.orders if order.customer_id is not None})

    def orders_of(self, customer: int) -> list[Order]:
        return [order for order in self.orders if order.customer_id == customer]

    def refunds_of(self, customer: int) -> list[Refund]:
        def whose(refund: Refund) -> int | None:
            return refund.customer_id if refund.customer_id is not None else self.owner.get(refund.order_id)

        return [refund for refund in self.refunds if whose(refund) == customer]

    def rfm(self) -> dict[int, dict[str, object]]:
        last = {c: max(order.paid_at for order in self.orders_of(c)) for c in self.customers}
        frequency = {c: len(self.orders_of(c)) for c in self.customers}
        monetary = {
            c: sum((o.amount for o in self.orders_of(c)), Decimal(0)) - sum(r.amount for r in self.refunds_of(c))
            for c in self.customers
        }
        scores = fifths(last), fifths(frequency), fifths(monetary)
        return {
            c: {
                "recency_days": days(self.snapshot - last[c]),
                "frequency": frequency[c],
                "monetary_amount": monetary[c],
                "recency_score": scores[0][c],
                "frequency_score": scores[1][c],
                "monetary_score": scores[2][c],
                "segment": SEGMENTS[scores[0][c]][scores[1][c] - 1],
            }
            for c in self.customers
        }

    def activity(self) -> dict[int, dict[str, object]]:
        return {customer: self._activity_of(customer) for customer in self.customers}

    def _activity_of(self, customer: int) -> dict[str, object]:
        orders = self.orders_of(customer)
        instants = sorted({order.paid_at for order in orders})
        gaps = [(later, days(later - earlier)) for earlier, later in itertools.pairwise(instants)]
        row: dict[str, object] = {}
        for width in (30, 90, 365):
            start = self.snapshot - timedelta(days=width)
            inside = [order for order in orders if order.paid_at >= start]
            products = {product for order in inside for product in order.products if product is not None}
            refunds = [refund for refund in self.refunds_of(customer) if refund.refunded_at >= start]
            events = [e for e in self.events if e.customer_id == customer and e.occurred_at >= start]
            recent_gaps = [gap for ended_at, gap in gaps if ended_at >= start]
            row |= {
                f"order_count_{width}d": len(inside),
                f"revenue_amount_{width}d": sum((order.amount for order in inside), Decimal(0)),
                f"refund_amount_{width}d": sum((refund.amount for refund in refunds), Decimal(0)),
                f"distinct_product_count_{width}d": len(products),
                f"event_count_{width}d": len(events),
                f"gap_mean_days_{width}d": statistics.fmean(recent_gaps) if recent_gaps else None,
                f"gap_deviation_days_{width}d": statistics.stdev(recent_gaps) if len(recent_gaps) > 1 else None,
            }
        typical = statistics.fmean([gap for _, gap in gaps]) if gaps else None
        return row | {
            "typical_gap_days": typical,
            "tenure_days": days(self.snapshot - instants[0]),
            "recency_over_typical_gap": days(self.snapshot - instants[-1]) / typical if typical else None,
        }
