"""The other charts of the page Shop: funnel, segments, pairs, order values; each None if there is nothing to draw."""

from __future__ import annotations

from typing import Any

from dashboard.charts import Chart
from dashboard.words import amount, number, share

Rows = list[dict[str, Any]]
STEPS = ("Product Viewed", "Product Added", "Checkout Started", "Order Completed")


def funnel_chart(rows: Rows, days: int) -> Chart | None:
    """Bars of the sessions that came to each step."""
    if not rows or not rows[0]["entered_count"]:
        return None
    first, last = rows[0], rows[-1]
    drops = [row for row in rows if row["share_of_previous"] is not None]
    worst = min(drops, key=lambda row: row["share_of_previous"], default=None)
    told = (
        f"Of {number(first['entered_count'])} sessions of the last {days} days that saw a product, "
        f"{number(last['entered_count'])} ended in an order: {share(last['overall_share'])}."
    )
    if worst:
        told += f" Most are lost before “{worst['step']}”: {share(worst['share_of_previous'], 0)} come there."
    steps = [{**row, "told": f"{number(row['entered_count'])} ({share(row['overall_share'], 0)})"} for row in rows]
    return Chart(
        name="funnel",
        title="From a look to an order",
        caption=told,
        columns={
            "step": "Step",
            "entered_count": "Sessions",
            "overall_share": "Of the first",
            "share_of_previous": "Of the step before",
            "seconds": "Typical time since the step before",
        },
        formats={"overall_share": "share", "share_of_previous": "share", "seconds": "seconds"},
        rows=steps,
        spec={
            "height": 38 * len(steps),
            "encoding": {
                "y": {"field": "step", "type": "nominal", "sort": list(STEPS), "title": None,
                      "axis": {"domain": False, "ticks": False}},
                "x": {"field": "entered_count", "type": "quantitative", "title": "sessions", "axis": {"tickCount": 4},
                      "scale": {"domain": [0, first["entered_count"] * 1.7]}},
            },
            "layer": [
                {"mark": {"type": "bar", "height": 24}},
                {"mark": {"type": "text", "align": "left", "dx": 6}, "encoding": {"text": {"field": "told"}}},
            ],
        },
    )  # fmt: skip


def segment_chart(rows: Rows, currency: str) -> Chart | None:
    """How many customers each segment has, and how much of the revenue."""
    if not rows:
        return None
    most = max(rows, key=lambda row: row["revenue_share"] or 0)
    return Chart(
        name="segments",
        title=f"Segments at the end of {rows[0]['month_on']:%B %Y}",
        caption=f"{most['segment']} are {share(most['customer_share'], 0)} of the customers and bring "
        f"{share(most['revenue_share'], 0)} of the revenue.",
        columns={
            "segment": "Segment",
            "customer_count": "Customers",
            "customer_share": "Of the customers",
            "net_amount": f"Net ({currency})",
            "revenue_share": "Of the revenue",
        },
        formats={"customer_share": "share", "net_amount": "number", "revenue_share": "share"},
        rows=rows,
        spec={
            "height": 34 * len(rows),
            "transform": [{"fold": ["customer_share", "revenue_share"], "as": ["measure", "part"]}],
            "mark": {"type": "bar"},
            "encoding": {
                "y": {"field": "segment", "type": "nominal", "sort": [row["segment"] for row in rows], "title": None,
                      "scale": {"paddingInner": 0.25}},
                "yOffset": {"field": "measure", "type": "nominal"},
                "x": {"field": "part", "type": "quantitative", "title": None,
                      "axis": {"format": ".0%", "tickCount": 5}},
                "color": {"field": "measure", "type": "nominal", "title": None, "legend": {
                    "labelExpr": "datum.label == 'customer_share' ? 'of the customers' : 'of the revenue'"}},
                "tooltip": [{"field": "segment"}, {"field": "customer_count", "title": "customers", "format": ","},
                            {"field": "customer_share", "title": "of the customers", "format": ".1%"},
                            {"field": "revenue_share", "title": "of the revenue", "format": ".1%"}],
            },
        },
    )  # fmt: skip


def pairs_chart(rows: Rows) -> Chart | None:
    """How many times as often as by chance two products are in one basket."""
    if not rows:
        return None
    best = rows[0]
    return Chart(
        name="pairs",
        title="Bought together",
        caption=f"{best['pair']} are together in {number(best['support_count'])} baskets, "
        f"{number(best['lift'], 1)} times as often as by chance. Only pairs in enough baskets are counted.",
        columns={
            "pair": "Pair",
            "support_count": "Baskets",
            "confidence": "Of the first's, with the second",
            "reverse_confidence": "Of the second's, with the first",
            "lift": "Times chance",
        },
        formats={"confidence": "share", "reverse_confidence": "share"},
        rows=rows,
        spec={
            "height": 26 * len(rows),
            "mark": {"type": "bar", "height": 16},
            "encoding": {
                "y": {"field": "pair", "type": "nominal", "sort": None, "title": None,
                      "axis": {"labelLimit": 210, "domain": False, "ticks": False}},
                "x": {"field": "lift", "type": "quantitative", "title": "times chance",
                      "axis": {"tickCount": 4}},
                "tooltip": [{"field": "pair"}, {"field": "support_count", "title": "baskets", "format": ","},
                            {"field": "lift", "title": "times chance", "format": ".2f"},
                            {"field": "confidence", "title": "first, then second", "format": ".0%"},
                            {"field": "reverse_confidence", "title": "second, then first", "format": ".0%"}],
            },
        },
    )  # fmt: skip


def order_value_chart(rows: Rows, currency: str) -> Chart | None:
    """The spread of order amounts as boxes."""
    if not rows:
        return None
    every = rows[0]
    y = {"field": "kind", "type": "nominal", "sort": [row["kind"] for row in rows], "title": None}
    return Chart(
        name="order_values",
        title="What an order is worth",
        caption=f"Half of the orders are between {amount(every['p25_amount'], currency)} and "
        f"{amount(every['p75_amount'], currency)}, the middle one is {amount(every['median_amount'], currency)}. "
        "Boxes hold the middle half, lines 90 % of the orders; of a category, its part of the order.",
        columns={
            "kind": "Orders",
            "order_count": "Count",
            "mean_amount": f"Mean ({currency})",
            "p05_amount": "5 %",
            "p25_amount": "25 %",
            "median_amount": "Median",
            "p75_amount": "75 %",
            "p95_amount": "95 %",
            "gini": "Gini",
            "top_10_percent_share": "Share of the top 10 %",
        },
        formats={
            **dict.fromkeys(
                ("mean_amount", "p05_amount", "p25_amount", "median_amount", "p75_amount", "p95_amount"), "number"
            ),
            "top_10_percent_share": "share",
        },
        rows=rows,
        spec={
            "height": 24 * len(rows),
            "encoding": {"y": y},
            "layer": _box_layers(currency),
        },
    )


def _box_layers(currency: str) -> list[dict[str, Any]]:
    """A line for 90 % of the orders, a box for the middle half, a tick for the middle one."""
    return [
        {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {
                "x": {"field": "p05_amount", "type": "quantitative", "title": f"{currency} per order"},
                "x2": {"field": "p95_amount"},
            },
        },
        {
            "mark": {"type": "bar", "height": 13, "cornerRadius": 2},
            "encoding": {
                "x": {"field": "p25_amount", "type": "quantitative"},
                "x2": {"field": "p75_amount"},
                "color": {"field": "scope", "type": "nominal", "title": None,
                          "scale": {"domain": ["all", "country", "category"]}},
                "tooltip": [
                    {"field": "kind", "title": "orders"},
                    {"field": "order_count", "title": "count", "format": ","},
                    *({"field": f"{key}_amount", "title": key, "format": ",.2f"}
                      for key in ("p05", "p25", "median", "p75", "p95", "mean")),
                ],
            },
        },
        {
            "mark": {"type": "tick", "color": "var(--paper)", "thickness": 2, "height": 13},
            "encoding": {"x": {"field": "median_amount", "type": "quantitative"}},
        },
    ]  # fmt: skip
