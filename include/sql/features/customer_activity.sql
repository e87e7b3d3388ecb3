-- One row per customer and snapshot: what they did in the 30, 90 and 365 days before it, and how regularly they buy.
-- Parameters: none; reads the relations `snapshots (snapshot_at)` and `entities (customer_id)`, and of the shop what
-- those customers did before each snapshot.
-- A customer has rows from the first snapshot after its first purchase on. A purchase is an order that was paid.
-- A fact at e is in the window of W days of snapshot t if e < t <= e + W. So it adds itself to the first snapshot
-- after e and takes itself away from the first one after e + W; totals run over these changes, and each state is
-- then spread over the snapshots until the next one. Sums are exact (integer, numeric), so that no order of
-- adding matters. A gap is the time between two consecutive instants of purchase of a customer; it
-- belongs to the windows that hold the later of the two. Days are written as 24 hours, so that no clock change counts.
WITH timeline AS (
    SELECT
        array_agg(snapshot_at ORDER BY snapshot_at) AS instants,
        min(snapshot_at) - INTERVAL '8760 hours' AS windows_from,
        max(snapshot_at) AS last_at,
        count(*)::INTEGER AS snapshot_count
    FROM snapshots
),

purchases AS (
    SELECT
        orders.customer_id,
        orders.paid_at,
        count(*)::INTEGER AS order_count,
        sum(orders.total_amount) AS revenue_amount,
        row_number() OVER customer_purchases AS purchase_number,
        first_value(orders.paid_at) OVER customer_purchases AS first_paid_at,
        extract(EPOCH FROM orders.paid_at - lag(orders.paid_at) OVER customer_purchases)
        * extract(EPOCH FROM orders.paid_at - lag(orders.paid_at) OVER customer_purchases) AS gap_square,
        lead(orders.paid_at, 1, 'infinity') OVER customer_purchases AS next_paid_at
    FROM shop.orders
    CROSS JOIN timeline
    WHERE
        orders.paid_at < timeline.last_at
        AND orders.customer_id IN (SELECT entities.customer_id FROM entities)
    GROUP BY orders.customer_id, orders.paid_at
    WINDOW customer_purchases AS (PARTITION BY orders.customer_id ORDER BY orders.paid_at)
),

-- The snapshots at which events come into a window and leave it.
event_numbers AS MATERIALIZED (
    SELECT
        customer_id,
        width_bucket(occurred_at, (SELECT timeline.instants FROM timeline)) + 1 AS comes,
        width_bucket(occurred_at + INTERVAL '720 hours', (SELECT timeline.instants FROM timeline)) + 1 AS leaves_30,
        width_bucket(occurred_at + INTERVAL '2160 hours', (SELECT timeline.instants FROM timeline)) + 1 AS leaves_90,
        width_bucket(occurred_at + INTERVAL '8760 hours', (SELECT timeline.instants FROM timeline)) + 1 AS leaves_365
    FROM shop.events
    WHERE
        customer_id IN (SELECT entities.customer_id FROM entities)
        AND occurred_at >= (SELECT timeline.windows_from FROM timeline)
        AND occurred_at < (SELECT timeline.last_at FROM timeline)
),

-- All of a customer, each in its order: what comes later leaves no sooner.
events_in_order AS (
    SELECT
        customer_id,
        array_agg(comes ORDER BY comes, leaves_30, leaves_90, leaves_365) AS comes,
        array_agg(leaves_30 ORDER BY comes, leaves_30, leaves_90, leaves_365) AS leaves_30,
        array_agg(leaves_90 ORDER BY comes, leaves_30, leaves_90, leaves_365) AS leaves_90,
        array_agg(leaves_365 ORDER BY comes, leaves_30, leaves_90, leaves_365) AS leaves_365
    FROM event_numbers
    GROUP BY customer_id
),

-- When the customer bought the product before and after.
product_purchases AS (
    SELECT
        orders.customer_id,
        orders.paid_at,
        lag(orders.paid_at, 1, '-infinity') OVER customer_product_purchases AS previous_paid_at,
        lead(orders.paid_at, 1, 'infinity') OVER customer_product_purchases AS next_paid_at
    FROM shop.order_lines
    INNER JOIN shop.orders ON order_lines.order_id = orders.order_id
    CROSS JOIN timeline
    WHERE
        order_lines.kind = 'product'
        AND order_lines.product_id IS NOT NULL
        AND orders.customer_id IN (SELECT entities.customer_id FROM entities)
        AND orders.paid_at >= timeline.windows_from
        AND orders.paid_at < timeline.last_at
    WINDOW customer_product_purchases AS (
        PARTITION BY orders.customer_id, order_lines.product_id
        ORDER BY orders.paid_at
    )
),

-- A product counts in a window from a purchase on that finds it not there, until the last one leaves that comes before
-- it is bought again.
product_counts AS (
    SELECT
        customer_id,
        paid_at,
        (count(*) FILTER (WHERE previous_paid_at + INTERVAL '720 hours' < paid_at))::INTEGER AS new_count_30,
        (count(*) FILTER (WHERE previous_paid_at + INTERVAL '2160 hours' < paid_at))::INTEGER AS new_count_90,
        (count(*) FILTER (WHERE previous_paid_at + INTERVAL '8760 hours' < paid_at))::INTEGER AS new_count_365,
        (count(*) FILTER (WHERE paid_at + INTERVAL '720 hours' < next_paid_at))::INTEGER AS last_count_30,
        (count(*) FILTER (WHERE paid_at + INTERVAL '2160 hours' < next_paid_at))::INTEGER AS last_count_90,
        (count(*) FILTER (WHERE paid_at + INTERVAL '8760 hours' < next_paid_at))::INTEGER AS last_count_365
    FROM product_purchases
    GROUP BY customer_id, paid_at
),

-- Of the purchases before all windows the last one is enough: it knows how many there were, and the first of them.
facts AS (
    SELECT
        purchases.customer_id,
        purchases.paid_at AS occurred_at,
        purchases.first_paid_at,
        purchases.paid_at AS last_paid_at,
        purchases.purchase_number,
        purchases.order_count,
        purchases.revenue_amount,
        NULL::NUMERIC AS refund_amount,
        purchases.gap_square,
        product_counts.new_count_30,
        product_counts.new_count_90,
        product_counts.new_count_365,
        product_counts.last_count_30,
        product_counts.last_count_90,
        product_counts.last_count_365
    FROM purchases
    CROSS JOIN timeline
    LEFT JOIN product_counts
        ON purchases.customer_id = product_counts.customer_id AND purchases.paid_at = product_counts.paid_at
    WHERE purchases.next_paid_at >= timeline.windows_from
    UNION ALL
    SELECT
        coalesce(refunds.customer_id, orders.customer_id) AS customer_id,
        refunds.refunded_at AS occurred_at,
        NULL AS first_paid_at,
        NULL AS last_paid_at,
        NULL AS purchase_number,
        NULL AS order_count,
        NULL AS revenue_amount,
        refunds.refund_amount,
        NULL AS gap_square,
        NULL AS new_count_30,
        NULL AS new_count_90,
        NULL AS new_count_365,
        NULL AS last_count_30,
        NULL AS last_count_90,
        NULL AS last_count_365
    FROM shop.refunds
    CROSS JOIN timeline
    LEFT JOIN shop.orders ON refunds.order_id = orders.order_id
    WHERE
        coalesce(refunds.customer_id, orders.customer_id) IN (SELECT entities.customer_id FROM entities)
        AND refunds.refunded_at >= timeline.windows_from
),

-- Each fact enters all three windows at once and leaves them one by one; null is nothing to add, and costs nothing.
-- width_bucket counts the snapshots at or before an instant; the next one is the first that is strictly after it.
changes AS MATERIALIZED (
    SELECT
        facts.customer_id,
        facts.first_paid_at,
        facts.last_paid_at,
        facts.purchase_number,
        facts.order_count,
        facts.revenue_amount,
        facts.refund_amount,
        facts.gap_square,
        moves.in_30,
        moves.in_90,
        moves.in_365,
        width_bucket(facts.occurred_at + moves.after, timeline.instants) + 1 AS snapshot_number,
        CASE moves.in_30 WHEN 1 THEN facts.new_count_30 WHEN -1 THEN -facts.last_count_30 END AS product_count_30,
        CASE moves.in_90 WHEN 1 THEN facts.new_count_90 WHEN -1 THEN -facts.last_count_90 END AS product_count_90,
        CASE moves.in_365 WHEN 1 THEN facts.new_count_365 WHEN -1 THEN -facts.last_count_365 END AS product_count_365
    FROM facts
    CROSS JOIN timeline
    CROSS JOIN (
        VALUES
        (INTERVAL '0', 1, 1, 1),
        (INTERVAL '720 hours', -1, NULL, NULL),
        (INTERVAL '2160 hours', NULL, -1, NULL),
        (INTERVAL '8760 hours', NULL, NULL, -1)
    ) AS moves (after, in_30, in_90, in_365)
    WHERE facts.occurred_at + moves.after < timeline.last_at
),

-- The totals of all changes of one snapshot are alike, and the last of them is the one that lasts.
states AS (
    SELECT
        customer_id,
        snapshot_number AS first_number,
        lead(snapshot_number, 1, (SELECT timeline.snapshot_count + 1 FROM timeline)) OVER customer_changes
        - 1 AS last_number,
        min(first_paid_at) OVER customer_changes AS first_purchase_at,
        max(last_paid_at) OVER customer_changes AS last_purchase_at,
        max(purchase_number) OVER customer_changes AS purchase_instant_count,
        sum(order_count * in_30) OVER customer_changes AS order_count_30,
        sum(order_count * in_90) OVER customer_changes AS order_count_90,
        sum(order_count * in_365) OVER customer_changes AS order_count_365,
        sum(revenue_amount * in_30) OVER customer_changes AS revenue_amount_30,
        sum(revenue_amount * in_90) OVER customer_changes AS revenue_amount_90,
        sum(revenue_amount * in_365) OVER customer_changes AS revenue_amount_365,
        sum(refund_amount * in_30) OVER customer_changes AS refund_amount_30,
        sum(refund_amount * in_90) OVER customer_changes AS refund_amount_90,
        sum(refund_amount * in_365) OVER customer_changes AS refund_amount_365,
        sum(product_count_30) OVER customer_changes AS product_count_30,
        sum(product_count_90) OVER customer_changes AS product_count_90,
        sum(product_count_365) OVER customer_changes AS product_count_365,
        max(purchase_number) FILTER (WHERE in_30 = -1) OVER customer_changes AS left_number_30,
        max(purchase_number) FILTER (WHERE in_90 = -1) OVER customer_changes AS left_number_90,
        max(purchase_number) FILTER (WHERE in_365 = -1) OVER customer_changes AS left_number_365,
        max(last_paid_at) FILTER (WHERE in_30 = -1) OVER customer_changes AS left_paid_at_30,
        max(last_paid_at) FILTER (WHERE in_90 = -1) OVER customer_changes AS left_paid_at_90,
        max(last_paid_at) FILTER (WHERE in_365 = -1) OVER customer_changes AS left_paid_at_365,
        sum(gap_square * in_30) OVER customer_changes AS gap_squares_30,
        sum(gap_square * in_90) OVER customer_changes AS gap_squares_90,
        sum(gap_square * in_365) OVER customer_changes AS gap_squares_365
    FROM changes
    WINDOW customer_changes AS (PARTITION BY customer_id ORDER BY snapshot_number)
),

-- The gaps that ended in a window are those since the last purchase that left it, or else since the first one.
gaps AS (
    SELECT
        *,
        purchase_instant_count - coalesce(left_number_30, 1) AS gap_count_30,
        purchase_instant_count - coalesce(left_number_90, 1) AS gap_count_90,
        purchase_instant_count - coalesce(left_number_365, 1) AS gap_count_365,
        extract(EPOCH FROM last_purchase_at - coalesce(left_paid_at_30, first_purchase_at)) AS gap_seconds_30,
        extract(EPOCH FROM last_purchase_at - coalesce(left_paid_at_90, first_purchase_at)) AS gap_seconds_90,
        extract(EPOCH FROM last_purchase_at - coalesce(left_paid_at_365, first_purchase_at)) AS gap_seconds_365
    FROM states
    WHERE first_purchase_at IS NOT NULL AND last_number >= first_number
),

-- The deviation is that of a sample, so it needs two gaps; what is under the root is a whole number of microseconds
-- squared until the very end, and never negative. Materialized, or the planner would compute all this once per snapshot
-- instead of once per state.
features AS MATERIALIZED (
    SELECT
        customer_id,
        first_number,
        last_number,
        first_purchase_at,
        last_purchase_at,
        coalesce(order_count_30, 0)::INTEGER AS order_count_30d,
        coalesce(order_count_90, 0)::INTEGER AS order_count_90d,
        coalesce(order_count_365, 0)::INTEGER AS order_count_365d,
        coalesce(revenue_amount_30, 0)::NUMERIC(18, 4) AS revenue_amount_30d,
        coalesce(revenue_amount_90, 0)::NUMERIC(18, 4) AS revenue_amount_90d,
        coalesce(revenue_amount_365, 0)::NUMERIC(18, 4) AS revenue_amount_365d,
        coalesce(refund_amount_30, 0)::NUMERIC(18, 4) AS refund_amount_30d,
        coalesce(refund_amount_90, 0)::NUMERIC(18, 4) AS refund_amount_90d,
        coalesce(refund_amount_365, 0)::NUMERIC(18, 4) AS refund_amount_365d,
        coalesce(product_count_30, 0)::INTEGER AS distinct_product_count_30d,
        coalesce(product_count_90, 0)::INTEGER AS distinct_product_count_90d,
        coalesce(product_count_365, 0)::INTEGER AS distinct_product_count_365d,
        gap_seconds_30::DOUBLE PRECISION / nullif(gap_count_30, 0)::DOUBLE PRECISION / 86400 AS gap_mean_days_30d,
        gap_seconds_90::DOUBLE PRECISION / nullif(gap_count_90, 0)::DOUBLE PRECISION / 86400 AS gap_mean_days_90d,
        gap_seconds_365::DOUBLE PRECISION / nullif(gap_count_365, 0)::DOUBLE PRECISION / 86400 AS gap_mean_days_365d,
        CASE
            WHEN gap_count_30 > 1
                THEN sqrt(
                    (gap_count_30 * gap_squares_30 - gap_seconds_30 * gap_seconds_30)::DOUBLE PRECISION
                    / (gap_count_30 * (gap_count_30 - 1))::DOUBLE PRECISION
                ) / 86400
        END AS gap_deviation_days_30d,
        CASE
            WHEN gap_count_90 > 1
                THEN sqrt(
                    (gap_count_90 * gap_squares_90 - gap_seconds_90 * gap_seconds_90)::DOUBLE PRECISION
                    / (gap_count_90 * (gap_count_90 - 1))::DOUBLE PRECISION
                ) / 86400
        END AS gap_deviation_days_90d,
        CASE
            WHEN gap_count_365 > 1
                THEN sqrt(
                    (gap_count_365 * gap_squares_365 - gap_seconds_365 * gap_seconds_365)::DOUBLE PRECISION
                    / (gap_count_365 * (gap_count_365 - 1))::DOUBLE PRECISION
                ) / 86400
        END AS gap_deviation_days_365d,
        extract(EPOCH FROM last_purchase_at - first_purchase_at)::DOUBLE PRECISION
        / nullif(purchase_instant_count - 1, 0)::DOUBLE PRECISION AS typical_gap_seconds
    FROM gaps
),

-- The newest snapshot first, as history keeps them.
spread AS (
    SELECT
        features.*,
        generate_series(features.last_number, features.first_number, -1) AS snapshot_number
    FROM features
    ORDER BY features.customer_id ASC, features.first_number DESC
)

SELECT
    spread.customer_id,
    spread.order_count_30d,
    spread.order_count_90d,
    spread.order_count_365d,
    spread.revenue_amount_30d,
    spread.revenue_amount_90d,
    spread.revenue_amount_365d,
    spread.refund_amount_30d,
    spread.refund_amount_90d,
    spread.refund_amount_365d,
    spread.distinct_product_count_30d,
    spread.distinct_product_count_90d,
    spread.distinct_product_count_365d,
    spread.gap_mean_days_30d,
    spread.gap_mean_days_90d,
    spread.gap_mean_days_365d,
    spread.gap_deviation_days_30d,
    spread.gap_deviation_days_90d,
    spread.gap_deviation_days_365d,
    (SELECT timeline.instants FROM timeline)[spread.snapshot_number] AS snapshot_at,
    coalesce(
        width_bucket(spread.snapshot_number, events_in_order.comes)
        - width_bucket(spread.snapshot_number, events_in_order.leaves_30),
        0
    ) AS event_count_30d,
    coalesce(
        width_bucket(spread.snapshot_number, events_in_order.comes)
        - width_bucket(spread.snapshot_number, events_in_order.leaves_90),
        0
    ) AS event_count_90d,
    coalesce(
        width_bucket(spread.snapshot_number, events_in_order.comes)
        - width_bucket(spread.snapshot_number, events_in_order.leaves_365),
        0
    ) AS event_count_365d,
    spread.typical_gap_seconds / 86400 AS typical_gap_days,
    date_part(
        'epoch', (SELECT timeline.instants FROM timeline)[spread.snapshot_number] - spread.first_purchase_at
    ) / 86400 AS tenure_days,
    date_part(
        'epoch', (SELECT timeline.instants FROM timeline)[spread.snapshot_number] - spread.last_purchase_at
    )
    / spread.typical_gap_seconds AS recency_over_typical_gap
FROM spread
LEFT JOIN events_in_order ON spread.customer_id = events_in_order.customer_id
