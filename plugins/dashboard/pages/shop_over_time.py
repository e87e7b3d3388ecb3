"""The charts of the page Shop that are about time: revenue and cohorts. Each is None if there is nothing to draw."""

from __future__ import annotations

from typing import Any

from dashboard.charts import Chart
from dashboard.words import amount, change, day, number, share

Rows = list[dict[str, Any]]
DASHES = {"net_average_7_days": [1, 0], "net_average_28_days": [1, 0], "year_before_average_7_days": [4, 3]}


def revenue_chart(rows: Rows, currency: str) -> Chart | None:
    """Net by day, its averages, and the average a year before."""
    if not rows:
        return None
    last = rows[-1]
    averages = {
        "net_average_7_days": "7-day average",
        "net_average_28_days": "28-day average",
        "year_before_average_7_days": "7-day average a year before",
    }
    shown = {key: title for key, title in averages.items() if any(row[key] is not None for row in rows)}
    return Chart(
        name="revenue",
        title="Net revenue by day",
        caption=_revenue_words(rows, last, currency),
        columns={"sold_on": "Day", "net_amount": f"Net ({currency})", "order_count": "Orders", **averages},
        formats=dict.fromkeys(("net_amount", *averages), "number"),
        rows=rows,
        spec={
            "height": 280,
            "layer": _revenue_layers(shown, currency),
        },
    )


def _revenue_layers(shown: dict[str, str], currency: str) -> list[dict[str, Any]]:
    """Bars of the days, lines of the averages, and a diamond on each unusual day.

    :param shown: title of each average by its key.
    """
    time = {"field": "sold_on", "type": "temporal", "title": None, "axis": {"format": "%e %b %y"}}
    return [
        {
            "mark": {"type": "bar", "opacity": 0.3, "color": "var(--c8)"},
            "encoding": {
                "x": time,
                "y": {"field": "net_amount", "type": "quantitative", "title": f"{currency} a day"},
                "tooltip": [
                    {"field": "sold_on", "type": "temporal", "title": "day", "format": "%a %e %b %Y"},
                    {"field": "net_amount", "title": "net", "format": ",.0f"},
                    {"field": "order_count", "title": "orders", "format": ","},
                    *({"field": key, "title": title, "format": ",.0f"} for key, title in shown.items()),
                ],
            },
        },
        {
            "transform": [
                {"fold": list(shown), "as": ["average", "amount"]},
                {"filter": "isValid(datum.amount)"},
            ],
            "mark": {"type": "line"},
            "encoding": {
                "x": time,
                "y": {"field": "amount", "type": "quantitative"},
                "color": {
                    "field": "average",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": list(shown)},
                    "legend": {"labelExpr": _labels(shown), "columns": 1, "symbolType": "stroke"},
                },
                "strokeDash": {
                    "field": "average",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": list(shown), "range": [DASHES[key] for key in shown]},
                },
            },
        },
        {
            "transform": [{"filter": "datum.is_outlier"}],
            "mark": {"type": "point", "shape": "diamond", "size": 70, "color": "var(--bad)"},
            "encoding": {
                "x": time,
                "y": {"field": "net_amount", "type": "quantitative"},
                "tooltip": [
                    {"field": "sold_on", "type": "temporal", "title": "unusual day", "format": "%a %e %b %Y"},
                    {"field": "net_amount", "title": "net", "format": ",.0f"},
                ],
            },
        },
    ]


def _revenue_words(rows: Rows, last: dict[str, Any], currency: str) -> str:
    told = f"On {day(last['sold_on'])} net was {amount(last['net_amount'], currency)}"
    now, before = last["net_average_7_days"], last["year_before_average_7_days"]
    if now is not None:
        told += f"; the average of the last 7 days is {amount(now, currency)} a day"
        if before is not None and before > 0:
            told += f", {change(now / before - 1)} on the same weekdays a year before ({amount(before, currency)})"
    unusual = sum(row["is_outlier"] for row in rows)
    return f"{told}. {number(unusual)} of {number(len(rows))} days were unusual, marked by a diamond."


def _labels(titles: dict[str, str]) -> str:
    """A Vega expression that writes a key as its title."""
    pairs = ", ".join(f"'{key}': '{title}'" for key, title in titles.items())
    return f"({{{pairs}}})[datum.label]"


def cohort_chart(rows: Rows, currency: str, *, is_value: bool) -> Chart | None:
    """A heat map of who came back, or of what a customer had paid by then.

    :param is_value: amounts instead of shares.
    """
    # The first month is everybody by definition: drawn, it would drown the others.
    cells = rows if is_value else [row for row in rows if row["months_since"] > 0]
    if not cells:
        return None
    field_, title, form = (
        ("cumulative_amount_per_customer", f"{currency} per customer so far", ",.0f")
        if is_value
        else ("retention_share", "bought again in that month", ".0%")
    )
    return Chart(
        name="cohorts",
        title="What a customer has paid by then" if is_value else "Who comes back",
        caption=_cohort_words(cells, currency, is_value=is_value),
        columns={
            "cohort_month": "First purchase in the month of",
            "months_since": "Months since",
            "customer_count": "Customers",
            "active_count": "Bought again",
            "retention_share": "Share",
            "cumulative_amount_per_customer": f"{currency} per customer so far",
        },
        formats={"retention_share": "share", "cumulative_amount_per_customer": "number"},
        rows=rows,
        spec={
            "height": 22 * len({row["cohort_month"] for row in cells}),
            "transform": [] if is_value else [{"filter": "datum.months_since > 0"}],
            "encoding": {
                "x": {"field": "months_since", "type": "ordinal", "title": "months since the first purchase",
                      "axis": {"labelAngle": 0, "labelOverlap": True, "labelSeparation": 6}},
                "y": {"field": "cohort_month", "type": "ordinal", "title": None,
                      "axis": {"labelExpr": "timeFormat(toDate(datum.value), '%b %Y')"}},
            },
            "layer": [
                {
                    "mark": {"type": "rect", "stroke": "var(--paper)"},
                    "encoding": {
                        "color": {"field": field_, "type": "quantitative", "title": title,
                                  "legend": {"format": form, "gradientLength": 160, "tickCount": 3}},
                        "tooltip": [
                            {"field": "cohort_month", "type": "temporal", "title": "first purchase", "format": "%b %Y"},
                            {"field": "months_since", "title": "months since"},
                            {"field": "customer_count", "title": "customers"},
                            {"field": "active_count", "title": "bought in that month"},
                            {"field": field_, "title": title, "format": form},
                        ],
                    },
                }
            ],
            "config": {"axis": {"grid": False}},
        },
    )  # fmt: skip


def _cohort_words(cells: Rows, currency: str, *, is_value: bool) -> str:
    def weighted(months: int, key: str) -> float | None:
        found = [row for row in cells if row["months_since"] == months and row[key] is not None]
        customers = sum(row["customer_count"] for row in found)
        return sum(float(row[key]) * row["customer_count"] for row in found) / customers if customers else None

    told = []
    for months in (1, 3, 6, 12):
        if is_value and (value := weighted(months, "cumulative_amount_per_customer")) is not None:
            told.append(f"{amount(value, currency)} after {months}")
        elif not is_value and (value := weighted(months, "retention_share")) is not None:
            told.append(f"{share(value, 0)} after {months}")
    what = "A customer has paid" if is_value else "Of all customers there come back"
    return f"{what}, by months since the first purchase: {', '.join(told)}. Cells that nobody can know yet are empty."
