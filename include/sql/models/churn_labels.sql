-- One row per snapshot and customer who bought before it: whether they bought nothing in the label window from it on.
-- Parameters: none; reads the relation `label_windows (snapshot_at, bought_since_at, label_end_at)`: who counts has
-- a paid order in [bought_since_at, snapshot_at), and who has none in [snapshot_at, label_end_at) has churned.
SELECT
    orders.customer_id,
    label_windows.snapshot_at,
    NOT bool_or(orders.paid_at >= label_windows.snapshot_at) AS is_churned
FROM label_windows
INNER JOIN shop.orders
    ON
        label_windows.bought_since_at <= orders.paid_at
        AND label_windows.label_end_at > orders.paid_at
WHERE orders.customer_id IS NOT NULL
GROUP BY orders.customer_id, label_windows.snapshot_at
HAVING bool_or(orders.paid_at < label_windows.snapshot_at)
ORDER BY label_windows.snapshot_at, orders.customer_id
