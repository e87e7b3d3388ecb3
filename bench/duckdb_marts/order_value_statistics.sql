CREATE TEMP TABLE order_values AS
WITH changes AS (
    SELECT
        product_id,
        known_from,
        categories,
        lag(categories) OVER (PARTITION BY product_id ORDER BY known_from) AS categories_before
    FROM shop.product_versions
),

spans AS (
    SELECT
        product_id,
        known_from,
        lead(known_from, 1, 'infinity') OVER (PARTITION BY product_id ORDER BY known_from) AS known_until,
        categories::VARCHAR[] AS categories
    FROM changes
    WHERE categories IS DISTINCT FROM categories_before
),

product_categories AS (
    SELECT product_id, known_from, known_until, unnest(categories) AS category FROM spans
)

SELECT 'all' AS scope, '' AS scope_value, currency, total_amount AS amount
FROM shop.orders
WHERE paid_at IS NOT NULL
UNION ALL
SELECT 'country', coalesce(country, ''), currency, total_amount
FROM shop.orders
WHERE paid_at IS NOT NULL
UNION ALL
SELECT 'category', coalesce(category, ''), currency, sum(lines.total_amount)
FROM shop.order_lines AS lines
INNER JOIN shop.orders USING (order_id)
LEFT JOIN product_categories
    ON lines.product_id = product_categories.product_id AND paid_at >= known_from AND paid_at < known_until
WHERE paid_at IS NOT NULL AND kind = 'product'
GROUP BY order_id, currency, category;

CREATE TABLE order_value_statistics AS
WITH shapes AS (
    SELECT
        scope,
        scope_value,
        currency,
        count(*) AS order_count,
        sum(amount) AS total_amount,
        min(amount) AS smallest_amount,
        max(amount) AS largest_amount,
        avg(amount) AS mean_amount,
        stddev(amount) AS deviation_amount,
        skewness(amount) AS skewness,
        quantile_cont(amount::DOUBLE, [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]) AS continuous,
        quantile_disc(amount, [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]) AS discrete,
        mad(amount::DOUBLE) AS median_absolute_deviation_amount
    FROM order_values
    GROUP BY ALL
),

ranked AS (
    SELECT
        scope,
        scope_value,
        currency,
        amount,
        row_number() OVER (PARTITION BY scope, scope_value, currency ORDER BY amount) AS number
    FROM order_values
),

shares AS (
    SELECT
        scope,
        scope_value,
        currency,
        sum(number * amount::DOUBLE) AS numbered_amount,
        sum(amount) FILTER (number > order_count - ceil(order_count * 0.01)) / any_value(total_amount)
            AS top_1_percent_share,
        sum(amount) FILTER (number > order_count - ceil(order_count * 0.1)) / any_value(total_amount)
            AS top_10_percent_share,
        sum(amount) FILTER (number > order_count - ceil(order_count * 0.2)) / any_value(total_amount)
            AS top_20_percent_share,
        count(*) FILTER (
            -- Ours are exact: rounded, a fence is the number nearest to the exact one.
            amount::DOUBLE < round(continuous[3] - 1.5 * (continuous[5] - continuous[3]), 8)
            OR amount::DOUBLE > round(continuous[5] + 1.5 * (continuous[5] - continuous[3]), 8)
        ) AS outlier_count,
        count(*) FILTER (0.6745 * abs(amount - continuous[4]) > 3.5 * median_absolute_deviation_amount)
            AS robust_outlier_count
    FROM ranked INNER JOIN shapes USING (scope, scope_value, currency)
    GROUP BY ALL
)

SELECT
    shapes.* EXCLUDE (continuous, discrete),
    continuous[1] AS p05_amount,
    continuous[2] AS p10_amount,
    continuous[3] AS p25_amount,
    continuous[4] AS median_amount,
    continuous[5] AS p75_amount,
    continuous[6] AS p90_amount,
    continuous[7] AS p95_amount,
    continuous[8] AS p99_amount,
    discrete[1] AS p05_discrete_amount,
    discrete[2] AS p10_discrete_amount,
    discrete[3] AS p25_discrete_amount,
    discrete[4] AS median_discrete_amount,
    discrete[5] AS p75_discrete_amount,
    discrete[6] AS p90_discrete_amount,
    discrete[7] AS p95_discrete_amount,
    discrete[8] AS p99_discrete_amount,
    continuous[5] - continuous[3] AS interquartile_range_amount,
    outlier_count,
    robust_outlier_count,
    2 * numbered_amount / (order_count * total_amount) - (order_count + 1) / order_count AS gini,
    top_1_percent_share,
    top_10_percent_share,
    top_20_percent_share
FROM shapes INNER JOIN shares USING (scope, scope_value, currency)
