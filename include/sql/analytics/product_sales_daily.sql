-- One row per day, product and currency in which it was sold or given back. A line counts on the day its order was
-- paid, a line given back on the day of its refund. Lines of no known product are left out.
WITH lines AS (
    SELECT
        orders.paid_at AS counts_from,
        order_lines.product_id,
        orders.currency,
        order_lines.quantity AS unit_count,
        1 AS line_count,
        order_lines.total_amount AS gross_amount,
        NULL::bigint AS returned_unit_count,
        NULL::numeric AS returned_amount
    FROM shop.orders
    INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
    WHERE
        orders.paid_at >= analytics.from_instant() AND orders.paid_at < analytics.until_instant()
        AND order_lines.kind = 'product'
        AND order_lines.product_id IS NOT NULL
    UNION ALL
    SELECT
        refunds.refunded_at AS counts_from,
        refund_lines.product_id,
        refunds.currency,
        NULL AS unit_count,
        NULL AS line_count,
        NULL AS gross_amount,
        refund_lines.quantity AS returned_unit_count,
        refund_lines.total_amount AS returned_amount
    FROM shop.refunds
    INNER JOIN shop.refund_lines ON refunds.refund_id = refund_lines.refund_id
    WHERE
        refunds.refunded_at >= analytics.from_instant() AND refunds.refunded_at < analytics.until_instant()
        AND refund_lines.kind = 'product'
        AND refund_lines.product_id IS NOT NULL
),

-- In order, so that they are added up one after the other: what a product sells in a day is often a line or two, and a
-- table of hashes with that many sums is slower than sorting.
dated_lines AS (
    SELECT
        *,
        (counts_from AT TIME ZONE (SELECT analytics.time_zone()))::date AS sold_on
    FROM lines
    ORDER BY sold_on, product_id, currency
)

SELECT
    sold_on,
    product_id,
    currency,
    coalesce(sum(unit_count), 0) AS unit_count,
    count(line_count) AS line_count,
    coalesce(sum(gross_amount), 0) AS gross_amount,
    coalesce(sum(returned_unit_count), 0) AS returned_unit_count,
    coalesce(sum(returned_amount), 0) AS returned_amount
FROM dated_lines
GROUP BY sold_on, product_id, currency
