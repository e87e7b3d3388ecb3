CREATE MACRO segment(recency, frequency) AS CASE
    WHEN recency IS NULL THEN ''
    WHEN recency >= 4 AND frequency >= 4 THEN 'Champions'
    WHEN recency >= 3 AND frequency >= 4 THEN 'Loyal'
    WHEN recency >= 4 AND frequency >= 2 THEN 'Potential Loyalist'
    WHEN recency = 5 THEN 'New'
    WHEN recency = 4 THEN 'Promising'
    WHEN recency = 3 AND frequency = 3 THEN 'Need Attention'
    WHEN recency = 3 THEN 'About To Sleep'
    WHEN frequency = 5 THEN 'Cannot Lose Them'
    WHEN frequency >= 3 THEN 'At Risk'
    ELSE 'Hibernating'
END;

CREATE TEMP TABLE customer_months AS
WITH facts AS (
    SELECT customer_id, currency, paid_at AS happened_at, paid_at, total_amount AS amount
    FROM shop.orders
    WHERE customer_id IS NOT NULL AND paid_at IS NOT NULL
    UNION ALL
    SELECT coalesce(refunds.customer_id, orders.customer_id), refunds.currency, refunded_at, NULL, -refund_amount
    FROM shop.refunds LEFT JOIN shop.orders USING (order_id)
    WHERE coalesce(refunds.customer_id, orders.customer_id) IS NOT NULL
),

months AS (
    SELECT
        customer_id,
        currency,
        date_trunc('month', happened_at) AS month_on,
        count(paid_at) AS order_count,
        sum(amount) AS net_amount,
        max(paid_at) AS last_paid_at
    FROM facts
    GROUP BY ALL
)

SELECT
    customer_id,
    currency,
    month_on,
    sum(order_count) OVER so_far AS order_count,
    sum(net_amount) OVER so_far AS net_amount,
    max(last_paid_at) OVER so_far AS last_paid_at
FROM months
WINDOW so_far AS (PARTITION BY customer_id, currency ORDER BY month_on)
QUALIFY sum(order_count) OVER so_far > 0;

CREATE TABLE rfm_customers AS
WITH customers AS (
    SELECT
        customer_id,
        currency,
        max(order_count) AS order_count,
        arg_max(net_amount, month_on) AS net_amount,
        max(last_paid_at) AS last_paid_at
    FROM customer_months
    GROUP BY ALL
)

SELECT
    *,
    ntile(5) OVER (PARTITION BY currency ORDER BY last_paid_at, customer_id) AS recency_score,
    ntile(5) OVER (PARTITION BY currency ORDER BY order_count, customer_id) AS frequency_score,
    ntile(5) OVER (PARTITION BY currency ORDER BY net_amount, customer_id) AS monetary_score,
    segment(recency_score, frequency_score) AS segment
FROM customers;

CREATE TABLE rfm_movements AS
WITH months AS (
    SELECT unnest(generate_series(
        min(month_on), date_trunc('month', getvariable('data_until')) - INTERVAL 1 MONTH, INTERVAL 1 MONTH
    )) AS month_on
    FROM customer_months
),

customer_firsts AS (
    SELECT customer_id, currency, min(month_on) AS first_month FROM customer_months GROUP BY ALL
),

states AS (
    SELECT
        ends.month_on,
        ends.customer_id,
        ends.currency,
        order_count,
        net_amount,
        ntile(5) OVER (PARTITION BY ends.month_on, ends.currency ORDER BY last_paid_at, ends.customer_id) AS recency,
        ntile(5) OVER (PARTITION BY ends.month_on, ends.currency ORDER BY order_count, ends.customer_id) AS frequency
    FROM (FROM customer_firsts INNER JOIN months ON first_month <= month_on) AS ends
    ASOF JOIN customer_months
        ON
            ends.customer_id = customer_months.customer_id
            AND ends.currency = customer_months.currency
            AND ends.month_on >= customer_months.month_on
)

SELECT
    states.month_on::DATE AS month_on,
    states.currency,
    segment(before.recency, before.frequency) AS from_segment,
    segment(states.recency, states.frequency) AS to_segment,
    count(*) AS customer_count,
    sum(states.order_count) AS order_count,
    sum(states.net_amount) AS net_amount
FROM states
LEFT JOIN states AS before
    ON
        states.customer_id = before.customer_id
        AND states.currency = before.currency
        AND states.month_on - INTERVAL 1 MONTH = before.month_on
GROUP BY ALL;

CREATE TABLE rfm_segments AS
WITH sizes AS (
    SELECT
        month_on,
        currency,
        to_segment AS segment,
        true AS is_complete,
        sum(customer_count) AS customer_count,
        sum(order_count) AS order_count,
        sum(net_amount) AS net_amount
    FROM rfm_movements
    GROUP BY ALL
    UNION ALL
    SELECT
        date_trunc('month', getvariable('data_until') - INTERVAL 1 SECOND)::DATE,
        currency,
        segment,
        false,
        count(*),
        sum(order_count),
        sum(net_amount)
    FROM rfm_customers
    WHERE date_trunc('month', getvariable('data_until')) < getvariable('data_until')
    GROUP BY ALL
)

SELECT
    *,
    customer_count / sum(customer_count) OVER everybody AS customer_share,
    CASE WHEN sum(net_amount) OVER everybody > 0 THEN net_amount / sum(net_amount) OVER everybody END AS revenue_share
FROM sizes
WINDOW everybody AS (PARTITION BY month_on, currency)
