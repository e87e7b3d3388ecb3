-- One row per day and set of products that were in one order. An order counts on the day it was paid; a product counts
-- once in it, however many lines and units it has, and orders without a known product are no baskets.
WITH baskets AS (
    SELECT
        orders.order_id,
        orders.paid_at,
        array_agg(DISTINCT order_lines.product_id ORDER BY order_lines.product_id) AS products
    FROM shop.orders
    INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
    WHERE
        orders.paid_at >= analytics.from_instant() AND orders.paid_at < analytics.until_instant()
        AND order_lines.kind = 'product'
        AND order_lines.product_id IS NOT NULL
    GROUP BY orders.order_id
)

SELECT
    products,
    (paid_at AT TIME ZONE (SELECT analytics.time_zone()))::date AS sold_on,
    count(*) AS order_count
FROM baskets
GROUP BY products, sold_on
