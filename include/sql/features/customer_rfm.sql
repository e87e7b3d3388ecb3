-- One row per customer and snapshot: how recently, how often and for how much they bought before it.
-- Parameters: none; reads the relation `snapshots (snapshot_at)`, and of the shop what happened before each of them.
-- A customer has rows from the first snapshot after its first purchase on. A purchase is an order that was paid.
-- The way: each fact is given to the first snapshot that sees it, totals run over those few changes, and each
-- state is then spread over the snapshots until the next one. No fact is ever joined to all snapshots.
WITH timeline AS (
    SELECT
        array_agg(snapshot_at ORDER BY snapshot_at) AS instants,
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

-- width_bucket counts the snapshots at or before an instant; the next one is the first that is strictly after it.
facts AS (
    SELECT
        orders.customer_id,
        width_bucket(orders.paid_at, timeline.instants) + 1 AS snapshot_number,
        orders.paid_at AS purchased_at,
        orders.total_amount AS amount
    FROM shop.orders
    CROSS JOIN timeline
    WHERE orders.paid_at < timeline.last_at AND orders.customer_id IS NOT NULL
    UNION ALL
    SELECT
        coalesce(refunds.customer_id, orders.customer_id) AS customer_id,
        width_bucket(refunds.refunded_at, timeline.instants) + 1 AS snapshot_number,
        NULL AS purchased_at,
        -refunds.refund_amount AS amount
    FROM shop.refunds
    LEFT JOIN shop.orders ON refunds.order_id = orders.order_id
    CROSS JOIN timeline
    WHERE refunds.refunded_at < timeline.last_at AND coalesce(refunds.customer_id, orders.customer_id) IS NOT NULL
),

changes AS (
    SELECT
        customer_id,
        snapshot_number,
        max(purchased_at) AS last_purchase_at,
        count(purchased_at) AS purchase_count,
        sum(amount) AS amount
    FROM facts
    GROUP BY customer_id, snapshot_number
),

states AS (
    SELECT
        customer_id,
        snapshot_number AS first_number,
        lead(snapshot_number, 1, (SELECT timeline.snapshot_count + 1 FROM timeline)) OVER customer_changes
        - 1 AS last_number,
        max(last_purchase_at) OVER customer_changes AS last_purchase_at,
        (sum(purchase_count) OVER customer_changes)::BIGINT AS frequency,
        sum(amount) OVER customer_changes AS monetary_amount
    FROM changes
    WINDOW customer_changes AS (PARTITION BY customer_id ORDER BY snapshot_number)
),

customers_at_snapshots AS (
    SELECT
        states.customer_id,
        numbered_snapshots.snapshot_at,
        states.last_purchase_at,
        states.frequency,
        states.monetary_amount
    FROM states
    CROSS JOIN LATERAL generate_series(states.first_number, states.last_number) AS spread (snapshot_number)
    INNER JOIN numbered_snapshots ON spread.snapshot_number = numbered_snapshots.snapshot_number
    WHERE states.frequency > 0
),

-- 5 is best. Equal customers are told apart by customer_id, so that every build scores them alike.
scored AS (
    SELECT
        customer_id,
        snapshot_at,
        last_purchase_at,
        frequency,
        monetary_amount,
        ntile(5) OVER (PARTITION BY snapshot_at ORDER BY last_purchase_at, customer_id) AS recency_score,
        ntile(5) OVER (PARTITION BY snapshot_at ORDER BY frequency, customer_id) AS frequency_score,
        ntile(5) OVER (PARTITION BY snapshot_at ORDER BY monetary_amount, customer_id) AS monetary_score
    FROM customers_at_snapshots
)

SELECT
    customer_id,
    snapshot_at,
    frequency,
    monetary_amount,
    recency_score,
    frequency_score,
    monetary_score,
    date_part('epoch', snapshot_at - last_purchase_at) / 86400 AS recency_days,
    CASE
        WHEN recency_score >= 4 AND frequency_score >= 4 THEN 'Champions'
        WHEN recency_score >= 3 AND frequency_score >= 4 THEN 'Loyal'
        WHEN recency_score >= 4 AND frequency_score >= 2 THEN 'Potential Loyalist'
        WHEN recency_score = 5 THEN 'New'
        WHEN recency_score = 4 THEN 'Promising'
        WHEN recency_score = 3 AND frequency_score = 3 THEN 'Need Attention'
        WHEN recency_score = 3 THEN 'About To Sleep'
        WHEN frequency_score = 5 THEN 'Cannot Lose Them'
        WHEN frequency_score >= 3 THEN 'At Risk'
        ELSE 'Hibernating'
    END AS segment
FROM scored
