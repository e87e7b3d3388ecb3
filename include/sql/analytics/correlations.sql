-- One row per currency, measure of its sales, other measure and lag: how the two go together from day to day.
-- The left measure is of a day, the right one of the day `lag_days` before. Only complete days count, and only pairs of
-- days that have both: trading days, days whose weather is known. Weather is the mean over places, market the mean over
-- symbols; a stock's return is its close over that of its trading day before, less 1.
-- P-values take days for independent, which they are not quite: trends and weeks make them too small.
-- Ordered by day, or the last digits would hang on the order in which rows are read.
WITH shop_measures AS (
    SELECT
        revenue.currency,
        revenue.sold_on AS measured_on,
        listed.measure,
        listed.value
    FROM analytics.revenue_daily AS revenue
    CROSS JOIN
        LATERAL (VALUES ('net_amount', revenue.net_amount), ('order_count', revenue.order_count))
            AS listed (measure, value)
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
        listed.measure,
        avg(listed.value::NUMERIC) AS value
    FROM signals.weather_daily AS weather
    CROSS JOIN
        LATERAL (
            VALUES
            ('temperature_max_celsius', weather.temperature_max_celsius),
            ('precipitation_mm', weather.precipitation_mm),
            ('wind_speed_max_kmh', weather.wind_speed_max_kmh)
        ) AS listed (measure, value)
    GROUP BY weather.weather_on, listed.measure
    UNION ALL
    SELECT
        closes.traded_on AS measured_on,
        listed.measure,
        avg(listed.value) AS value
    FROM closes
    CROSS JOIN
        LATERAL (VALUES ('stock_return_share', closes.return_share), ('stock_volume', closes.volume))
            AS listed (measure, value)
    GROUP BY closes.traded_on, listed.measure
),

currencies AS (
    SELECT DISTINCT currency FROM shop_measures
),

right_measures AS (
    SELECT
        currency,
        measured_on,
        measure,
        value
    FROM shop_measures
    UNION ALL
    SELECT
        currencies.currency,
        signal_measures.measured_on,
        signal_measures.measure,
        signal_measures.value
    FROM signal_measures
    CROSS JOIN currencies
    WHERE signal_measures.value IS NOT NULL
),

pairs AS (
    SELECT
        lefts.currency,
        lefts.measure AS left_measure,
        rights.measure AS right_measure,
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
            AND lefts.measure <> rights.measure
),

-- Equal values share the mean of their ranks.
ranked_pairs AS (
    SELECT
        *,
        (rank() OVER left_values + count(*) OVER left_values) / 2.0::DOUBLE PRECISION AS left_rank,
        (rank() OVER right_values + count(*) OVER right_values) / 2.0::DOUBLE PRECISION AS right_rank
    FROM pairs
    WINDOW
        left_values AS (PARTITION BY currency, left_measure, right_measure, lag_days ORDER BY left_value),
        right_values AS (PARTITION BY currency, left_measure, right_measure, lag_days ORDER BY right_value)
),

coefficients AS (
    SELECT
        currency,
        left_measure,
        right_measure,
        lag_days,
        count(*) AS observation_count,
        corr(left_value, right_value ORDER BY measured_on) AS pearson,
        corr(left_rank, right_rank ORDER BY measured_on) AS spearman
    FROM ranked_pairs
    GROUP BY currency, left_measure, right_measure, lag_days
),

tested AS (
    SELECT
        *,
        analytics.correlation_p_value(pearson, observation_count) AS pearson_p_value,
        analytics.correlation_p_value(spearman, observation_count) AS spearman_p_value
    FROM coefficients
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
)

SELECT
    currency,
    left_measure,
    right_measure,
    lag_days,
    observation_count,
    pearson,
    pearson_p_value,
    spearman,
    spearman_p_value,
    min(pearson_bound) OVER (PARTITION BY currency ORDER BY pearson_p_value DESC) AS pearson_q_value,
    min(spearman_bound) OVER (PARTITION BY currency ORDER BY spearman_p_value DESC) AS spearman_q_value
FROM ordered_tests
