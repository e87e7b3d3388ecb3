-- One row per day, product and currency in which it was sold or given back. A line counts on the day its order was
-- paid, a line given back on the day of its refund. Lines of no known product are left out.
WITH sales AS (
    SELECT
        order_lines.product_id,
        orders.currency,
        (orders.paid_at AT TIME ZONE (SELECT analytics.time_zone()))::date AS sold_on,
        sum(order_lines.quantity) AS unit_count,
        count(*) AS line_count,
        sum(order_lines.total_amount) AS gross_amount
    FROM shop.orders
    INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
    WHERE
        orders.paid_at >= analytics.from_instant() AND orders.paid_at < analytics.until_instant()
        AND order_lines.kind = 'product'
        AND order_lines.product_id IS NOT NULL
    GROUP BY order_lines.product_id, orders.currency, sold_on
),

given_back AS (
    SELECT
        refund_lines.product_id,
        refunds.currency,
        (refunds.refunded_at AT TIME ZONE (SELECT analytics.time_zone()))::date AS sold_on,
        sum(refund_lines.quantity) AS returned_unit_count,
        sum(refund_lines.total_amount) AS returned_amount
    FROM shop.refunds
    INNER JOIN shop.refund_lines ON refunds.refund_id = refund_lines.refund_id
    WHERE
        refunds.refunded_at >= analytics.from_instant() AND refunds.refunded_at < analytics.until_instant()
        AND refund_lines.kind = 'product'
        AND refund_lines.product_id IS NOT NULL
    GROUP BY refund_lines.product_id, refunds.currency, sold_on
)

SELECT
    coalesce(sales.sold_on, given_back.sold_on) AS sold_on,
    coalesce(sales.product_id, given_back.product_id) AS product_id,
    coalesce(sales.currency, given_back.currency) AS currency,
    coalesce(sales.unit_count, 0) AS unit_count,
    coalesce(sales.line_count, 0) AS line_count,
    coalesce(sales.gross_amount, 0) AS gross_amount,
    coalesce(given_back.returned_unit_count, 0) AS returned_unit_count,
    coalesce(given_back.returned_amount, 0) AS returned_amount
FROM sales
FULL JOIN given_back
    ON
        sales.sold_on = given_back.sold_on
        AND sales.product_id = given_back.product_id
        AND sales.currency = given_back.currency
