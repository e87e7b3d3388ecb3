-- One row per month of the first purchase, currency and month since: who came back and what they had paid by then.
-- A cell is null until its month is over as far as was loaded; if nobody said how far that is, the last month with a
-- fact is the last that can be seen. There are cells for as many months as lie between the first cohort's and today's.
WITH known AS (
    SELECT
        min(cohort_month) AS first_month,
        max(month_on) AS last_month,
        CASE
            WHEN isfinite(analytics.data_until())
                THEN least(analytics.data_until(), now()) AT TIME ZONE (SELECT analytics.time_zone())
        END AS loaded_until
    FROM analytics.cohort_months
),

horizon AS (
    SELECT
        first_month,
        greatest(last_month, date_trunc('month', loaded_until - interval '1 microsecond')::date) AS last_month,
        coalesce((date_trunc('month', loaded_until) - interval '1 month')::date, last_month) AS last_seen_month
    FROM known
),

cohorts AS (
    SELECT
        cohort_month,
        currency,
        active_count AS customer_count  -- In the month of the first purchase all of them are.
    FROM analytics.cohort_months
    WHERE month_on = cohort_month
),

cells AS (
    SELECT
        cohorts.cohort_month,
        cohorts.currency,
        cohorts.customer_count,
        since.months_since::integer AS months_since,
        (cohorts.cohort_month + make_interval(months => since.months_since::integer))::date AS month_on
    FROM cohorts
    CROSS JOIN horizon
    CROSS JOIN LATERAL generate_series(
        0,
        12 * (extract(YEAR FROM horizon.last_month) - extract(YEAR FROM horizon.first_month))
        + extract(MONTH FROM horizon.last_month) - extract(MONTH FROM horizon.first_month)
    ) AS since (months_since)
),

seen AS (
    SELECT
        cells.cohort_month,
        cells.currency,
        cells.months_since,
        cells.month_on,
        cells.customer_count,
        cells.month_on <= horizon.last_seen_month AS is_seen,
        coalesce(cohort_months.active_count, 0) AS active_count,
        coalesce(cohort_months.order_count, 0) AS order_count,
        coalesce(cohort_months.net_amount, 0) AS net_amount,
        sum(cohort_months.net_amount) OVER (
            PARTITION BY cells.cohort_month, cells.currency ORDER BY cells.months_since
        ) AS cumulative_amount
    FROM cells
    CROSS JOIN horizon
    LEFT JOIN analytics.cohort_months
        ON
            cells.cohort_month = cohort_months.cohort_month
            AND cells.currency = cohort_months.currency
            AND cells.month_on = cohort_months.month_on
)

SELECT
    cohort_month,
    currency,
    months_since,
    month_on,
    customer_count,
    CASE WHEN is_seen THEN active_count END AS active_count,
    CASE WHEN is_seen THEN active_count::double precision / customer_count END AS retention_share,
    CASE WHEN is_seen THEN order_count END AS order_count,
    CASE WHEN is_seen THEN net_amount END AS net_amount,
    CASE WHEN is_seen THEN cumulative_amount END AS cumulative_amount,
    CASE WHEN is_seen THEN round(cumulative_amount / customer_count, 4) END AS cumulative_amount_per_customer
FROM seen
