-- One row per currency, two measures of a day and lag: how the two go together from day to day.
-- The left measure is of a day, the right one of the day `lag_days` before. Sales are held against each other, either
-- before the other, and against weather and market; the market is held against weather before it, which it cannot bring
-- about: these rows are of the empty currency, and of all days that were loaded. Of sales only complete days count, and
-- of anything only pairs of days that have both: trading days, days whose weather is known. Weather is the mean over
-- places, market the mean over symbols; a stock's return is its close over that of its trading day before, less 1.
-- P-values take days for independent, which they are not quite: trends and weeks make them too small.
-- Added up in the order of the values, or the last digits would hang on the order in which rows are read.
WITH measures (measure_number, measure, topic) AS (
    VALUES
    (1, 'net_amount', 'sales'),
    (2, 'order_count', 'sales'),
    (3, 'temperature_max_celsius', 'weather'),
    (4, 'precipitation_mm', 'weather'),
    (5, 'wind_speed_max_kmh', 'weather'),
    (6, 'stock_return_share', 'market'),
    (7, 'stock_volume', 'market')
),

closes AS (
    SELECT
        symbol,
        traded_on,
        volume,
        close_price / nullif(lag(close_price) OVER (PARTITION BY symbol ORDER BY traded_on), 0) - 1 AS return_share
    FROM signals.stock_prices_daily
),

measured AS (
    SELECT
        revenue.currency,
        revenue.sold_on AS measured_on,
        listed.measure_number,
        listed.value
    FROM analytics.revenue_daily AS revenue
    CROSS JOIN
        LATERAL (VALUES (1, revenue.net_amount), (2, revenue.order_count))
            AS listed (measure_number, value)
    WHERE revenue.is_complete
    UNION ALL
    SELECT
        '' AS currency,
        weather.weather_on AS measured_on,
        listed.measure_number,
        avg(listed.value::NUMERIC) AS value
    FROM signals.weather_daily AS weather
    CROSS JOIN
        LATERAL (
            VALUES
            (3, weather.temperature_max_celsius),
            (4, weather.precipitation_mm),
            (5, weather.wind_speed_max_kmh)
        ) AS listed (measure_number, value)
    GROUP BY weather.weather_on, listed.measure_number
    UNION ALL
    SELECT
        '' AS currency,
        closes.traded_on AS measured_on,
        listed.measure_number,
        avg(listed.value) AS value
    FROM closes
    CROSS JOIN
        LATERAL (VALUES (6, closes.return_share), (7, closes.volume))
            AS listed (measure_number, value)
    GROUP BY closes.traded_on, listed.measure_number
),

-- By number, which sorts and joins faster than names.
numbered AS MATERIALIZED (
    SELECT
        currency,
        measure_number,
        measured_on,
        value::DOUBLE PRECISION AS value,
        dense_rank() OVER (ORDER BY currency, measure_number) AS series_number
    FROM measured
    WHERE value IS NOT NULL
),

series AS (
    SELECT DISTINCT
        numbered.series_number,
        numbered.currency,
        measures.measure,
        measures.topic
    FROM numbered
    INNER JOIN measures ON numbered.measure_number = measures.measure_number
),

held AS MATERIALIZED (
    SELECT
        lefts.series_number AS left_number,
        rights.series_number AS right_number,
        lefts.currency,
        lefts.measure AS left_measure,
        rights.measure AS right_measure,
        lags.lag_days,
        row_number() OVER (ORDER BY lefts.series_number, rights.series_number, lags.lag_days) AS held_number
    FROM series AS lefts
    INNER JOIN series AS rights
        ON
            lefts.topic = 'sales' AND rights.topic <> 'sales'
            OR lefts.topic = 'sales' AND lefts.currency = rights.currency AND lefts.measure <> rights.measure
            OR lefts.topic = 'market' AND rights.topic = 'weather'
    CROSS JOIN generate_series(0, 14) AS lags (lag_days)
),

pairs AS (
    SELECT
        held.held_number,
        lefts.value AS left_value,
        rights.value AS right_value
    FROM held
    INNER JOIN numbered AS lefts ON held.left_number = lefts.series_number
    INNER JOIN numbered AS rights
        ON held.right_number = rights.series_number AND lefts.measured_on - held.lag_days = rights.measured_on
),

-- Equal values share the mean of their ranks.
ranked_pairs AS (
    SELECT
        held_number,
        left_value,
        right_value,
        (rank() OVER left_values + count(*) OVER left_values) / 2.0::DOUBLE PRECISION AS left_rank,
        (rank() OVER right_values + count(*) OVER right_values) / 2.0::DOUBLE PRECISION AS right_rank
    FROM pairs
    WINDOW
        left_values AS (PARTITION BY held_number ORDER BY left_value),
        right_values AS (PARTITION BY held_number ORDER BY right_value)
),

-- Pairs that are equal in both values can change places without changing a sum.
coefficients AS (
    SELECT
        held_number,
        count(*) AS observation_count,
        min(left_value) < max(left_value) AND min(right_value) < max(right_value) AS is_changing,
        corr(left_value, right_value ORDER BY right_value, left_value) AS pearson,
        corr(left_rank, right_rank ORDER BY right_value, left_value) AS spearman
    FROM ranked_pairs
    GROUP BY held_number
),

-- corr() makes a coefficient out of the rounding of a value such as 20.1 that is always the same.
defined_coefficients AS (
    SELECT
        held.currency,
        held.left_measure,
        held.right_measure,
        held.lag_days,
        coefficients.observation_count,
        CASE WHEN coefficients.is_changing THEN coefficients.pearson END AS pearson,
        CASE WHEN coefficients.is_changing THEN coefficients.spearman END AS spearman
    FROM coefficients
    INNER JOIN held ON coefficients.held_number = held.held_number
),

tested AS (
    SELECT
        *,
        analytics.correlation_p_value(pearson, observation_count) AS pearson_p_value,
        analytics.correlation_p_value(spearman, observation_count) AS spearman_p_value
    FROM defined_coefficients
),

-- Of m tests in order of p, the i-th is p * m / i, but not more than any after it.
ordered_tests AS (
    SELECT
        *,
        pearson_p_value * count(pearson_p_value) OVER tests_of_currency
        / count(*) OVER (PARTITION BY currency ORDER BY pearson_p_value) AS pearson_bound,
        spearman_p_value * count(spearman_p_value) OVER tests_of_currency
        / count(*) OVER (PARTITION BY currency ORDER BY spearman_p_value) AS spearman_bound
    FROM tested
    WINDOW tests_of_currency AS (PARTITION BY currency)
),

judged AS (
    SELECT
        *,
        min(pearson_bound) OVER (PARTITION BY currency ORDER BY pearson_p_value DESC) AS pearson_q_value,
        min(spearman_bound) OVER (PARTITION BY currency ORDER BY spearman_p_value DESC) AS spearman_q_value
    FROM ordered_tests
)

SELECT
    currency,
    left_measure,
    right_measure,
    lag_days,
    observation_count,
    pearson,
    pearson_p_value,
    pearson_q_value,
    spearman,
    spearman_p_value,
    spearman_q_value
FROM judged
