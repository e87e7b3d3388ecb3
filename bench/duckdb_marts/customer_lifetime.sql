CREATE TABLE customer_lifetime AS
WITH purchase_days AS (
    SELECT
        customer_id,
        currency,
        paid_at::DATE AS paid_on,
        paid_on - lag(paid_on) OVER (PARTITION BY customer_id, currency ORDER BY paid_on) AS gap_days,
        count(*) AS order_count,
        sum(total_amount) AS gross_amount
    FROM shop.orders
    WHERE customer_id IS NOT NULL AND paid_at IS NOT NULL
    GROUP BY customer_id, currency, paid_on
),

customers AS (
    SELECT
        customer_id,
        currency,
        min(paid_on) AS first_order_on,
        max(paid_on) AS last_order_on,
        sum(order_count) AS order_count,
        count(*) AS purchase_day_count,
        sum(gross_amount) AS gross_amount,
        median(gap_days) AS median_gap_days,
        min(gap_days) AS shortest_gap_days,
        max(gap_days) AS longest_gap_days
    FROM purchase_days
    GROUP BY ALL
),

given_back AS (
    SELECT
        coalesce(refunds.customer_id, orders.customer_id) AS customer_id,
        refunds.currency,
        sum(refund_amount) AS refund_amount
    FROM shop.refunds LEFT JOIN shop.orders USING (order_id)
    GROUP BY ALL
)

SELECT
    customers.*,
    date_trunc('month', first_order_on) AS cohort_month,
    coalesce(refund_amount, 0) AS refund_amount,
    gross_amount - coalesce(refund_amount, 0) AS net_amount,
    gross_amount / order_count AS average_order_amount,
    purchase_day_count > 1 AS is_repeat,
    (purchase_day_count - 1) / purchase_day_count AS repeat_share,
    (last_order_on - first_order_on) / nullif(purchase_day_count - 1, 0) AS mean_gap_days
FROM customers LEFT JOIN given_back USING (customer_id, currency);

CREATE TABLE repeat_rates AS
SELECT
    cohort_month,
    currency,
    count(*) AS customer_count,
    count(*) FILTER (is_repeat) AS repeat_count,
    count(*) FILTER (is_repeat) / count(*) AS repeat_share,
    sum(order_count) AS order_count,
    sum(last_order_on - first_order_on) / nullif(sum(purchase_day_count - 1), 0) AS mean_gap_days,
    sum(net_amount) AS net_amount,
    sum(net_amount) / count(*) AS net_amount_per_customer
FROM customer_lifetime
GROUP BY ALL
