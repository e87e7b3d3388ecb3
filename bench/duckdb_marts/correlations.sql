CREATE TABLE correlations AS
WITH sales AS (
    SELECT currency, paid_at::DATE AS measured_on, sum(total_amount) AS net_amount, count(*) AS order_count
    FROM shop.orders
    WHERE paid_at IS NOT NULL
    GROUP BY ALL
    UNION ALL
    SELECT currency, refunded_at::DATE, -sum(refund_amount), 0
    FROM shop.refunds
    GROUP BY ALL
),

bounds AS (
    SELECT currency, min(measured_on) AS first_on FROM sales GROUP BY ALL
),

days AS (
    SELECT
        currency,
        measured_on,
        coalesce(sum(net_amount), 0)::DOUBLE AS net_amount,
        coalesce(sum(order_count), 0)::DOUBLE AS order_count
    FROM (
        SELECT
            currency,
            unnest(generate_series(first_on, getvariable('data_until')::DATE - 1, INTERVAL 1 DAY))::DATE AS measured_on
        FROM bounds
    ) LEFT JOIN sales USING (currency, measured_on)
    GROUP BY ALL
),

shop_measures AS (
    UNPIVOT days ON net_amount, order_count INTO NAME measure VALUE amount
),

weather AS (
    SELECT
        weather_on AS measured_on,
        avg(temperature_max_celsius) AS temperature_max_celsius,
        avg(precipitation_mm) AS precipitation_mm,
        avg(wind_speed_max_kmh) AS wind_speed_max_kmh
    FROM signals.weather_daily
    GROUP BY ALL
),

closes AS (
    SELECT
        traded_on AS measured_on,
        volume,
        close_price / nullif(lag(close_price) OVER (PARTITION BY symbol ORDER BY traded_on), 0) - 1 AS return_share
    FROM signals.stock_prices_daily
),

stocks AS (
    SELECT
        measured_on,
        avg(return_share)::DOUBLE AS stock_return_share,
        avg(volume)::DOUBLE AS stock_volume
    FROM closes
    GROUP BY ALL
),

signals AS (
    FROM (
        UNPIVOT weather ON temperature_max_celsius, precipitation_mm, wind_speed_max_kmh
        INTO NAME measure VALUE amount
    )
    UNION ALL BY NAME
    FROM (UNPIVOT stocks ON stock_return_share, stock_volume INTO NAME measure VALUE amount)
),

lefts AS (
    FROM shop_measures
    UNION ALL BY NAME
    SELECT '' AS currency, signals.* FROM signals WHERE measure LIKE 'stock_%'
),

rights AS (
    FROM shop_measures
    UNION ALL BY NAME
    SELECT currency, signals.* FROM bounds, signals
    UNION ALL BY NAME
    SELECT '' AS currency, signals.* FROM signals WHERE measure NOT LIKE 'stock_%'
),

pairs AS (
    SELECT
        lefts.currency,
        lefts.measure AS left_measure,
        rights.measure AS right_measure,
        lag_days,
        lefts.amount AS left_amount,
        rights.amount AS right_amount
    FROM range(15) AS lags (lag_days)
    CROSS JOIN lefts
    INNER JOIN rights
        ON
            lefts.currency = rights.currency
            AND lefts.measured_on - lag_days::INTEGER = rights.measured_on
            AND lefts.measure <> rights.measure
),

ranks AS (
    SELECT
        *,
        rank() OVER left_amounts + (count(*) OVER (left_amounts GROUPS CURRENT ROW) - 1) / 2 AS left_rank,
        rank() OVER right_amounts + (count(*) OVER (right_amounts GROUPS CURRENT ROW) - 1) / 2 AS right_rank
    FROM pairs
    WINDOW
        left_amounts AS (PARTITION BY currency, left_measure, right_measure, lag_days ORDER BY left_amount),
        right_amounts AS (PARTITION BY currency, left_measure, right_measure, lag_days ORDER BY right_amount)
)

SELECT
    currency,
    left_measure,
    right_measure,
    lag_days,
    count(*) AS observation_count,
    corr(left_amount, right_amount) AS pearson,
    corr(left_rank, right_rank) AS spearman
FROM ranks
GROUP BY ALL
