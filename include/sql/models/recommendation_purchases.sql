-- One row per paid order of a known customer and product in it.
-- Parameters: none; reads the relation `purchase_window (since_at, until_at)`, one row: orders paid in
-- [since_at, until_at).
SELECT
    orders.customer_id,
    order_lines.product_id,
    (extract(EPOCH FROM orders.paid_at) * 1000000)::BIGINT AS paid_at
FROM purchase_window
INNER JOIN shop.orders
    ON purchase_window.since_at <= orders.paid_at AND purchase_window.until_at > orders.paid_at
INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
WHERE
    orders.customer_id IS NOT NULL
    AND order_lines.kind = 'product'
    AND order_lines.product_id IS NOT NULL
GROUP BY orders.order_id, order_lines.product_id
ORDER BY orders.customer_id, order_lines.product_id, orders.paid_at, orders.order_id
