-- One row per customer and snapshot: how long they have been one, how often they came back, and what they paid so far.
-- Parameters: none; reads the relations `snapshots (snapshot_at)` and `entities (customer_id)`.
-- A customer has rows from the first snapshot after its first purchase on. A purchase is an order that was paid.
-- Frequency, recency and age are those of the BG/NBD model: P. Fader, B. Hardie, K. Lee (2005), "Counting Your
-- Customers" the Easy Way, Marketing Science 24(2). They are counted in UTC days, as the libraries lifetimes and
-- PyMC-Marketing do when the observation ends on the day of the snapshot: two orders of one day are one purchase, and
-- the repeat purchases begin on the second day. So is the mean value of a repeat purchase, which the Gamma-Gamma model
-- takes: P. Fader, B. Hardie (2013), The Gamma-Gamma Model of Monetary Value.
-- A gap is the time between two consecutive instants of purchase.
-- Each fact is given to the first snapshot that sees it, totals run over those few changes, and each state is then
-- spread over the snapshots until the next one. Sums are exact, so that no order of adding matters.
WITH timeline AS (
    SELECT
        array_agg(snapshot_at ORDER BY snapshot_at) AS instants,
        array_agg((snapshot_at AT TIME ZONE 'UTC')::DATE ORDER BY snapshot_at) AS days,
        array_agg((extract(EPOCH FROM snapshot_at) * 1000000)::BIGINT ORDER BY snapshot_at) AS microseconds,
        max(snapshot_at) AS last_at,
        count(*)::INTEGER AS snapshot_count
    FROM snapshots
),

paid_orders AS (
    SELECT
        order_id,
        customer_id,
        paid_at,
        total_amount,
        (paid_at AT TIME ZONE 'UTC')::DATE AS paid_on
    FROM shop.orders
    WHERE
        customer_id IN (SELECT entities.customer_id FROM entities)
        AND paid_at < (SELECT timeline.last_at FROM timeline)
),

purchases AS (
    SELECT
        customer_id,
        paid_at,
        paid_on,
        total_amount,
        row_number() OVER customer_orders AS order_number,
        first_value(paid_at) OVER customer_orders AS first_paid_at,
        first_value(paid_on) OVER customer_orders AS first_paid_on,
        lag(paid_at) OVER customer_orders AS previous_paid_at,
        lag(paid_on) OVER customer_orders AS previous_paid_on,
        lag(total_amount, 1, 0.0) OVER customer_orders AS previous_amount
    FROM paid_orders
    WINDOW customer_orders AS (PARTITION BY customer_id ORDER BY paid_at, order_id)
),

-- The amount of the last order is the sum of all steps from one order's amount to the next one's.
purchase_changes AS (
    SELECT
        customer_id,
        width_bucket(paid_at, (SELECT timeline.instants FROM timeline)) + 1 AS snapshot_number,
        count(*) AS order_count,
        min(first_paid_at) AS first_paid_at,
        min(first_paid_on) AS first_paid_on,
        max(paid_on) AS last_paid_on,
        count(*) FILTER (WHERE paid_on > previous_paid_on) AS repeat_day_count,
        sum(total_amount) AS paid_amount,
        sum(total_amount) FILTER (WHERE paid_on > first_paid_on) AS repeat_amount,
        sum(total_amount) FILTER (WHERE order_number = 1) AS first_order_amount,
        sum(total_amount - previous_amount) AS last_order_step_amount,
        max(total_amount) AS largest_order_amount,
        min(paid_at - first_paid_at) FILTER (
            WHERE paid_at > first_paid_at
        ) AS second_purchase_after,
        max(paid_at - previous_paid_at) FILTER (
            WHERE paid_at > previous_paid_at
        ) AS largest_gap
    FROM purchases
    GROUP BY customer_id, snapshot_number
),

-- A refund belongs to the customer it names, or else to that of its order.
refunds AS (
    SELECT
        customer_id,
        refunded_at,
        refund_amount
    FROM shop.refunds
    WHERE customer_id IN (SELECT entities.customer_id FROM entities)
    UNION ALL
    SELECT
        orders.customer_id,
        refunds.refunded_at,
        refunds.refund_amount
    FROM shop.orders
    INNER JOIN shop.refunds ON orders.order_id = refunds.order_id
    WHERE refunds.customer_id IS NULL AND orders.customer_id IN (SELECT entities.customer_id FROM entities)
),

refund_changes AS (
    SELECT
        customer_id,
        width_bucket(refunded_at, (SELECT timeline.instants FROM timeline)) + 1 AS snapshot_number,
        count(*) AS refund_count,
        sum(refund_amount) AS refund_amount
    FROM refunds
    GROUP BY customer_id, snapshot_number
),

states AS (
    SELECT
        customer_id,
        snapshot_number AS first_number,
        lead(snapshot_number, 1, (SELECT timeline.snapshot_count + 1 FROM timeline)) OVER customer_changes
        - 1 AS last_number,
        sum(purchase_changes.order_count) OVER customer_changes AS order_count,
        min(purchase_changes.first_paid_at) OVER customer_changes AS first_paid_at,
        min(purchase_changes.first_paid_on) OVER customer_changes AS first_paid_on,
        max(purchase_changes.last_paid_on) OVER customer_changes AS last_paid_on,
        sum(purchase_changes.repeat_day_count) OVER customer_changes AS repeat_day_count,
        sum(purchase_changes.paid_amount) OVER customer_changes AS paid_amount,
        sum(purchase_changes.repeat_amount) OVER customer_changes AS repeat_amount,
        sum(purchase_changes.first_order_amount) OVER customer_changes AS first_order_amount,
        sum(purchase_changes.last_order_step_amount) OVER customer_changes AS last_order_amount,
        max(purchase_changes.largest_order_amount) OVER customer_changes AS largest_order_amount,
        min(purchase_changes.second_purchase_after) OVER customer_changes AS second_purchase_after,
        max(purchase_changes.largest_gap) OVER customer_changes AS largest_gap,
        sum(refund_changes.refund_count) OVER customer_changes AS refund_count,
        sum(refund_changes.refund_amount) OVER customer_changes AS refund_amount
    FROM purchase_changes
    FULL JOIN refund_changes USING (customer_id, snapshot_number)  -- noqa: ST07
    WINDOW customer_changes AS (PARTITION BY customer_id ORDER BY snapshot_number)
),

-- Materialized, or the planner would compute these once per snapshot instead of once per state.
features AS MATERIALIZED (
    SELECT
        customer_id,
        first_number,
        last_number,
        first_paid_on,
        paid_amount AS lifetime_paid_amount,
        first_order_amount,
        last_order_amount,
        largest_order_amount,
        repeat_day_count::INTEGER AS repeat_purchase_days,
        (extract(EPOCH FROM first_paid_at) * 1000000)::BIGINT AS first_paid_microseconds,
        last_paid_on - first_paid_on AS lifetime_recency_days,
        paid_amount - coalesce(refund_amount, 0) AS historic_value_amount,
        paid_amount::DOUBLE PRECISION / order_count::DOUBLE PRECISION AS average_order_amount,
        repeat_amount::DOUBLE PRECISION / nullif(repeat_day_count, 0)::DOUBLE PRECISION AS average_repeat_day_amount,
        extract(EPOCH FROM second_purchase_after)::DOUBLE PRECISION / 86400 AS days_to_second_purchase,
        extract(EPOCH FROM largest_gap)::DOUBLE PRECISION / 86400 AS largest_gap_days,
        coalesce(refund_count, 0)::INTEGER AS lifetime_refund_count
    FROM states
    WHERE first_paid_at IS NOT NULL
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
    customer_id,
    repeat_purchase_days,
    lifetime_recency_days,
    historic_value_amount,
    lifetime_paid_amount,
    average_order_amount,
    average_repeat_day_amount,
    first_order_amount,
    last_order_amount,
    largest_order_amount,
    days_to_second_purchase,
    largest_gap_days,
    lifetime_refund_count,
    (SELECT timeline.instants FROM timeline)[snapshot_number] AS snapshot_at,
    (SELECT timeline.days FROM timeline)[snapshot_number] - first_paid_on AS lifetime_age_days,
    ((SELECT timeline.microseconds FROM timeline)[snapshot_number] - first_paid_microseconds)::DOUBLE PRECISION
    / 86400000000 AS lifetime_tenure_days
FROM spread
