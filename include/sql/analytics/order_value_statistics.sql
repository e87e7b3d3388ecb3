-- One row per currency and kind of orders (all, of a country, with products of a category): how their amounts spread.
-- Made of how many orders are worth each amount, in ten-thousandths of the currency. Ranks begin at 0; `at_most` counts
-- the orders up to an amount, so the order of rank r is worth the first amount of which more than r orders are worth at
-- most that. Amounts and such counts stand side by side in two arrays per kind, where either is found by halving.
-- Continuous percentiles as percentile_cont, discrete ones as percentile_disc. Skewness: the adjusted Fisher-Pearson
-- coefficient G1 (as pandas). Outliers: Tukey's fences, 1.5 interquartile ranges outside the quartiles; robust ones: a
-- modified z-score over 3.5 (Iglewicz and Hoaglin 1993).
-- Gini of n amounts x in ascending order, i from 1: sum((2 * i - n - 1) * x) / (n * sum(x)).
-- The top p % are the p * n / 100 greatest, rounded up.
-- Money is exact. Sums in double precision are of distances from the mean or the least, which lose no digits, and are
-- added up in the order of the amounts, or the last digits would hang on the order in which rows are read.
WITH ranked AS MATERIALIZED (
    SELECT
        kind_number,
        ten_thousandths,
        order_count,
        sum(order_count) OVER (
            PARTITION BY kind_number ORDER BY ten_thousandths ROWS UNBOUNDED PRECEDING
        ) AS at_most
    FROM analytics.order_value_counts
),

arrays AS MATERIALIZED (
    SELECT
        kind_number,
        array_agg(ten_thousandths ORDER BY ten_thousandths) AS amounts,
        array_agg(at_most ORDER BY ten_thousandths) AS at_most_counts,
        sum(order_count) AS order_count,
        sum(order_count * ten_thousandths) AS total
    FROM ranked
    GROUP BY kind_number
),

percents (percent) AS (
    VALUES (5), (10), (25), (50), (75), (90), (95), (99)
),

positions AS (
    SELECT
        arrays.kind_number,
        arrays.amounts,
        arrays.at_most_counts,
        percents.percent,
        (percents.percent * arrays.order_count + 99) / 100 - 1 AS discrete_rank,
        percents.percent * (arrays.order_count - 1) / 100 AS lower_rank,
        percents.percent * (arrays.order_count - 1) % 100 * 0.01 AS way_to_next
    FROM arrays
    CROSS JOIN percents
),

percentiles AS MATERIALIZED (
    SELECT
        kind_number,
        percent,
        amounts[width_bucket(discrete_rank, at_most_counts) + 1] AS discrete_amount,
        amounts[width_bucket(lower_rank, at_most_counts) + 1] * (1 - way_to_next)
        + coalesce(amounts[width_bucket(lower_rank + 1, at_most_counts) + 1], 0) * way_to_next AS amount
    FROM positions
),

shapes AS (
    SELECT
        kind_number,
        max(amount) FILTER (WHERE percent = 5) AS p05,
        max(amount) FILTER (WHERE percent = 10) AS p10,
        max(amount) FILTER (WHERE percent = 25) AS p25,
        max(amount) FILTER (WHERE percent = 50) AS median,
        max(amount) FILTER (WHERE percent = 75) AS p75,
        max(amount) FILTER (WHERE percent = 90) AS p90,
        max(amount) FILTER (WHERE percent = 95) AS p95,
        max(amount) FILTER (WHERE percent = 99) AS p99,
        max(discrete_amount) FILTER (WHERE percent = 5) AS p05_discrete,
        max(discrete_amount) FILTER (WHERE percent = 10) AS p10_discrete,
        max(discrete_amount) FILTER (WHERE percent = 25) AS p25_discrete,
        max(discrete_amount) FILTER (WHERE percent = 50) AS median_discrete,
        max(discrete_amount) FILTER (WHERE percent = 75) AS p75_discrete,
        max(discrete_amount) FILTER (WHERE percent = 90) AS p90_discrete,
        max(discrete_amount) FILTER (WHERE percent = 95) AS p95_discrete,
        max(discrete_amount) FILTER (WHERE percent = 99) AS p99_discrete
    FROM percentiles
    GROUP BY kind_number
),

deviations AS (
    SELECT
        arrays.kind_number,
        0.5 * (
            analytics.distance_of_rank(
                (arrays.order_count - 1) / 2, shapes.median, arrays.amounts, arrays.at_most_counts
            )
            + analytics.distance_of_rank(
                arrays.order_count / 2, shapes.median, arrays.amounts, arrays.at_most_counts
            )
        ) AS median_absolute_deviation
    FROM arrays
    INNER JOIN shapes ON arrays.kind_number = shapes.kind_number
),

-- Beyond what whole numbers an amount is an outlier.
fences AS (
    SELECT
        shapes.kind_number,
        deviations.median_absolute_deviation,
        ceil(shapes.p25 - 1.5 * (shapes.p75 - shapes.p25))::BIGINT AS lower,
        floor(shapes.p75 + 1.5 * (shapes.p75 - shapes.p25))::BIGINT AS upper,
        ceil(shapes.median - deviations.median_absolute_deviation * 3.5 / 0.6745)::BIGINT AS robust_lower,
        floor(shapes.median + deviations.median_absolute_deviation * 3.5 / 0.6745)::BIGINT AS robust_upper
    FROM shapes
    INNER JOIN deviations ON shapes.kind_number = deviations.kind_number
),

spreads AS MATERIALIZED (
    SELECT
        arrays.kind_number,
        arrays.order_count,
        arrays.total,
        fences.median_absolute_deviation,
        arrays.amounts[1] AS smallest,
        arrays.amounts[cardinality(arrays.amounts)] AS largest,
        arrays.total::DOUBLE PRECISION / arrays.order_count AS mean,
        (arrays.order_count + 99) / 100 AS top_1_count,
        (10 * arrays.order_count + 99) / 100 AS top_10_count,
        (20 * arrays.order_count + 99) / 100 AS top_20_count,
        arrays.order_count
        + analytics.count_up_to(fences.lower - 1, arrays.amounts, arrays.at_most_counts)
        - analytics.count_up_to(fences.upper, arrays.amounts, arrays.at_most_counts) AS outlier_count,
        arrays.order_count
        + analytics.count_up_to(fences.robust_lower - 1, arrays.amounts, arrays.at_most_counts)
        - analytics.count_up_to(fences.robust_upper, arrays.amounts, arrays.at_most_counts) AS robust_outlier_count
    FROM arrays
    INNER JOIN fences ON arrays.kind_number = fences.kind_number
),

centred AS (
    SELECT
        ranked.kind_number,
        ranked.ten_thousandths,
        ranked.order_count,
        ranked.at_most,
        spreads.smallest,
        spreads.order_count AS all_count,
        spreads.top_1_count,
        spreads.top_10_count,
        spreads.top_20_count,
        ranked.ten_thousandths - spreads.mean AS distance
    FROM ranked
    INNER JOIN spreads ON ranked.kind_number = spreads.kind_number
),

sums AS (
    SELECT
        kind_number,
        sum(order_count * distance * distance ORDER BY ten_thousandths) AS squares,
        sum(order_count * distance * distance * distance ORDER BY ten_thousandths) AS cubes,
        -- Equal amounts have the numbers from at_most - order_count + 1 to at_most: the sum of 2 * i - n - 1 over them.
        sum(
            (order_count * (2 * at_most - order_count - all_count))::DOUBLE PRECISION * (ten_thousandths - smallest)
            ORDER BY ten_thousandths
        ) AS numbered,
        sum(ten_thousandths * least(at_most - all_count + top_1_count, order_count)) FILTER (
            WHERE at_most > all_count - top_1_count
        ) AS top_1,
        sum(ten_thousandths * least(at_most - all_count + top_10_count, order_count)) FILTER (
            WHERE at_most > all_count - top_10_count
        ) AS top_10,
        sum(ten_thousandths * least(at_most - all_count + top_20_count, order_count)) FILTER (
            WHERE at_most > all_count - top_20_count
        ) AS top_20
    FROM centred
    GROUP BY kind_number
),

shares AS (
    SELECT
        kind_number,
        CASE WHEN smallest >= 0 AND total > 0 THEN total END AS total
    FROM spreads
)

SELECT
    kinds.scope,
    kinds.scope_value,
    kinds.currency,
    spreads.order_count,
    spreads.outlier_count,
    spreads.total * 0.0001 AS total_amount,
    spreads.smallest * 0.0001 AS smallest_amount,
    spreads.largest * 0.0001 AS largest_amount,
    shapes.p05 * 0.0001 AS p05_amount,
    shapes.p10 * 0.0001 AS p10_amount,
    shapes.p25 * 0.0001 AS p25_amount,
    shapes.median * 0.0001 AS median_amount,
    shapes.p75 * 0.0001 AS p75_amount,
    shapes.p90 * 0.0001 AS p90_amount,
    shapes.p95 * 0.0001 AS p95_amount,
    shapes.p99 * 0.0001 AS p99_amount,
    shapes.p05_discrete * 0.0001 AS p05_discrete_amount,
    shapes.p10_discrete * 0.0001 AS p10_discrete_amount,
    shapes.p25_discrete * 0.0001 AS p25_discrete_amount,
    shapes.median_discrete * 0.0001 AS median_discrete_amount,
    shapes.p75_discrete * 0.0001 AS p75_discrete_amount,
    shapes.p90_discrete * 0.0001 AS p90_discrete_amount,
    shapes.p95_discrete * 0.0001 AS p95_discrete_amount,
    shapes.p99_discrete * 0.0001 AS p99_discrete_amount,
    (shapes.p75 - shapes.p25) * 0.0001 AS interquartile_range_amount,
    spreads.median_absolute_deviation * 0.0001 AS median_absolute_deviation_amount,
    CASE WHEN spreads.median_absolute_deviation > 0 THEN spreads.robust_outlier_count END AS robust_outlier_count,
    (spreads.total * 0.0001)::DOUBLE PRECISION / spreads.order_count AS mean_amount,
    CASE
        WHEN spreads.smallest < spreads.largest THEN sqrt(sums.squares / (spreads.order_count - 1)) / 10000
        WHEN spreads.order_count > 1 THEN 0
    END AS deviation_amount,
    CASE
        WHEN spreads.smallest < spreads.largest AND spreads.order_count > 2
            THEN
                sums.cubes / (sums.squares * sqrt(sums.squares)) * spreads.order_count
                * sqrt(spreads.order_count - 1::DOUBLE PRECISION) / (spreads.order_count - 2)
    END AS skewness,
    sums.numbered / (spreads.order_count * shares.total::DOUBLE PRECISION) AS gini,
    (sums.top_1 / shares.total)::DOUBLE PRECISION AS top_1_percent_share,
    (sums.top_10 / shares.total)::DOUBLE PRECISION AS top_10_percent_share,
    (sums.top_20 / shares.total)::DOUBLE PRECISION AS top_20_percent_share
FROM analytics.order_kinds AS kinds
INNER JOIN spreads ON kinds.kind_number = spreads.kind_number
INNER JOIN shapes ON kinds.kind_number = shapes.kind_number
INNER JOIN sums ON kinds.kind_number = sums.kind_number
INNER JOIN shares ON kinds.kind_number = shares.kind_number
