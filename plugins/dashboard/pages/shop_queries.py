"""What the page Shop reads: the marts, nothing but the marts (and the names of products)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

Rows = list[dict[str, Any]]


def currencies(conn: Connection) -> list[str]:
    """Those that anything was sold in, the one with the most orders first."""
    rows = conn.execute(
        "SELECT currency FROM analytics.revenue_daily GROUP BY currency ORDER BY sum(order_count) DESC, currency"
    ).fetchall()
    return [currency for (currency,) in rows]


def last_day(conn: Connection, currency: str) -> date:
    """The last day of which all was loaded; the last one of all, if there is none."""
    row = conn.execute(
        """
        SELECT coalesce(max(sold_on) FILTER (WHERE is_complete), max(sold_on))
        FROM analytics.revenue_daily WHERE currency = %s
        """,
        (currency,),
    ).fetchone()
    assert row is not None
    return row[0]


def revenue(conn: Connection, currency: str, *, until: date, days: int) -> Rows:
    """One row per day, with the average of the days 364 before: the same weekdays a year earlier."""
    return _rows(
        conn,
        """
        SELECT
            today.sold_on, today.net_amount, today.order_count, today.net_average_7_days, today.net_average_28_days,
            before.net_average_7_days AS year_before_average_7_days, coalesce(today.is_outlier, false) AS is_outlier
        FROM analytics.revenue_daily AS today
        LEFT JOIN analytics.revenue_daily AS before
            ON today.currency = before.currency AND today.sold_on = before.sold_on + 364
        WHERE today.currency = %(currency)s AND today.sold_on > %(after)s AND today.sold_on <= %(until)s
        ORDER BY today.sold_on
        """,
        currency=currency, until=until, after=until - timedelta(days=days),
    )  # fmt: skip


def totals(conn: Connection, currency: str, *, until: date) -> dict[str, Any]:
    """The last 28 days, the 28 before, and the same 28 a year before (364 days: the same weekdays)."""
    row = _rows(
        conn,
        """
        SELECT
            sum(net_amount) FILTER (WHERE sold_on > %(until)s - 28) AS net_amount,
            sum(net_amount) FILTER (WHERE sold_on BETWEEN %(until)s - 55 AND %(until)s - 28) AS net_before,
            sum(net_amount) FILTER (WHERE sold_on BETWEEN %(until)s - 391 AND %(until)s - 364) AS net_year_before,
            count(*) FILTER (WHERE sold_on BETWEEN %(until)s - 391 AND %(until)s - 364) AS year_before_day_count,
            sum(order_count) FILTER (WHERE sold_on > %(until)s - 28)::bigint AS order_count,
            sum(order_count) FILTER (WHERE sold_on BETWEEN %(until)s - 55 AND %(until)s - 28)::bigint
                AS orders_before,
            sum(gross_amount) FILTER (WHERE sold_on > %(until)s - 28) AS gross_amount,
            sum(refund_amount) FILTER (WHERE sold_on > %(until)s - 28) AS refund_amount,
            max(month_to_date_amount) FILTER (WHERE sold_on = %(until)s) AS month_to_date_amount
        FROM analytics.revenue_daily
        WHERE currency = %(currency)s AND sold_on <= %(until)s AND sold_on > %(until)s - 392
        """,
        currency=currency,
        until=until,
    )
    return row[0]


def months(conn: Connection, currency: str, *, until: date) -> Rows:
    """One row per month of the last thirteen: its net and that of the same month a year before."""
    return _rows(
        conn,
        """
        WITH months AS (
            SELECT date_trunc('month', sold_on)::date AS month_on, sum(net_amount) AS net_amount,
                sum(order_count)::bigint AS order_count, bool_and(is_complete) AND
                max(sold_on) = (date_trunc('month', max(sold_on)) + INTERVAL '1 month - 1 day')::date AS is_over
            FROM analytics.revenue_daily WHERE currency = %(currency)s AND sold_on <= %(until)s GROUP BY 1
        )
        SELECT months.month_on, months.net_amount, months.order_count, months.is_over,
            before.net_amount AS year_before_amount,
            (months.net_amount / nullif(greatest(before.net_amount, 0), 0) - 1)::float8 AS growth_share
        FROM months LEFT JOIN months AS before ON months.month_on = before.month_on + INTERVAL '1 year'
        ORDER BY months.month_on DESC LIMIT 13
        """,
        currency=currency,
        until=until,
    )


def cohorts(conn: Connection, currency: str) -> Rows:
    """The observable cells of the newest cohorts."""
    return _rows(
        conn,
        """
        SELECT cohort_month, months_since, customer_count, active_count, retention_share,
            cumulative_amount_per_customer
        FROM analytics.cohort_retention
        WHERE currency = %(currency)s AND active_count IS NOT NULL AND cohort_month > (
            SELECT max(cohort_month) - make_interval(months => 18) FROM analytics.cohort_retention
            WHERE currency = %(currency)s
        )
        ORDER BY cohort_month, months_since
        """,
        currency=currency,
    )


def funnel(conn: Connection, *, days: int, by: str = "") -> Rows:
    """Sessions that came to each step in the last days that the mart has, strict order.

    :param by: `device` or `source`, or empty for all together.
    """
    return _rows(
        conn,
        """
        WITH steps AS (
            SELECT CASE %(by)s WHEN 'device' THEN device WHEN 'source' THEN source ELSE '' END AS part,
                step_number, step, sum(entered_count)::bigint AS entered_count,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY median_seconds_from_previous) AS seconds
            FROM analytics.funnel_daily
            WHERE funnel_kind = 'session' AND order_kind = 'strict'
                AND day_on > (SELECT max(day_on) FROM analytics.funnel_daily) - %(days)s
            GROUP BY 1, step_number, step
        )
        SELECT part, step_number, step, entered_count, seconds,
            entered_count::float8 / nullif(first_value(entered_count) OVER one, 0) AS overall_share,
            entered_count::float8 / nullif(lag(entered_count) OVER one, 0) AS share_of_previous
        FROM steps WINDOW one AS (PARTITION BY part ORDER BY step_number)
        ORDER BY part, step_number
        """,
        by=by,
        days=days,
    )


def segments(conn: Connection, currency: str) -> Rows:
    """The segments at the end of the last month that is over, or of the current one."""
    return _rows(
        conn,
        """
        SELECT month_on, segment, customer_count, customer_share, net_amount, revenue_share
        FROM analytics.rfm_segments
        WHERE currency = %(currency)s AND month_on = (
            SELECT coalesce(max(month_on) FILTER (WHERE is_complete), max(month_on))
            FROM analytics.rfm_segments WHERE currency = %(currency)s
        )
        ORDER BY net_amount DESC, segment
        """,
        currency=currency,
    )


def movements(conn: Connection, currency: str, *, most: int = 12) -> Rows:
    """Who changed segment in the last month that is over; most customers first. First purchases count as New ones."""
    return _rows(
        conn,
        """
        SELECT month_on, from_segment, to_segment, customer_count
        FROM analytics.rfm_movements
        WHERE currency = %(currency)s AND from_segment <> to_segment
            AND month_on = (SELECT max(month_on) FROM analytics.rfm_movements WHERE currency = %(currency)s)
        ORDER BY customer_count DESC, from_segment, to_segment LIMIT %(most)s
        """,
        currency=currency,
        most=most,
    )


def pairs(conn: Connection, *, most: int = 12) -> Rows:
    """Pairs of products that are bought together more often than by chance; the greatest lift first."""
    return _rows(
        conn,
        """
        SELECT coalesce(one.name, 'product ' || antecedent[1]) || ' + '
            || coalesce(other.name, 'product ' || consequent[1]) AS pair,
            support_count, support_share, confidence, reverse_confidence, lift
        FROM analytics.market_basket
        LEFT JOIN shop.products AS one ON antecedent[1] = one.product_id
        LEFT JOIN shop.products AS other ON consequent[1] = other.product_id
        WHERE item_count = 2 AND antecedent < consequent
        ORDER BY lift DESC, antecedent, consequent LIMIT %(most)s
        """,
        most=most,
    )


def order_values(conn: Connection, currency: str) -> Rows:
    """How order amounts spread: all orders, then the greatest countries and categories."""
    return _rows(
        conn,
        """
        SELECT scope, scope_value,
            CASE scope WHEN 'all' THEN 'all orders'
                ELSE coalesce(nullif(scope_value, ''), 'no ' || scope) END AS kind,
            order_count, mean_amount, p05_amount, p25_amount, median_amount, p75_amount, p95_amount, skewness,
            outlier_count, gini, top_1_percent_share, top_10_percent_share, top_20_percent_share
        FROM (
            SELECT *, row_number() OVER (PARTITION BY scope ORDER BY total_amount DESC, scope_value) AS place
            FROM analytics.order_value_statistics WHERE currency = %(currency)s
        ) AS placed
        WHERE place <= 8
        ORDER BY array_position(ARRAY['all', 'country', 'category'], scope), place
        """,
        currency=currency,
    )


def products(conn: Connection, currency: str) -> Rows:
    """Those with the greatest net revenue."""
    return _rows(
        conn,
        """
        SELECT coalesce(name, 'product ' || product_id) AS name, abc_class, net_amount, revenue_share, units_28_days,
            units_growth_share, return_share
        FROM analytics.product_performance
        WHERE currency = %(currency)s ORDER BY revenue_rank, product_id LIMIT 10
        """,
        currency=currency,
    )


def _rows(conn: Connection, query: str, **parameters: Any) -> Rows:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()
