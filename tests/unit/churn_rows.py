"""Made-up rows for the churn model: customers with histories after the BG/NBD story, at several snapshots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from include.models.churn.candidates import LabelledRows
from include.models.churn.inputs import INPUTS

FIRST = datetime(2023, 4, 1, tzinfo=UTC)
HORIZON_DAYS = 90


def made_up_rows(
    *, seed: int, customers: int = 400, snapshots: int = 8, step_days: int = 28, first: datetime = FIRST
) -> LabelledRows:
    """Per customer a rate and a last day; features at each snapshot and whether no purchase follows within 90 days."""
    random = np.random.default_rng(seed)
    rates, joined = random.gamma(1.2, 1 / 25, customers), random.uniform(-200, 0, customers)
    stops = random.beta(0.8, 3, customers)
    found: list[dict[str, object]] = []
    for customer in range(customers):
        purchases = [joined[customer]]
        while purchases[-1] < snapshots * step_days + 400 and random.random() > stops[customer]:
            purchases.append(purchases[-1] + random.exponential(1 / max(rates[customer], 1e-4)))
        instants = np.array(purchases)
        for number in range(snapshots):
            at = number * step_days
            before = instants[instants < at]
            if len(before) and at - before[-1] <= 365:
                is_churned = not ((instants >= at) & (instants < at + HORIZON_DAYS)).any()
                found.append(
                    _row(random, customer + 1, first + timedelta(days=at), before, at) | {"is_churned": is_churned}
                )
    types = {"integer": pa.int64(), "text": pa.string()}
    schema = pa.schema(
        [("customer_id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("is_churned", pa.bool_())]
        + [(each.name, types.get(each.type, pa.float64())) for each in INPUTS.values()]
        + [("recency_days", pa.float64())]
        + [(f"{name}_score", pa.int64()) for name in ("recency", "frequency", "monetary")]
    )
    order = sorted(range(len(found)), key=lambda place: (found[place]["at"], found[place]["customer_id"]))
    return LabelledRows(pa.Table.from_pylist([found[place] for place in order], schema=schema))


def _row(random: np.random.Generator, customer: int, at: datetime, before: np.ndarray, day: float) -> dict[str, object]:
    gaps = np.diff(before)
    recency, tenure = day - before[-1], day - before[0]
    row: dict[str, object] = {
        "customer_id": customer,
        "at": at,
        "recency_days": recency,
        "recency_days_now": recency,
        "recency_over_typical_gap": recency / gaps.mean() if len(gaps) else None,
        "frequency": len(before),
        "repeat_purchase_days": len(before) - 1,
        "lifetime_age_days": int(np.ceil(tenure)),
        "tenure_days": tenure,
        "typical_gap_days": gaps.mean() if len(gaps) else None,
        "largest_gap_days": gaps.max() if len(gaps) else None,
        "favourite_category_365d": random.choice(["tea", "cups", "lamps", None]),
        "average_order_amount": float(random.lognormal(3, 0.5)),
        "refund_amount_365d": float(-random.exponential(3)),
        "request_day_of_year": at.timetuple().tm_yday,
        "recency_score": int(6 - min(5, 1 + recency // 40)),
        "frequency_score": int(min(5, len(before))),
        "monetary_score": int(random.integers(1, 6)),
    }
    for days in (30, 90, 365):
        row[f"order_count_{days}d"] = int((before >= day - days).sum())
    return row
