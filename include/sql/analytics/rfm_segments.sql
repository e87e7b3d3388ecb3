-- One row per month, currency and segment with customers: how many they are and what they paid by the end of it.
-- Months that are over are those of rfm_movements; the one that is not is by what rfm_customers knows.
WITH known AS (
    SELECT
        max(last_paid_at) AS last_paid_at,
        CASE
            WHEN isfinite(analytics.data_until())
                THEN least(analytics.data_until(), now()) - interval '1 microsecond'
        END AS last_loaded_at
    FROM analytics.rfm_customers
),

present AS (
    SELECT
        date_trunc(
            'month', greatest(last_paid_at, last_loaded_at) AT TIME ZONE (SELECT analytics.time_zone())
        )::date AS month_on
    FROM known
),

sizes AS (
    SELECT
        month_on,
        currency,
        to_segment AS segment,
        true AS is_complete,
        sum(customer_count) AS customer_count,
        sum(order_count) AS order_count,
        sum(net_amount) AS net_amount
    FROM analytics.rfm_movements
    GROUP BY month_on, currency, to_segment
    UNION ALL
    SELECT
        present.month_on,
        rfm_customers.currency,
        rfm_customers.segment,
        false AS is_complete,
        count(*) AS customer_count,
        sum(rfm_customers.order_count) AS order_count,
        sum(rfm_customers.net_amount) AS net_amount
    FROM analytics.rfm_customers
    CROSS JOIN present
    WHERE
        present.month_on
        > (SELECT coalesce(max(rfm_movements.month_on), '-infinity'::date) FROM analytics.rfm_movements)
    GROUP BY present.month_on, rfm_customers.currency, rfm_customers.segment
)

SELECT
    month_on,
    currency,
    segment,
    is_complete,
    customer_count,
    order_count,
    net_amount,
    (customer_count / sum(customer_count) OVER everybody)::double precision AS customer_share,
    CASE
        WHEN sum(net_amount) OVER everybody > 0
            THEN (net_amount / sum(net_amount) OVER everybody)::double precision
    END AS revenue_share
FROM sizes
WINDOW everybody AS (PARTITION BY month_on, currency)
