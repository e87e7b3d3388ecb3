-- One row per currency and kind of orders (all, of a country, with products of a category): how their amounts spread.
-- Made of how many orders are worth each amount. Ranks begin at 0; `at_most` counts the orders up to an amount, so the
-- order of rank r is worth the first amount of which more than r orders are worth at most that.
-- Continuous percentiles as percentile_cont, discrete ones as percentile_disc. Skewness: the adjusted Fisher-Pearson
-- coefficient G1 (as pandas), of exact sums of powers. Outliers: Tukey's fences, 1.5 interquartile ranges outside the
-- quartiles; robust ones: a modified z-score over 3.5 (Iglewicz and Hoaglin 1993).
-- Gini of amounts x in ascending order, i from 1: 2 * sum(i * x) / (n * sum(x)) - (n + 1) / n.
-- The top p % are the p * n / 100 greatest, rounded up.
WITH ranked AS (
    SELECT
        scope,
        scope_value,
        currency,
        order_amount,
        order_count,
        dense_rank() OVER (ORDER BY scope, scope_value, currency) AS group_number,
        sum(order_count) OVER (
            PARTITION BY scope, scope_value, currency ORDER BY order_amount ROWS UNBOUNDED PRECEDING
        )::BIGINT AS at_most
    FROM analytics.order_value_counts
),

order_groups AS (
    SELECT
        group_number,
        scope,
        scope_value,
        currency,
        array_agg(order_amount ORDER BY order_amount) AS amounts,
        array_agg(at_most ORDER BY order_amount) AS at_most_counts,
        sum(order_count)::BIGINT AS order_count,
        min(order_amount) AS smallest_amount,
        max(order_amount) AS largest_amount,
        sum(order_count * order_amount) AS total_amount,
        sum(order_count * order_amount * order_amount) AS sum_of_squares,
        sum(order_count * order_amount * order_amount * order_amount) AS sum_of_cubes,
        -- Equal amounts have the numbers from at_most - order_count + 1 to at_most.
        sum(order_amount * (order_count * (2 * at_most - order_count + 1))) AS twice_numbered_sum
    FROM ranked
    GROUP BY group_number, scope, scope_value, currency
),

percents (percent) AS (
    VALUES (5), (10), (25), (50), (75), (90), (95), (99)
),

positions AS (
    SELECT
        order_groups.group_number,
        order_groups.amounts,
        order_groups.at_most_counts,
        percents.percent,
        (percents.percent * order_groups.order_count + 99) / 100 - 1 AS discrete_rank,
        percents.percent * (order_groups.order_count - 1) / 100 AS lower_rank,
        percents.percent * (order_groups.order_count - 1) % 100 * 0.01 AS way_to_next
    FROM order_groups
    CROSS JOIN percents
),

percentiles AS (
    SELECT
        group_number,
        percent,
        amounts[width_bucket(discrete_rank, at_most_counts) + 1] AS discrete_amount,
        amounts[width_bucket(lower_rank, at_most_counts) + 1] * (1 - way_to_next)
        + coalesce(amounts[width_bucket(lower_rank + 1, at_most_counts) + 1], 0) * way_to_next AS amount
    FROM positions
),

shapes AS (
    SELECT
        group_number,
        max(amount) FILTER (WHERE percent = 5) AS p05_amount,
        max(amount) FILTER (WHERE percent = 10) AS p10_amount,
        max(amount) FILTER (WHERE percent = 25) AS p25_amount,
        max(amount) FILTER (WHERE percent = 50) AS median_amount,
        max(amount) FILTER (WHERE percent = 75) AS p75_amount,
        max(amount) FILTER (WHERE percent = 90) AS p90_amount,
        max(amount) FILTER (WHERE percent = 95) AS p95_amount,
        max(amount) FILTER (WHERE percent = 99) AS p99_amount,
        max(discrete_amount) FILTER (WHERE percent = 5) AS p05_discrete_amount,
        max(discrete_amount) FILTER (WHERE percent = 10) AS p10_discrete_amount,
        max(discrete_amount) FILTER (WHERE percent = 25) AS p25_discrete_amount,
        max(discrete_amount) FILTER (WHERE percent = 50) AS median_discrete_amount,
        max(discrete_amount) FILTER (WHERE percent = 75) AS p75_discrete_amount,
        max(discrete_amount) FILTER (WHERE percent = 90) AS p90_discrete_amount,
        max(discrete_amount) FILTER (WHERE percent = 95) AS p95_discrete_amount,
        max(discrete_amount) FILTER (WHERE percent = 99) AS p99_discrete_amount
    FROM percentiles
    GROUP BY group_number
),

distances AS (
    SELECT
        ranked.group_number,
        ranked.order_amount,
        ranked.order_count,
        order_groups.order_count AS all_count,
        order_groups.order_count - ranked.at_most AS above_count,
        shapes.p25_amount - 1.5 * (shapes.p75_amount - shapes.p25_amount) AS lower_fence,
        shapes.p75_amount + 1.5 * (shapes.p75_amount - shapes.p25_amount) AS upper_fence,
        abs(ranked.order_amount - shapes.median_amount) AS distance,
        sum(ranked.order_count) OVER (
            PARTITION BY ranked.group_number ORDER BY abs(ranked.order_amount - shapes.median_amount)
        )::BIGINT AS as_near
    FROM ranked
    INNER JOIN order_groups ON ranked.group_number = order_groups.group_number
    INNER JOIN shapes ON ranked.group_number = shapes.group_number
),

spreads AS (
    SELECT
        group_number,
        (
            min(distance) FILTER (WHERE as_near > (all_count - 1) / 2)
            + min(distance) FILTER (WHERE as_near > all_count / 2)
        ) * 0.5 AS median_absolute_deviation_amount,
        coalesce(sum(order_count) FILTER (WHERE order_amount NOT BETWEEN lower_fence AND upper_fence), 0)
            AS outlier_count,
        sum(order_amount * least((all_count + 99) / 100 - above_count, order_count)) FILTER (
            WHERE above_count < (all_count + 99) / 100
        ) AS top_1_amount,
        sum(order_amount * least((10 * all_count + 99) / 100 - above_count, order_count)) FILTER (
            WHERE above_count < (10 * all_count + 99) / 100
        ) AS top_10_amount,
        sum(order_amount * least((20 * all_count + 99) / 100 - above_count, order_count)) FILTER (
            WHERE above_count < (20 * all_count + 99) / 100
        ) AS top_20_amount
    FROM distances
    GROUP BY group_number
),

robust_outliers AS (
    SELECT
        spreads.group_number,
        coalesce(
            sum(distances.order_count) FILTER (
                WHERE distances.distance * 0.6745 > 3.5 * spreads.median_absolute_deviation_amount
            ), 0
        ) AS order_count
    FROM distances
    INNER JOIN spreads ON distances.group_number = spreads.group_number
    WHERE spreads.median_absolute_deviation_amount > 0
    GROUP BY spreads.group_number
),

-- Sums of squares and cubes of the distances from the mean, times n and n^2, exact until here.
moments AS (
    SELECT
        group_number,
        (order_count * sum_of_squares - total_amount * total_amount)::DOUBLE PRECISION AS squares,
        (
            order_count::NUMERIC * order_count * sum_of_cubes - 3 * order_count * sum_of_squares * total_amount
            + 2 * total_amount * total_amount * total_amount
        )::DOUBLE PRECISION AS cubes,
        CASE WHEN smallest_amount >= 0 AND total_amount > 0 THEN total_amount END AS shared_amount
    FROM order_groups
)

SELECT
    order_groups.scope,
    order_groups.scope_value,
    order_groups.currency,
    order_groups.order_count,
    order_groups.total_amount,
    order_groups.smallest_amount,
    order_groups.largest_amount,
    shapes.p05_amount,
    shapes.p10_amount,
    shapes.p25_amount,
    shapes.median_amount,
    shapes.p75_amount,
    shapes.p90_amount,
    shapes.p95_amount,
    shapes.p99_amount,
    shapes.p05_discrete_amount,
    shapes.p10_discrete_amount,
    shapes.p25_discrete_amount,
    shapes.median_discrete_amount,
    shapes.p75_discrete_amount,
    shapes.p90_discrete_amount,
    shapes.p95_discrete_amount,
    shapes.p99_discrete_amount,
    spreads.outlier_count,
    spreads.median_absolute_deviation_amount,
    robust_outliers.order_count AS robust_outlier_count,
    shapes.p75_amount - shapes.p25_amount AS interquartile_range_amount,
    order_groups.total_amount::DOUBLE PRECISION / order_groups.order_count AS mean_amount,
    sqrt(moments.squares / nullif(order_groups.order_count * (order_groups.order_count - 1), 0)) AS deviation_amount,
    CASE
        WHEN order_groups.order_count > 2
            THEN
                moments.cubes / nullif(moments.squares * sqrt(moments.squares), 0)
                * sqrt(order_groups.order_count::DOUBLE PRECISION * (order_groups.order_count - 1))
                / (order_groups.order_count - 2)
    END AS skewness,
    (
        (order_groups.twice_numbered_sum - (order_groups.order_count + 1) * moments.shared_amount)
        / (order_groups.order_count * moments.shared_amount)
    )::DOUBLE PRECISION AS gini,
    (spreads.top_1_amount / moments.shared_amount)::DOUBLE PRECISION AS top_1_percent_share,
    (spreads.top_10_amount / moments.shared_amount)::DOUBLE PRECISION AS top_10_percent_share,
    (spreads.top_20_amount / moments.shared_amount)::DOUBLE PRECISION AS top_20_percent_share
FROM order_groups
INNER JOIN shapes ON order_groups.group_number = shapes.group_number
INNER JOIN spreads ON order_groups.group_number = spreads.group_number
INNER JOIN moments ON order_groups.group_number = moments.group_number
LEFT JOIN robust_outliers ON order_groups.group_number = robust_outliers.group_number
