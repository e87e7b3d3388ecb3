-- One row per customer and snapshot: the country they ordered from last, its weather, and the market of those days.
-- Parameters: none; reads the relations `snapshots (snapshot_at)` and `entities (customer_id)`.
-- A customer has rows from the first snapshot after its first order that names a country; the country is that of the
-- last such order placed, by order_id among those of one instant.
-- A day of weather or trading happened when it ended, at the midnight (UTC) after it. It is in the window of W days of
-- snapshot t if that midnight e has e < t <= e + W: at a midnight, the day that just ended is not seen yet.
-- The weather of a country on a day is the mean over its places that have the value. A country without a place of its
-- own on that day has the mean over the places that name no country.
-- A return is that from the first close in the window to the last one, the volatility the sample standard deviation of
-- the returns from each close in the window to the next one; both are means over the symbols that have them.
-- All of it is numeric until the very end, so that no order of adding matters.
-- width_bucket counts the snapshots at or before an instant; so a fact at e is in the window of W days of those that
-- are numbered from width_bucket(e) + 1 to width_bucket(e + W). Windows are told in hours, so that a day has 24 of them
-- in any time zone.
WITH timeline AS (
    SELECT
        array_agg(snapshot_at ORDER BY snapshot_at) AS instants,
        (min(snapshot_at) AT TIME ZONE 'UTC')::DATE - 8 AS weather_from,
        (min(snapshot_at) AT TIME ZONE 'UTC')::DATE - 31 AS prices_from,
        max(snapshot_at) AS last_at,
        count(*)::INTEGER AS snapshot_count
    FROM snapshots
),

numbered_snapshots AS (
    SELECT
        snapshot_at,
        row_number() OVER (ORDER BY snapshot_at)::INTEGER AS snapshot_number
    FROM snapshots
),

-- What one snapshot sees of a customer's orders is the last one before it.
country_changes AS (
    SELECT DISTINCT ON (orders.customer_id, snapshot_number)
        orders.customer_id,
        orders.country,
        width_bucket(orders.placed_at, timeline.instants) + 1 AS snapshot_number
    FROM shop.orders
    CROSS JOIN timeline
    WHERE
        orders.customer_id IN (SELECT entities.customer_id FROM entities)
        AND orders.country IS NOT NULL
        AND orders.placed_at < timeline.last_at
    ORDER BY orders.customer_id ASC, snapshot_number ASC, orders.placed_at DESC, orders.order_id DESC
),

-- In the column place_country, the empty text stands for all countries that have no place of their own.
place_days AS (
    SELECT
        weather_daily.weather_on,
        coalesce(weather_daily.country, '') AS place_country,
        avg(weather_daily.temperature_max_celsius::NUMERIC) AS temperature_max_celsius,
        avg(weather_daily.precipitation_mm::NUMERIC) AS precipitation_mm
    FROM signals.weather_daily
    CROSS JOIN timeline
    WHERE weather_daily.weather_on >= timeline.weather_from
    GROUP BY place_country, weather_daily.weather_on
),

place_countries AS (
    SELECT DISTINCT place_country FROM place_days
),

weather_days AS (
    SELECT DISTINCT
        weather_on,
        (weather_on + 1)::TIMESTAMP AT TIME ZONE 'UTC' AS ended_at
    FROM place_days
),

country_days AS (
    SELECT
        place_countries.place_country,
        width_bucket(weather_days.ended_at, timeline.instants) + 1 AS first_number,
        width_bucket(weather_days.ended_at + INTERVAL '168 hours', timeline.instants) AS last_number,
        CASE WHEN own.weather_on IS NULL THEN common.temperature_max_celsius ELSE own.temperature_max_celsius END
            AS temperature_max_celsius,
        CASE WHEN own.weather_on IS NULL THEN common.precipitation_mm ELSE own.precipitation_mm END
            AS precipitation_mm
    FROM place_countries
    CROSS JOIN weather_days
    CROSS JOIN timeline
    LEFT JOIN place_days AS own
        ON place_countries.place_country = own.place_country AND weather_days.weather_on = own.weather_on
    LEFT JOIN place_days AS common
        ON common.place_country = '' AND weather_days.weather_on = common.weather_on
),

weather AS (
    SELECT
        country_days.place_country,
        spread.snapshot_number,
        avg(country_days.temperature_max_celsius)::DOUBLE PRECISION AS temperature_max_mean_celsius_7d,
        sum(country_days.precipitation_mm)::DOUBLE PRECISION AS precipitation_sum_mm_7d,
        count(country_days.temperature_max_celsius)::INTEGER AS weather_known_day_count_7d
    FROM country_days
    CROSS JOIN LATERAL generate_series(country_days.first_number, country_days.last_number) AS spread (snapshot_number)
    GROUP BY country_days.place_country, spread.snapshot_number
),

closes AS (
    SELECT
        stock_prices_daily.symbol,
        stock_prices_daily.close_price,
        (stock_prices_daily.traded_on + 1)::TIMESTAMP AT TIME ZONE 'UTC' AS ended_at,
        lag(stock_prices_daily.close_price) OVER symbol_days AS previous_price,
        (lag(stock_prices_daily.traded_on) OVER symbol_days + 1)::TIMESTAMP AT TIME ZONE 'UTC' AS previous_ended_at
    FROM signals.stock_prices_daily
    CROSS JOIN timeline
    WHERE stock_prices_daily.traded_on >= timeline.prices_from
    WINDOW symbol_days AS (PARTITION BY stock_prices_daily.symbol ORDER BY stock_prices_daily.traded_on)
),

-- The return from the close before is in a window as long as that close is.
closes_in_windows AS (
    SELECT
        closes.symbol,
        closes.ended_at,
        closes.close_price,
        windows.days,
        (closes.close_price - closes.previous_price) / nullif(closes.previous_price, 0) AS daily_return,
        width_bucket(closes.ended_at, timeline.instants) + 1 AS first_number,
        width_bucket(closes.ended_at + windows.width, timeline.instants) AS last_number,
        width_bucket(closes.previous_ended_at + windows.width, timeline.instants) AS last_return_number
    FROM closes
    CROSS JOIN timeline
    CROSS JOIN (VALUES (7, INTERVAL '168 hours'), (30, INTERVAL '720 hours')) AS windows (days, width)
),

symbol_windows AS (
    SELECT
        closes.symbol,
        closes.days,
        spread.snapshot_number,
        count(*) AS close_count,
        (array_agg(closes.close_price ORDER BY closes.ended_at))[1] AS first_price,
        (array_agg(closes.close_price ORDER BY closes.ended_at DESC))[1] AS last_price,
        stddev_samp(closes.daily_return) FILTER (
            WHERE spread.snapshot_number <= closes.last_return_number
        ) AS volatility
    FROM closes_in_windows AS closes
    CROSS JOIN LATERAL generate_series(closes.first_number, closes.last_number) AS spread (snapshot_number)
    GROUP BY closes.symbol, closes.days, spread.snapshot_number
),

returns AS (
    SELECT
        snapshot_number,
        days,
        volatility,
        CASE WHEN close_count > 1 THEN (last_price - first_price) / nullif(first_price, 0) END AS window_return
    FROM symbol_windows
),

market AS (
    SELECT
        snapshot_number,
        (avg(window_return) FILTER (WHERE days = 7))::DOUBLE PRECISION AS market_return_7d,
        (avg(window_return) FILTER (WHERE days = 30))::DOUBLE PRECISION AS market_return_30d,
        (avg(volatility) FILTER (WHERE days = 7))::DOUBLE PRECISION AS market_volatility_7d,
        (avg(volatility) FILTER (WHERE days = 30))::DOUBLE PRECISION AS market_volatility_30d
    FROM returns
    GROUP BY snapshot_number
),

states AS MATERIALIZED (
    SELECT
        country_changes.customer_id,
        country_changes.country,
        country_changes.snapshot_number AS first_number,
        coalesce(place_countries.place_country, '') AS place_country,
        lead(country_changes.snapshot_number, 1, (SELECT timeline.snapshot_count + 1 FROM timeline)) OVER (
            PARTITION BY country_changes.customer_id ORDER BY country_changes.snapshot_number
        ) - 1 AS last_number
    FROM country_changes
    LEFT JOIN place_countries ON country_changes.country = place_countries.place_country
)

SELECT
    states.customer_id,
    numbered_snapshots.snapshot_at,
    states.country,
    weather.temperature_max_mean_celsius_7d,
    weather.precipitation_sum_mm_7d,
    market.market_return_7d,
    market.market_return_30d,
    market.market_volatility_7d,
    market.market_volatility_30d,
    coalesce(weather.weather_known_day_count_7d, 0) AS weather_known_day_count_7d
FROM states
CROSS JOIN LATERAL generate_series(states.first_number, states.last_number) AS spread (snapshot_number)
INNER JOIN numbered_snapshots ON spread.snapshot_number = numbered_snapshots.snapshot_number
LEFT JOIN weather
    ON
        states.place_country = weather.place_country
        AND numbered_snapshots.snapshot_number = weather.snapshot_number
LEFT JOIN market ON numbered_snapshots.snapshot_number = market.snapshot_number
