"""Shop: revenue, who comes back, the way to an order, segments, what is bought together, what an order is worth."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from dashboard.pages import shop_charts as charts
from dashboard.pages import shop_over_time as over_time
from dashboard.pages import shop_queries as marts
from dashboard.shell import BadQuestion, Page, WarehouseConnection, show

LENGTHS = {90: "90 days", 365: "a year", 730: "two years"}
COHORT_MEASURES = {"retention": "who comes back", "value": "what they have paid"}
FUNNEL_DAYS = 28

page = Page(name="shop", title="Shop", place=2)


@page.router.get("/shop")
def shop(
    request: Request,
    conn: WarehouseConnection,
    currency: Annotated[str, Query(max_length=10)] = "",
    days: int = 365,
    cohorts: str = "retention",
) -> HTMLResponse:
    """What the marts hold, of one currency: amounts are never added across currencies.

    :param currency: ISO 4217 code; by default the one with the most orders.
    """
    if days not in LENGTHS:
        raise BadQuestion(f"{days} days cannot be shown. Choose {', '.join(map(str, LENGTHS))}.")
    if cohorts not in COHORT_MEASURES:
        raise BadQuestion(f"Cohorts know no {cohorts!r}. Choose {' or '.join(COHORT_MEASURES)}.")
    known = marts.currencies(conn)
    if not known:
        return show(request, page, "shop.html", is_empty=True)
    if currency and currency not in known:
        raise BadQuestion(f"Nothing was sold in {currency!r}. Choose {', '.join(known)}.")
    currency = currency or known[0]
    until = marts.last_day(conn, currency)
    values = marts.order_values(conn, currency)
    return show(
        request, page, "shop.html", is_empty=False, currency=currency, currencies=known, days=days, lengths=LENGTHS,
        cohorts=cohorts, cohort_measures=COHORT_MEASURES, until=until,
        totals=marts.totals(conn, currency, until=until),
        months=marts.months(conn, currency, until=until),
        revenue=over_time.revenue_chart(marts.revenue(conn, currency, until=until, days=days), currency),
        cohort=over_time.cohort_chart(marts.cohorts(conn, currency), currency, is_value=cohorts == "value"),
        funnel=charts.funnel_chart(marts.funnel(conn, days=FUNNEL_DAYS), FUNNEL_DAYS),
        devices=_conversion(marts.funnel(conn, days=FUNNEL_DAYS, by="device")),
        sources=_conversion(marts.funnel(conn, days=FUNNEL_DAYS, by="source")),
        segments=charts.segment_chart(marts.segments(conn, currency), currency),
        movements=marts.movements(conn, currency),
        pairs=charts.pairs_chart(marts.pairs(conn)),
        order_values=charts.order_value_chart(values, currency),
        spread=values[0] if values else None,
        products=marts.products(conn, currency),
    )  # fmt: skip


def _conversion(rows: marts.Rows) -> marts.Rows:
    """First and last step of each part, the most sessions first."""
    last = max((row["step_number"] for row in rows), default=0)
    first = {row["part"]: row["entered_count"] for row in rows if row["step_number"] == 1}
    ends = [{**row, "session_count": first.get(row["part"], 0)} for row in rows if row["step_number"] == last]
    return sorted(ends, key=lambda row: -row["session_count"])
