-- One row per customer and currency with a purchase: scores and segment by all that is known.
-- Scores and names are those of the feature view customer_rfm. 5 is best; customer_id tells equal customers apart.
WITH scored AS (
    SELECT
        customer_id,
        currency,
        last_paid_at,
        order_count,
        gross_amount - refund_amount AS net_amount,
        ntile(5) OVER (PARTITION BY currency ORDER BY last_paid_at, customer_id) AS recency_score,
        ntile(5) OVER (PARTITION BY currency ORDER BY order_count, customer_id) AS frequency_score,
        ntile(5) OVER (PARTITION BY currency ORDER BY gross_amount - refund_amount, customer_id) AS monetary_score
    FROM analytics.customer_histories
)

SELECT
    customer_id,
    currency,
    last_paid_at,
    order_count,
    net_amount,
    recency_score,
    frequency_score,
    monetary_score,
    analytics.rfm_segment(recency_score, frequency_score) AS segment
FROM scored
