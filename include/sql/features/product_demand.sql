-- One row per product and snapshot: how many were sold day by day before it, to how many buyers, and at which price.
-- Parameters: none; reads the relations `snapshots (snapshot_at)` and `entities (product_id)`, and of the shop what
-- happened before each snapshot. A sale is a line of an order that was paid, at the instant of payment; guests buy too.
-- A product has rows from the first snapshot after its first sale on.
-- Days are spans of 24 hours that end at the snapshot and before it: the days of UTC, where it is a midnight. Day 1 is
-- the one that ends at the snapshot, and a window of W days is days 1 to W. The day of the first sale is the first that
-- counts; from it on, days without a sale count as zero.
-- The way: snapshots at one time of day share a grid of days. Facts are summed up by day of each grid, totals run over
-- all days of a product, and a window is the total at its end less the total before it. Each fact is read once per
-- grid: once, where all snapshots are midnights.
WITH snapshot_days AS (
    SELECT
        snapshot_at,
        grid_at,
        (date_part('epoch', snapshot_at - grid_at) / 86400)::INTEGER AS day_number
    FROM (
        SELECT
            snapshot_at,
            min(snapshot_at) OVER (
                PARTITION BY snapshot_at - date_bin('24 hours', snapshot_at, TIMESTAMPTZ 'epoch')
            ) AS grid_at
        FROM snapshots
    ) AS snapshots_in_grids
),

-- By way of an array, because the planner then expects few grids.
grids AS (
    SELECT unnest(array_agg(DISTINCT grid_at)) AS grid_at
    FROM snapshot_days
),

-- A day has the number of the snapshot, or would-be snapshot, that ends it: 0 ends at the first of the grid.
sales AS (
    SELECT
        order_lines.product_id,
        order_lines.order_id,
        order_lines.line_id,
        order_lines.quantity,
        order_lines.unit_price,
        order_lines.total_amount,
        orders.customer_id,
        orders.paid_at,
        grids.grid_at,
        (date_part('epoch', date_bin('24 hours', orders.paid_at, grids.grid_at) - grids.grid_at) / 86400)::INTEGER + 1
            AS day_number
    FROM shop.order_lines
    INNER JOIN shop.orders ON order_lines.order_id = orders.order_id
    CROSS JOIN grids
    WHERE
        order_lines.kind = 'product'
        AND order_lines.product_id IN (SELECT entities.product_id FROM entities)
        AND orders.paid_at < (SELECT max(snapshots.snapshot_at) FROM snapshots)
),

-- No window looks behind day -89, and none for buyers behind day -27: what is older is one day, and nobody's.
-- The price of the last sale: of two at one instant that of the greater order, then of the greater line.
sales_of_buyers AS (
    SELECT
        product_id,
        grid_at,
        greatest(day_number, -90) AS day_number,
        CASE WHEN day_number > -28 THEN customer_id END AS buyer_id,
        min(day_number) AS first_day_number,
        max(paid_at) AS last_sale_at,
        max(ARRAY[extract(EPOCH FROM paid_at), order_id, line_id, unit_price]) AS last_sale_price,
        sum(quantity) AS units,
        sum(total_amount) AS sales_amount,
        sum(quantity * unit_price) AS priced_amount
    FROM sales
    GROUP BY product_id, grid_at, greatest(day_number, -90), CASE WHEN day_number > -28 THEN customer_id END
),

buyer_visits AS (
    SELECT
        *,
        day_number - lag(day_number) OVER visits AS days_since_visit,
        lead(day_number) OVER visits - day_number AS days_to_visit
    FROM sales_of_buyers
    WINDOW visits AS (PARTITION BY product_id, grid_at, buyer_id ORDER BY day_number)
),

-- A buyer comes with a purchase and goes when 28 days have passed without another one.
sales_by_day AS (
    SELECT
        product_id,
        grid_at,
        day_number,
        min(first_day_number) AS first_day_number,
        max(last_sale_at) AS last_sale_at,
        max(last_sale_price) AS last_sale_price,
        sum(units) AS units,
        sum(sales_amount) AS sales_amount,
        sum(priced_amount) AS priced_amount,
        count(buyer_id) FILTER (WHERE coalesce(days_since_visit, 29) > 28) AS coming_buyers,
        count(buyer_id) FILTER (WHERE coalesce(days_to_visit, 29) > 28) AS going_buyers
    FROM buyer_visits
    GROUP BY product_id, grid_at, day_number
),

returns AS (
    SELECT
        refund_lines.product_id,
        refund_lines.quantity,
        grids.grid_at,
        (date_part('epoch', date_bin('24 hours', refunds.refunded_at, grids.grid_at) - grids.grid_at) / 86400)::INTEGER
        + 1 AS day_number
    FROM shop.refund_lines
    INNER JOIN shop.refunds ON refund_lines.refund_id = refunds.refund_id
    INNER JOIN grids ON refunds.refunded_at >= grids.grid_at - INTERVAL '2160 hours'
    WHERE
        refund_lines.kind = 'product'
        AND refund_lines.product_id IN (SELECT entities.product_id FROM entities)
        AND refunds.refunded_at < (SELECT max(snapshots.snapshot_at) FROM snapshots)
),

returns_by_day AS (
    SELECT
        product_id,
        grid_at,
        day_number,
        sum(quantity) AS returned_units
    FROM returns
    GROUP BY product_id, grid_at, day_number
),

first_days AS (
    SELECT
        product_id,
        grid_at,
        min(first_day_number) AS first_day_number
    FROM sales_by_day
    GROUP BY product_id, grid_at
),

last_days AS (
    SELECT
        grid_at,
        max(day_number) AS last_day_number
    FROM snapshot_days
    GROUP BY grid_at
),

product_days AS (
    SELECT
        first_days.product_id,
        first_days.grid_at,
        spread.day_number,
        spread.day_number - first_days.first_day_number + 1 AS days_on_sale
    FROM first_days
    INNER JOIN last_days ON first_days.grid_at = last_days.grid_at
    CROSS JOIN LATERAL generate_series(
        greatest(first_days.first_day_number, -90), last_days.last_day_number
    ) AS spread (day_number)
),

running_totals AS (
    SELECT
        product_days.product_id,
        product_days.grid_at,
        product_days.day_number,
        product_days.days_on_sale,
        coalesce(sales_by_day.units, 0) AS units,
        sum(sales_by_day.units) OVER days AS total_units,
        sum(sales_by_day.units * sales_by_day.units) OVER days AS total_squares,
        sum(sales_by_day.sales_amount) OVER days AS total_sales_amount,
        sum(sales_by_day.priced_amount) OVER days AS total_priced_amount,
        sum(coalesce(returns_by_day.returned_units, 0)) OVER days AS total_returned_units,
        sum(sales_by_day.coming_buyers) OVER days AS total_coming_buyers,
        sum(sales_by_day.going_buyers) OVER days AS total_going_buyers,
        max(sales_by_day.last_sale_at) OVER days AS last_sale_at,
        max(sales_by_day.last_sale_price) OVER days AS last_sale_price
    FROM product_days
    LEFT JOIN sales_by_day
        ON
            product_days.product_id = sales_by_day.product_id
            AND product_days.grid_at = sales_by_day.grid_at
            AND product_days.day_number = sales_by_day.day_number
    LEFT JOIN returns_by_day
        ON
            product_days.product_id = returns_by_day.product_id
            AND product_days.grid_at = returns_by_day.grid_at
            AND product_days.day_number = returns_by_day.day_number
    WINDOW days AS (
        PARTITION BY product_days.product_id, product_days.grid_at ORDER BY product_days.day_number
        ROWS UNBOUNDED PRECEDING
    )
),

windows AS (
    SELECT
        product_id,
        grid_at,
        day_number,
        last_sale_at,
        units AS units_1,
        last_sale_price[4] AS last_unit_price,
        least(days_on_sale, 7) AS days_in_7,
        least(days_on_sale, 28) AS days_in_28,
        lag(units, 6) OVER days AS units_7,
        lag(units, 13) OVER days AS units_14,
        lag(units, 27) OVER days AS units_28,
        total_units - lag(total_units, 7, 0::NUMERIC) OVER days AS units_in_7,
        total_units - lag(total_units, 28, 0::NUMERIC) OVER days AS units_in_28,
        total_units - lag(total_units, 90, 0::NUMERIC) OVER days AS units_in_90,
        total_squares - lag(total_squares, 7, 0::NUMERIC) OVER days AS squares_in_7,
        total_squares - lag(total_squares, 28, 0::NUMERIC) OVER days AS squares_in_28,
        total_sales_amount - lag(total_sales_amount, 28, 0::NUMERIC) OVER days AS sales_amount_in_28,
        total_sales_amount - lag(total_sales_amount, 90, 0::NUMERIC) OVER days AS sales_amount_in_90,
        total_priced_amount - lag(total_priced_amount, 90, 0::NUMERIC) OVER days AS priced_amount_in_90,
        total_returned_units - lag(total_returned_units, 90, 0::NUMERIC) OVER days AS returned_units_in_90,
        total_coming_buyers - lag(total_going_buyers, 28, 0::NUMERIC) OVER days AS buyers_in_28
    FROM running_totals
    WINDOW days AS (PARTITION BY product_id, grid_at ORDER BY day_number)
),

-- Sine and cosine of (weekday - 1) sevenths of the circle, written out so that every machine has the same bits.
weekdays (weekday, sine, cosine) AS (
    VALUES
    (1, 0::DOUBLE PRECISION, 1::DOUBLE PRECISION),
    (2, 0.7818314824680298, 0.6234898018587335),
    (3, 0.9749279121818236, -0.2225209339563144),
    (4, 0.4338837391175581, -0.9009688679024191),
    (5, -0.4338837391175581, -0.9009688679024191),
    (6, -0.9749279121818236, -0.2225209339563144),
    (7, -0.7818314824680298, 0.6234898018587335)
)

-- The deviation is that of a sample, so it needs two days. Everything is exact until the casts of the last step.
SELECT
    windows.product_id,
    snapshot_days.snapshot_at,
    windows.sales_amount_in_28 AS sales_amount_28d,
    windows.sales_amount_in_90 AS sales_amount_90d,
    weekdays.weekday AS snapshot_weekday,
    weekdays.sine AS snapshot_weekday_sine,
    weekdays.cosine AS snapshot_weekday_cosine,
    windows.units_1::BIGINT AS units_lag_1d,
    windows.units_7::BIGINT AS units_lag_7d,
    windows.units_14::BIGINT AS units_lag_14d,
    windows.units_28::BIGINT AS units_lag_28d,
    windows.units_in_28::BIGINT AS units_28d,
    windows.units_in_90::BIGINT AS units_90d,
    windows.buyers_in_28::BIGINT AS distinct_buyer_count_28d,
    windows.units_in_7::DOUBLE PRECISION / windows.days_in_7 AS units_mean_7d,
    windows.units_in_28::DOUBLE PRECISION / windows.days_in_28 AS units_mean_28d,
    sqrt(
        (windows.days_in_7 * windows.squares_in_7 - windows.units_in_7 * windows.units_in_7)::DOUBLE PRECISION
        / nullif(windows.days_in_7 * (windows.days_in_7 - 1), 0)
    ) AS units_deviation_7d,
    sqrt(
        (windows.days_in_28 * windows.squares_in_28 - windows.units_in_28 * windows.units_in_28)::DOUBLE PRECISION
        / nullif(windows.days_in_28 * (windows.days_in_28 - 1), 0)
    ) AS units_deviation_28d,
    (windows.last_unit_price * windows.units_in_90)::DOUBLE PRECISION
    / nullif(windows.priced_amount_in_90, 0)::DOUBLE PRECISION AS price_position_90d,
    windows.returned_units_in_90::DOUBLE PRECISION / nullif(windows.units_in_90, 0)::DOUBLE PRECISION
        AS returned_share_90d,
    extract(EPOCH FROM snapshot_days.snapshot_at - windows.last_sale_at)::DOUBLE PRECISION / 86400
        AS days_since_last_sale
FROM windows
INNER JOIN snapshot_days ON windows.grid_at = snapshot_days.grid_at AND windows.day_number = snapshot_days.day_number
INNER JOIN weekdays ON extract(ISODOW FROM snapshot_days.snapshot_at AT TIME ZONE 'UTC') = weekdays.weekday
