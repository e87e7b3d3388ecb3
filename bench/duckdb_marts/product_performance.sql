CREATE TEMP TABLE product_days AS
WITH sold AS (
    SELECT
        product_id,
        currency,
        paid_at::DATE AS sold_on,
        sum(quantity) AS unit_count,
        count(*) AS line_count,
        sum(order_lines.total_amount) AS gross_amount
    FROM shop.order_lines INNER JOIN shop.orders USING (order_id)
    WHERE kind = 'product' AND product_id IS NOT NULL AND paid_at IS NOT NULL
    GROUP BY ALL
),

given_back AS (
    SELECT
        product_id,
        currency,
        refunded_at::DATE AS sold_on,
        sum(quantity) AS returned_unit_count,
        sum(total_amount) AS returned_amount
    FROM shop.refund_lines INNER JOIN shop.refunds USING (refund_id)
    WHERE kind = 'product' AND product_id IS NOT NULL
    GROUP BY ALL
)

SELECT
    product_id,
    currency,
    sold_on,
    coalesce(unit_count, 0) AS unit_count,
    coalesce(line_count, 0) AS line_count,
    coalesce(gross_amount, 0) AS gross_amount,
    coalesce(returned_unit_count, 0) AS returned_unit_count,
    coalesce(returned_amount, 0) AS returned_amount,
    getvariable('data_until')::DATE - 1 - sold_on AS days_ago
FROM sold FULL JOIN given_back USING (product_id, currency, sold_on);

CREATE TABLE product_performance AS
WITH totals AS (
    SELECT
        product_id,
        currency,
        sum(unit_count) AS unit_count,
        sum(line_count) AS line_count,
        sum(gross_amount) AS gross_amount,
        sum(returned_unit_count) AS returned_unit_count,
        sum(returned_amount) AS returned_amount,
        min(sold_on) FILTER (line_count > 0) AS first_sold_on,
        max(sold_on) FILTER (line_count > 0) AS last_sold_on,
        coalesce(sum(unit_count) FILTER (days_ago = 0), 0) AS units_lag_0_days,
        coalesce(sum(unit_count) FILTER (days_ago = 1), 0) AS units_lag_1_day,
        coalesce(sum(unit_count) FILTER (days_ago = 7), 0) AS units_lag_7_days,
        coalesce(sum(unit_count) FILTER (days_ago = 28), 0) AS units_lag_28_days,
        coalesce(sum(unit_count) FILTER (days_ago BETWEEN 0 AND 6), 0) AS units_7_days,
        coalesce(sum(unit_count) FILTER (days_ago BETWEEN 0 AND 27), 0) AS units_28_days,
        coalesce(sum(unit_count) FILTER (days_ago BETWEEN 0 AND 89), 0) AS units_90_days,
        coalesce(sum(unit_count) FILTER (days_ago BETWEEN 28 AND 55), 0) AS units_28_days_before,
        coalesce(sum(unit_count * unit_count) FILTER (days_ago BETWEEN 0 AND 27), 0) AS squares_28_days,
        coalesce(sum(gross_amount - returned_amount) FILTER (days_ago BETWEEN 0 AND 6), 0) AS net_amount_7_days,
        coalesce(sum(gross_amount - returned_amount) FILTER (days_ago BETWEEN 0 AND 27), 0) AS net_amount_28_days,
        coalesce(sum(gross_amount - returned_amount) FILTER (days_ago BETWEEN 0 AND 89), 0) AS net_amount_90_days
    FROM product_days
    GROUP BY ALL
),

products AS (
    SELECT
        totals.* REPLACE (
            coalesce(totals.product_id, listed.product_id) AS product_id,
            coalesce(totals.currency, listed.currency) AS currency
        ),
        coalesce(gross_amount, 0) - coalesce(returned_amount, 0) AS net_amount,
        getvariable('data_until')::DATE - 1 AS as_of_on
    FROM totals
    FULL JOIN shop.products AS listed ON totals.product_id = listed.product_id AND totals.currency = listed.currency
),

ranked AS (
    SELECT
        *,
        least(as_of_on - first_sold_on + 1, 7) AS days_in_7,
        least(as_of_on - first_sold_on + 1, 28) AS days_in_28,
        rank() OVER by_revenue AS revenue_rank,
        sum(greatest(net_amount, 0)) OVER (PARTITION BY currency) AS all_revenue,
        sum(greatest(net_amount, 0)) OVER by_revenue AS cumulative_revenue,
        coalesce(sum(greatest(net_amount, 0)) OVER (
            by_revenue GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS greater_revenue
    FROM products
    WINDOW by_revenue AS (PARTITION BY currency ORDER BY net_amount DESC)
),

bounds AS (
    SELECT min(sold_on) AS first_on, getvariable('data_until')::DATE - 1 AS last_on FROM product_days
),

weeks AS (
    SELECT product_id, currency, ln(sum(unit_count)) AS log_units, ln(sum(gross_amount) / sum(unit_count)) AS log_price
    FROM product_days, bounds
    WHERE
        date_trunc('week', sold_on) >= first_on AND date_trunc('week', sold_on) + INTERVAL 6 DAY <= last_on
    GROUP BY product_id, currency, date_trunc('week', sold_on)
    HAVING sum(unit_count) > 0 AND sum(gross_amount) > 0
),

slopes AS (
    SELECT
        product_id,
        currency,
        count(*) AS price_week_count,
        CASE WHEN max(log_price) - min(log_price) > 1e-12 AND count(*) > 2 THEN regr_slope(log_units, log_price) END
            AS price_elasticity,
        regr_sxx(log_units, log_price) AS price_variation,
        regr_syy(log_units, log_price) AS units_variation,
        regr_sxy(log_units, log_price) AS common_variation
    FROM weeks
    GROUP BY ALL
)

SELECT
    ranked.product_id,
    ranked.currency,
    listed.name,
    CASE
        WHEN net_amount <= 0 OR greater_revenue >= 0.95 * all_revenue THEN 'C'
        WHEN greater_revenue >= 0.8 * all_revenue THEN 'B'
        ELSE 'A'
    END AS abc_class,
    revenue_rank,
    coalesce(unit_count, 0) AS unit_count,
    coalesce(line_count, 0) AS line_count,
    coalesce(gross_amount, 0) AS gross_amount,
    coalesce(returned_unit_count, 0) AS returned_unit_count,
    coalesce(returned_amount, 0) AS returned_amount,
    net_amount,
    greatest(net_amount, 0) / nullif(all_revenue, 0) AS revenue_share,
    cumulative_revenue / nullif(all_revenue, 0) AS cumulative_revenue_share,
    returned_unit_count / nullif(unit_count, 0) AS return_share,
    returned_amount / nullif(gross_amount, 0) AS returned_amount_share,
    gross_amount / nullif(unit_count, 0) AS average_unit_amount,
    price_elasticity,
    CASE
        WHEN price_elasticity IS NOT NULL
            THEN sqrt(
                greatest(units_variation - price_elasticity * common_variation, 0)
                / (price_week_count - 2) / price_variation
            )
    END AS price_elasticity_error,
    coalesce(price_week_count, 0) AS price_week_count,
    first_sold_on,
    last_sold_on,
    as_of_on,
    as_of_on - last_sold_on AS days_since_last_sale,
    coalesce(COLUMNS('units_lag_.*|units_\d+_days(_before)?|net_amount_\d+_days'), 0),
    units_28_days / nullif(units_28_days_before, 0) - 1 AS units_growth_share,
    units_7_days / nullif(days_in_7, 0) AS units_mean_7_days,
    units_28_days / nullif(days_in_28, 0) AS units_mean_28_days,
    sqrt((days_in_28 * squares_28_days - units_28_days ** 2) / nullif(days_in_28 * (days_in_28 - 1), 0))
        AS units_deviation_28_days
FROM ranked
LEFT JOIN shop.products AS listed ON ranked.product_id = listed.product_id
LEFT JOIN slopes ON ranked.product_id = slopes.product_id AND ranked.currency = slopes.currency
