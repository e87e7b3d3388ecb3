-- One row per customer and currency with a purchase: what they were worth, how they come back, and what is expected.
-- Expectations are those of the newest snapshot of ml.lifetime_values, by the fit that was made last of those in it.
WITH newest_snapshot AS (
    SELECT max(snapshot_at) AS snapshot_at FROM ml.lifetime_values
),

newest_fit AS (
    SELECT
        newest_snapshot.snapshot_at,
        lifetime_models.lifetime_model_id
    FROM newest_snapshot
    CROSS JOIN ml.lifetime_models
    WHERE
        EXISTS (
            SELECT FROM ml.lifetime_values AS scored
            WHERE
                scored.snapshot_at = newest_snapshot.snapshot_at
                AND scored.lifetime_model_id = lifetime_models.lifetime_model_id
        )
    ORDER BY lifetime_models.fitted_at DESC, lifetime_models.lifetime_model_id DESC
    LIMIT 1
),

-- A value is in the currency of the shop: of a customer with several currencies nobody knows whose it is.
histories AS (
    SELECT
        customer_histories.*,
        count(*) OVER (PARTITION BY customer_histories.customer_id) = 1 AS has_one_currency
    FROM analytics.customer_histories
)

SELECT
    histories.customer_id,
    histories.currency,
    histories.first_order_on,
    histories.last_order_on,
    histories.order_count,
    histories.purchase_day_count,
    histories.gross_amount,
    histories.refund_amount,
    histories.median_gap_days,
    histories.shortest_gap_days,
    histories.longest_gap_days,
    lifetime_values.value_amount AS expected_value_amount,
    lifetime_values.value_low_amount AS expected_value_low_amount,
    lifetime_values.value_high_amount AS expected_value_high_amount,
    lifetime_values.expected_purchases AS expected_purchase_day_count,
    lifetime_values.probability_alive AS alive_probability,
    lifetime_values.snapshot_at AS expected_at,
    histories.months[1] AS cohort_month,
    histories.purchase_day_count > 1 AS is_repeat,
    (histories.purchase_day_count - 1)::double precision / histories.purchase_day_count AS repeat_share,
    histories.gross_amount - histories.refund_amount AS net_amount,
    round(histories.gross_amount / histories.order_count, 4) AS average_order_amount,
    (histories.last_order_on - histories.first_order_on)::double precision
    / nullif(histories.purchase_day_count - 1, 0) AS mean_gap_days
FROM histories
LEFT JOIN ml.lifetime_values
    ON
        histories.customer_id = lifetime_values.customer_id
        AND histories.has_one_currency
        AND lifetime_values.snapshot_at = (SELECT newest_fit.snapshot_at FROM newest_fit)
        AND lifetime_values.lifetime_model_id = (SELECT newest_fit.lifetime_model_id FROM newest_fit)
