-- One row per currency, measure of its sales, other measure and lag: how the two go together from day to day.
-- The left measure is of a day, the right one of the day `lag_days` before. Only complete days count, and only pairs of
-- days that have both: trading days, days whose weather is known. Weather is the mean over places, market the mean over
-- symbols; a stock's return is its close over that of its trading day before, less 1.
-- P-values take days for independent, which they are not quite: trends and weeks make them too small.
-- Ordered by day, or the last digits would hang on the order in which rows are read.
WITH measures (measure_number, measure) AS (
    VALUES
    (1, 'net_amount'),
    (2, 'order_count'),
    (3, 'temperature_max_celsius'),
    (4, 'precipitation_mm'),
    (5, 'wind_speed_max_kmh'),
    (6, 'stock_return_share'),
    (7, 'stock_volume')
),

shop_measures AS (
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
),

closes AS (
    SELECT
        symbol,
        traded_on,
        volume,
        close_price / nullif(lag(close_price) OVER (PARTITION BY symbol ORDER BY traded_on), 0) - 1 AS return_share
    FROM signals.stock_prices_daily
),

signal_measures AS (
    SELECT
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
        closes.traded_on AS measured_on,
        listed.measure_number,
        avg(listed.value) AS value
    FROM closes
    CROSS JOIN
        LATERAL (VALUES (6, closes.return_share), (7, closes.volume))
            AS listed (measure_number, value)
    GROUP BY closes.traded_on, listed.measure_number
),

currencies AS (
    SELECT DISTINCT currency FROM shop_measures
),

right_measures AS (
    SELECT
        currency,
        measured_on,
        measure_number,
        value
    FROM shop_measures
    UNION ALL
    SELECT
        currencies.currency,
        signal_measures.measured_on,
        signal_measures.measure_number,
        signal_measures.value
    FROM signal_measures
    CROSS JOIN currencies
    WHERE signal_measures.value IS NOT NULL
),

pairs AS (
    SELECT
        lefts.currency,
        lefts.measure_number AS left_number,
        rights.measure_number AS right_number,
        lags.lag_days,
        lefts.measured_on,
        lefts.value::DOUBLE PRECISION AS left_value,
        rights.value::DOUBLE PRECISION AS right_value
    FROM shop_measures AS lefts
    CROSS JOIN generate_series(0, 14) AS lags (lag_days)
    INNER JOIN right_measures AS rights
        ON
            lefts.currency = rights.currency
            AND lefts.measured_on - lags.lag_days = rights.measured_on
            AND lefts.measure_number <> rights.measure_number
),

-- Partitioned by numbers first, which sort faster than names. Equal values share the mean of their ranks.
ranked_pairs AS (
    SELECT
        *,
        (rank() OVER left_values + count(*) OVER left_values) / 2.0::DOUBLE PRECISION AS left_rank,
        (rank() OVER right_values + count(*) OVER right_values) / 2.0::DOUBLE PRECISION AS right_rank
    FROM pairs
    WINDOW
        left_values AS (PARTITION BY lag_days, left_number, right_number, currency ORDER BY left_value),
        right_values AS (PARTITION BY lag_days, left_number, right_number, currency ORDER BY right_value)
),

coefficients AS (
    SELECT
        currency,
        left_number,
        right_number,
        lag_days,
        count(*) AS observation_count,
        min(left_value) < max(left_value) AND min(right_value) < max(right_value) AS is_changing,
        corr(left_value, right_value ORDER BY measured_on) AS pearson,
        corr(left_rank, right_rank ORDER BY measured_on) AS spearman
    FROM ranked_pairs
    GROUP BY lag_days, left_number, right_number, currency
),

-- corr() makes a coefficient out of the rounding of a value such as 20.1 that is always the same.
defined_coefficients AS (
    SELECT
        currency,
        left_number,
        right_number,
        lag_days,
        observation_count,
        CASE WHEN is_changing THEN pearson END AS pearson,
        CASE WHEN is_changing THEN spearman END AS spearman
    FROM coefficients
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
    judged.currency,
    left_names.measure AS left_measure,
    right_names.measure AS right_measure,
    judged.lag_days,
    judged.observation_count,
    judged.pearson,
    judged.pearson_p_value,
    judged.pearson_q_value,
    judged.spearman,
    judged.spearman_p_value,
    judged.spearman_q_value
FROM judged
INNER JOIN measures AS left_names ON judged.left_number = left_names.measure_number
INNER JOIN measures AS right_names ON judged.right_number = right_names.measure_number
