-- One row per day with sales or refunds and currency. An order counts on the day it was paid, a refund on its own day.
-- The bounds are asked for once and not of every row; days sort faster than currencies.
WITH sales AS (
    SELECT
        currency,
        (paid_at AT TIME ZONE (SELECT analytics.time_zone()))::date AS sold_on,
        sum(total_amount) AS gross_amount,
        count(*) AS order_count,
        count(DISTINCT customer_id) AS customer_count,
        count(*) FILTER (WHERE customer_id IS NULL) AS guest_order_count
    FROM shop.orders
    WHERE paid_at >= (SELECT analytics.from_instant()) AND paid_at < (SELECT analytics.until_instant())
    GROUP BY sold_on, currency
),

given_back AS (
    SELECT
        currency,
        (refunded_at AT TIME ZONE (SELECT analytics.time_zone()))::date AS sold_on,
        sum(refund_amount) AS refund_amount,
        count(*) AS refund_count
    FROM shop.refunds
    WHERE refunded_at >= (SELECT analytics.from_instant()) AND refunded_at < (SELECT analytics.until_instant())
    GROUP BY sold_on, currency
)

SELECT
    coalesce(sales.sold_on, given_back.sold_on) AS sold_on,
    coalesce(sales.currency, given_back.currency) AS currency,
    coalesce(sales.gross_amount, 0) AS gross_amount,
    coalesce(given_back.refund_amount, 0) AS refund_amount,
    coalesce(sales.order_count, 0) AS order_count,
    coalesce(given_back.refund_count, 0) AS refund_count,
    coalesce(sales.customer_count, 0) AS customer_count,
    coalesce(sales.guest_order_count, 0) AS guest_order_count
FROM sales
FULL JOIN given_back ON sales.sold_on = given_back.sold_on AND sales.currency = given_back.currency
