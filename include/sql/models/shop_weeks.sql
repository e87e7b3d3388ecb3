-- One row per week: how many customers had bought in the days before it, and how many of them bought in it.
-- Parameters: none; reads the relation `weeks (week_start_at, week_end_at, bought_since_at)`: who counts has a paid
-- order in [bought_since_at, week_start_at), and who has one in [week_start_at, week_end_at) is a buyer.
WITH customers AS (
    SELECT
        weeks.week_start_at,
        orders.customer_id,
        bool_or(orders.paid_at >= weeks.week_start_at) AS is_buyer
    FROM weeks
    INNER JOIN shop.orders
        ON
            weeks.bought_since_at <= orders.paid_at
            AND weeks.week_end_at > orders.paid_at
    WHERE orders.customer_id IS NOT NULL
    GROUP BY weeks.week_start_at, orders.customer_id
    HAVING bool_or(orders.paid_at < weeks.week_start_at)
)

SELECT
    (week_start_at AT TIME ZONE 'UTC')::date AS week_start_on,
    count(*) AS customer_count,
    count(*) FILTER (WHERE is_buyer) AS buyer_count
FROM customers
GROUP BY week_start_at
ORDER BY week_start_at
