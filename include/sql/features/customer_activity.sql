-- One row per customer and snapshot: what they did in the 30, 90 and 365 days before it, and how regularly they buy.
-- Parameters: none; reads the relations `snapshots (snapshot_at)` and `entities (customer_id)`, and of the shop what
-- those customers did before each snapshot.
-- A customer has rows from the first snapshot after its first purchase on. A purchase is an order that was paid.
-- A fact at e is in the window of W days of snapshot t if e < t <= e + W. So it adds itself to the first snapshot
-- after e and takes itself away from the first one after e + W; totals run over these changes, and each state is
-- then spread over the snapshots until the next one. Sums are exact (integer, numeric), so that no order of
-- adding matters. A gap is the time between two consecutive instants of purchase of a customer; it
-- belongs to the windows that hold the later of the two.
WITH timeline AS (
    SELECT
        array_agg(snapshot_at ORDER BY snapshot_at) AS instants,
        min(snapshot_at) - INTERVAL '365 days' AS windows_from,
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
        lag(orders.paid_at) OVER (PARTITION BY orders.customer_id ORDER BY orders.paid_at) AS previous_paid_at
    FROM shop.orders
    CROSS JOIN timeline
    WHERE
        orders.paid_at < timeline.last_at
        AND orders.customer_id IN (SELECT entities.customer_id FROM entities)
    GROUP BY orders.customer_id, orders.paid_at
),

facts AS (
    SELECT
        customer_id,
        paid_at AS occurred_at,
        order_count,
        revenue_amount,
        NULL::NUMERIC AS refund_amount,
        NULL::INTEGER AS event_count,
        extract(EPOCH FROM paid_at - previous_paid_at) AS gap_seconds
    FROM purchases
    UNION ALL
    SELECT
        coalesce(refunds.customer_id, orders.customer_id) AS customer_id,
        refunds.refunded_at AS occurred_at,
        NULL AS order_count,
        NULL AS revenue_amount,
        refunds.refund_amount,
        NULL AS event_count,
        NULL AS gap_seconds
    FROM shop.refunds
    LEFT JOIN shop.orders ON refunds.order_id = orders.order_id
    WHERE coalesce(refunds.customer_id, orders.customer_id) IN (SELECT entities.customer_id FROM entities)
    UNION ALL
    SELECT
        customer_id,
        occurred_at,
        NULL AS order_count,
        NULL AS revenue_amount,
        NULL AS refund_amount,
        1 AS event_count,
        NULL AS gap_seconds
    FROM shop.events
    WHERE customer_id IN (SELECT entities.customer_id FROM entities)
),

-- Each fact enters all three windows at once and leaves them one by one; null is nothing to add, and costs nothing.
-- width_bucket counts the snapshots at or before an instant; the next one is the first that is strictly after it.
fact_moves AS (
    SELECT
        facts.customer_id,
        width_bucket(facts.occurred_at + moves.after, timeline.instants) + 1 AS snapshot_number,
        sum(facts.order_count * moves.in_30)::INTEGER AS order_count_30,
        sum(facts.order_count * moves.in_90)::INTEGER AS order_count_90,
        sum(facts.order_count * moves.in_365)::INTEGER AS order_count_365,
        sum(facts.revenue_amount * moves.in_30) AS revenue_amount_30,
        sum(facts.revenue_amount * moves.in_90) AS revenue_amount_90,
        sum(facts.revenue_amount * moves.in_365) AS revenue_amount_365,
        sum(facts.refund_amount * moves.in_30) AS refund_amount_30,
        sum(facts.refund_amount * moves.in_90) AS refund_amount_90,
        sum(facts.refund_amount * moves.in_365) AS refund_amount_365,
        sum(facts.event_count * moves.in_30)::INTEGER AS event_count_30,
        sum(facts.event_count * moves.in_90)::INTEGER AS event_count_90,
        sum(facts.event_count * moves.in_365)::INTEGER AS event_count_365,
        (sum(moves.in_30) FILTER (WHERE facts.gap_seconds IS NOT NULL))::INTEGER AS gap_count_30,
        (sum(moves.in_90) FILTER (WHERE facts.gap_seconds IS NOT NULL))::INTEGER AS gap_count_90,
        (sum(moves.in_365) FILTER (WHERE facts.gap_seconds IS NOT NULL))::INTEGER AS gap_count_365,
        sum(facts.gap_seconds * moves.in_30) AS gap_seconds_30,
        sum(facts.gap_seconds * moves.in_90) AS gap_seconds_90,
        sum(facts.gap_seconds * moves.in_365) AS gap_seconds_365,
        sum(facts.gap_seconds * facts.gap_seconds * moves.in_30) AS gap_squares_30,
        sum(facts.gap_seconds * facts.gap_seconds * moves.in_90) AS gap_squares_90,
        sum(facts.gap_seconds * facts.gap_seconds * moves.in_365) AS gap_squares_365
    FROM facts
    CROSS JOIN timeline
    CROSS JOIN (
        VALUES
        (INTERVAL '0', 1, 1, 1),
        (INTERVAL '30 days', -1, NULL, NULL),
        (INTERVAL '90 days', NULL, -1, NULL),
        (INTERVAL '365 days', NULL, NULL, -1)
    ) AS moves (after, in_30, in_90, in_365)
    WHERE facts.occurred_at >= timeline.windows_from AND facts.occurred_at + moves.after < timeline.last_at
    GROUP BY facts.customer_id, snapshot_number
),

-- What one snapshot sees of a customer and a product is its last purchase before it.
product_purchases AS (
    SELECT
        orders.customer_id,
        order_lines.product_id,
        max(orders.paid_at) AS paid_at
    FROM shop.order_lines
    INNER JOIN shop.orders ON order_lines.order_id = orders.order_id
    CROSS JOIN timeline
    WHERE
        order_lines.kind = 'product'
        AND order_lines.product_id IS NOT NULL
        AND orders.customer_id IN (SELECT entities.customer_id FROM entities)
        AND orders.paid_at >= timeline.windows_from
        AND orders.paid_at < timeline.last_at
    GROUP BY orders.customer_id, order_lines.product_id, width_bucket(orders.paid_at, timeline.instants)
),

-- A product counts from its purchase until it leaves the window or, if that is sooner, is bought again.
product_spans AS (
    SELECT
        customer_id,
        paid_at,
        lead(paid_at, 1, 'infinity') OVER (PARTITION BY customer_id, product_id ORDER BY paid_at) AS next_paid_at
    FROM product_purchases
),

product_changes AS (
    SELECT
        product_spans.customer_id,
        moves.in_30,
        moves.in_90,
        moves.in_365,
        least(product_spans.paid_at + moves.after, product_spans.next_paid_at) AS moved_at
    FROM product_spans
    CROSS JOIN (
        VALUES
        (INTERVAL '0', 1, 1, 1),
        (INTERVAL '30 days', -1, 0, 0),
        (INTERVAL '90 days', 0, -1, 0),
        (INTERVAL '365 days', 0, 0, -1)
    ) AS moves (after, in_30, in_90, in_365)
),

product_moves AS (
    SELECT
        product_changes.customer_id,
        width_bucket(product_changes.moved_at, timeline.instants) + 1 AS snapshot_number,
        sum(product_changes.in_30)::INTEGER AS product_count_30,
        sum(product_changes.in_90)::INTEGER AS product_count_90,
        sum(product_changes.in_365)::INTEGER AS product_count_365
    FROM product_changes
    CROSS JOIN timeline
    WHERE product_changes.moved_at < timeline.last_at
    GROUP BY product_changes.customer_id, snapshot_number
),

life_changes AS (
    SELECT
        purchases.customer_id,
        width_bucket(purchases.paid_at, timeline.instants) + 1 AS snapshot_number,
        min(purchases.paid_at) AS first_purchase_at,
        max(purchases.paid_at) AS last_purchase_at,
        count(*)::INTEGER AS purchase_instant_count
    FROM purchases
    CROSS JOIN timeline
    GROUP BY purchases.customer_id, snapshot_number
),

states AS (
    SELECT
        customer_id,
        snapshot_number AS first_number,
        lead(snapshot_number, 1, (SELECT timeline.snapshot_count + 1 FROM timeline)) OVER customer_changes
        - 1 AS last_number,
        min(life_changes.first_purchase_at) OVER customer_changes AS first_purchase_at,
        max(life_changes.last_purchase_at) OVER customer_changes AS last_purchase_at,
        sum(life_changes.purchase_instant_count) OVER customer_changes AS purchase_instant_count,
        sum(fact_moves.order_count_30) OVER customer_changes AS order_count_30,
        sum(fact_moves.order_count_90) OVER customer_changes AS order_count_90,
        sum(fact_moves.order_count_365) OVER customer_changes AS order_count_365,
        sum(fact_moves.revenue_amount_30) OVER customer_changes AS revenue_amount_30,
        sum(fact_moves.revenue_amount_90) OVER customer_changes AS revenue_amount_90,
        sum(fact_moves.revenue_amount_365) OVER customer_changes AS revenue_amount_365,
        sum(fact_moves.refund_amount_30) OVER customer_changes AS refund_amount_30,
        sum(fact_moves.refund_amount_90) OVER customer_changes AS refund_amount_90,
        sum(fact_moves.refund_amount_365) OVER customer_changes AS refund_amount_365,
        sum(product_moves.product_count_30) OVER customer_changes AS product_count_30,
        sum(product_moves.product_count_90) OVER customer_changes AS product_count_90,
        sum(product_moves.product_count_365) OVER customer_changes AS product_count_365,
        sum(fact_moves.event_count_30) OVER customer_changes AS event_count_30,
        sum(fact_moves.event_count_90) OVER customer_changes AS event_count_90,
        sum(fact_moves.event_count_365) OVER customer_changes AS event_count_365,
        sum(fact_moves.gap_count_30) OVER customer_changes AS gap_count_30,
        sum(fact_moves.gap_count_90) OVER customer_changes AS gap_count_90,
        sum(fact_moves.gap_count_365) OVER customer_changes AS gap_count_365,
        sum(fact_moves.gap_seconds_30) OVER customer_changes AS gap_seconds_30,
        sum(fact_moves.gap_seconds_90) OVER customer_changes AS gap_seconds_90,
        sum(fact_moves.gap_seconds_365) OVER customer_changes AS gap_seconds_365,
        sum(fact_moves.gap_squares_30) OVER customer_changes AS gap_squares_30,
        sum(fact_moves.gap_squares_90) OVER customer_changes AS gap_squares_90,
        sum(fact_moves.gap_squares_365) OVER customer_changes AS gap_squares_365
    FROM life_changes
    FULL JOIN fact_moves USING (customer_id, snapshot_number)  -- noqa: ST07
    FULL JOIN product_moves USING (customer_id, snapshot_number)  -- noqa: ST07
    WINDOW customer_changes AS (PARTITION BY customer_id ORDER BY snapshot_number)
),

-- The deviation is that of a sample, so it needs two gaps; what is under the root is a whole number of microseconds
-- squared until the very end, and never negative. OFFSET 0 keeps Postgres from working all this out again for each
-- snapshot that a state is spread over.
features AS (
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
        coalesce(event_count_30, 0)::INTEGER AS event_count_30d,
        coalesce(event_count_90, 0)::INTEGER AS event_count_90d,
        coalesce(event_count_365, 0)::INTEGER AS event_count_365d,
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
    FROM states
    WHERE first_purchase_at IS NOT NULL AND last_number >= first_number
    ORDER BY customer_id
    OFFSET 0  -- noqa: AM09
)

SELECT
    features.customer_id,
    seen.snapshot_at,
    features.order_count_30d,
    features.order_count_90d,
    features.order_count_365d,
    features.revenue_amount_30d,
    features.revenue_amount_90d,
    features.revenue_amount_365d,
    features.refund_amount_30d,
    features.refund_amount_90d,
    features.refund_amount_365d,
    features.distinct_product_count_30d,
    features.distinct_product_count_90d,
    features.distinct_product_count_365d,
    features.event_count_30d,
    features.event_count_90d,
    features.event_count_365d,
    features.gap_mean_days_30d,
    features.gap_mean_days_90d,
    features.gap_mean_days_365d,
    features.gap_deviation_days_30d,
    features.gap_deviation_days_90d,
    features.gap_deviation_days_365d,
    features.typical_gap_seconds / 86400 AS typical_gap_days,
    date_part('epoch', seen.snapshot_at - features.first_purchase_at) / 86400
        AS tenure_days,
    date_part('epoch', seen.snapshot_at - features.last_purchase_at)
    / features.typical_gap_seconds AS recency_over_typical_gap
FROM features
CROSS JOIN LATERAL unnest(
    (SELECT timeline.instants FROM timeline)[features.first_number:features.last_number]
) AS seen (snapshot_at)
