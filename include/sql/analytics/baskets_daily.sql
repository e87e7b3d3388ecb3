-- One row per paid order with products: its day and what was in it. A product counts once, however many lines and units
-- of it there are; orders without a known product are no baskets.
SELECT
    orders.order_id,
    (orders.paid_at AT TIME ZONE (SELECT analytics.time_zone()))::DATE AS sold_on,
    array_agg(DISTINCT order_lines.product_id ORDER BY order_lines.product_id) AS products
FROM shop.orders
INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
WHERE
    orders.paid_at >= analytics.from_instant() AND orders.paid_at < analytics.until_instant()
    AND order_lines.kind = 'product'
    AND order_lines.product_id IS NOT NULL
GROUP BY orders.order_id
