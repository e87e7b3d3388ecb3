"""What `revenue_daily` must say, in pandas and statsmodels, from orders and refunds themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.tsa.seasonal import seasonal_decompose

Facts = Sequence[dict[str, Any]]


def plain_revenue(orders: Facts, refunds: Facts, *, zone: str, until: datetime) -> pd.DataFrame:
    """One row per currency and day, NaN for null. `until` must lie after every fact's day but perhaps the last."""
    sales, given_back = _with_days(orders, "paid_at", zone), _with_days(refunds, "refunded_at", zone)
    last_complete = pd.Timestamp(until).tz_convert(zone).normalize().tz_localize(None) - pd.Timedelta(days=1)
    last = max([last_complete, *sales["day"], *given_back["day"]])
    parts = []
    for currency in sorted({*sales["currency"], *given_back["currency"]}):
        own, own_refunds = sales[sales["currency"] == currency], given_back[given_back["currency"] == currency]
        first = min([*own["day"], *own_refunds["day"]])
        parts.append(_revenue_of(own, own_refunds, pd.date_range(first, last), last_complete).assign(currency=currency))
    return pd.concat(parts).rename_axis("sold_on").reset_index().set_index(["currency", "sold_on"])


def _with_days(facts: Facts, column: str, zone: str) -> pd.DataFrame:
    frame = pd.DataFrame([fact for fact in facts if fact[column] is not None])
    local = pd.to_datetime(frame[column], utc=True).dt.tz_convert(zone)
    return frame.assign(day=local.dt.normalize().dt.tz_localize(None))


def _revenue_of(
    sales: pd.DataFrame, refunds: pd.DataFrame, days: pd.DatetimeIndex, last_complete: pd.Timestamp
) -> pd.DataFrame:
    by_day = sales.groupby("day")
    table = pd.DataFrame(index=days)
    table["is_complete"] = days <= last_complete
    table["gross_amount"] = by_day["total_amount"].sum().astype(float).reindex(days, fill_value=0)
    table["refund_amount"] = refunds.groupby("day")["refund_amount"].sum().astype(float).reindex(days, fill_value=0)
    table["net_amount"] = table["gross_amount"] - table["refund_amount"]
    table["order_count"] = by_day.size().reindex(days, fill_value=0)
    table["customer_count"] = by_day["customer_id"].nunique().reindex(days, fill_value=0)
    guests = sales[sales["customer_id"].isna()].groupby("day").size()
    table["guest_order_count"] = guests.reindex(days, fill_value=0)
    table["average_order_amount"] = by_day["total_amount"].apply(lambda amounts: amounts.astype(float).mean())
    table["cumulative_amount"] = table["net_amount"].cumsum()
    table["month_to_date_amount"] = table["net_amount"].groupby(days.to_period("M")).cumsum()
    net = table["net_amount"].where(table["is_complete"])
    table["net_average_7_days"] = net.rolling("7D", min_periods=7).mean()
    table["net_average_28_days"] = net.rolling("28D", min_periods=28).mean()
    _compare_with_earlier(table, net)
    complete = table[table["is_complete"]]
    _decompose(table, complete)
    _judge(table, net)
    return table


def _compare_with_earlier(table: pd.DataFrame, net: pd.Series) -> None:
    offsets = {
        "day": ("net_day_before", pd.DateOffset(days=1)),
        "week": ("net_week_before", pd.DateOffset(weeks=1)),
        "month": ("net_month_before", pd.DateOffset(months=1)),
        "month_same_weekday": ("net_month_before_same_weekday", pd.DateOffset(weeks=4)),
        "year": ("net_year_before", pd.DateOffset(years=1)),
        "year_same_weekday": ("net_year_before_same_weekday", pd.DateOffset(weeks=52)),
    }
    for name, (column, offset) in offsets.items():
        before = net.reindex([day - offset for day in table.index])
        table[column] = before.to_numpy()
        table[f"growth_on_{name}_share"] = (net / table[column] - 1).where(table[column] > 0)


def _decompose(table: pd.DataFrame, complete: pd.DataFrame) -> None:
    net, gross = complete["net_amount"], complete["gross_amount"]
    for column, period in (("trend_amount", 7), ("trend_year_amount", 365)):
        if len(net) >= 2 * period:  # statsmodels says nothing of less.
            table[column] = seasonal_decompose(net, period=period).trend
        else:
            table[column] = net.rolling(period, center=True).mean()
    by_month = gross.groupby(complete.index.to_period("M"))
    months = by_month.mean()[by_month.size() == by_month.size().index.days_in_month]
    table["weekly_seasonal_index"] = table.index.day_of_week.map(_seasonal_indices(gross, 7, "day_of_week"))
    table["yearly_seasonal_index"] = table.index.month.map(_seasonal_indices(months, 12, "month"))


def _seasonal_indices(series: pd.Series, period: int, name: str) -> pd.Series:
    """Of each weekday or month; statsmodels' where it can tell, which it cannot of nothings."""
    unknown = pd.Series(np.nan, index=range(13))
    if len(series) >= 2 * period and (series > 0).all():
        seasonal = seasonal_decompose(series.to_numpy(), model="multiplicative", period=period).seasonal
        return pd.Series(seasonal, index=getattr(series.index, name)).groupby(level=0).first()
    values, places = series.to_numpy(), getattr(series.index, name)
    weights = np.ones(period) if period % 2 else np.array([0.5, *[1] * (period - 1), 0.5])
    half = len(weights) // 2
    ratios: dict[int, list[float]] = {}
    for at in range(half, len(values) - half):
        around = float(weights @ values[at - half : at + half + 1]) / period
        if around != 0:
            ratios.setdefault(places[at], []).append(values[at] / around)
    if len(ratios) < period:
        return unknown
    means = pd.Series({place: float(np.mean(of)) for place, of in ratios.items()})
    return means / means.mean() if means.mean() else unknown


def _judge(table: pd.DataFrame, net: pd.Series) -> None:
    values, scores = net.to_numpy(), []
    for at, value in enumerate(values):
        before = values[max(at - 28, 0) : at]
        is_known = len(before) == 28 and not np.isnan([*before, value]).any() and before.max() > before.min()
        scores.append((value - before.mean()) / before.std(ddof=1) if is_known else np.nan)
    table["z_score"] = scores
    table["is_outlier"] = (table["z_score"].abs() > 3).astype(float).where(table["z_score"].notna())
