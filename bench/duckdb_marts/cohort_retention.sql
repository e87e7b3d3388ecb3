CREATE TABLE cohort_retention AS
WITH purchases AS (
    SELECT customer_id, currency, date_trunc('month', paid_at) AS month_on, total_amount AS amount, 1 AS order_count
    FROM shop.orders
    WHERE customer_id IS NOT NULL AND paid_at IS NOT NULL
),

cohorts AS (
    SELECT customer_id, currency, min(month_on) AS cohort_month
    FROM purchases
    GROUP BY ALL
),

given_back AS (
    SELECT
        coalesce(refunds.customer_id, orders.customer_id) AS customer_id,
        refunds.currency,
        date_trunc('month', refunded_at) AS month_on,
        -refund_amount AS amount,
        0 AS order_count
    FROM shop.refunds LEFT JOIN shop.orders USING (order_id)
),

activity AS (
    SELECT
        cohort_month,
        currency,
        greatest(month_on, cohort_month) AS month_on,
        count(DISTINCT customer_id) FILTER (order_count > 0) AS active_count,
        sum(order_count) AS order_count,
        sum(amount) AS net_amount
    FROM (FROM purchases UNION ALL FROM given_back) AS facts INNER JOIN cohorts USING (customer_id, currency)
    GROUP BY ALL
),

months AS (
    SELECT
        date_trunc('month', getvariable('data_until')) - INTERVAL 1 MONTH AS last_seen_month,
        min(cohort_month) AS first_month,
        greatest(max(month_on), last_seen_month) AS last_month
    FROM activity
),

cells AS (
    SELECT
        cohort_month,
        currency,
        months_since,
        cohort_month + to_months(months_since::INTEGER) AS month_on,
        active_count AS customer_count,
        last_seen_month
    FROM activity, months, range(date_diff('month', first_month, last_month) + 1) AS since (months_since)
    WHERE activity.month_on = cohort_month
),

amounts AS (
    SELECT
        cells.*,
        month_on <= last_seen_month AS is_seen,
        coalesce(active_count, 0) AS active_count,
        coalesce(order_count, 0) AS order_count,
        coalesce(net_amount, 0) AS net_amount,
        sum(net_amount) OVER (PARTITION BY cohort_month, currency ORDER BY months_since) AS cumulative_amount
    FROM cells LEFT JOIN activity USING (cohort_month, currency, month_on)
)

SELECT
    cohort_month::DATE AS cohort_month,
    currency,
    months_since,
    month_on::DATE AS month_on,
    customer_count,
    CASE WHEN is_seen THEN active_count END AS active_count,
    CASE WHEN is_seen THEN active_count / customer_count END AS retention_share,
    CASE WHEN is_seen THEN order_count END AS order_count,
    CASE WHEN is_seen THEN net_amount END AS net_amount,
    CASE WHEN is_seen THEN cumulative_amount END AS cumulative_amount,
    CASE WHEN is_seen THEN cumulative_amount / customer_count END AS cumulative_amount_per_customer
FROM amounts
