-- One row per customer and currency with a purchase: what they bought and gave back, in total and month by month.
-- A purchase is an order that was paid. A refund belongs to the customer it names, or else to its order's. No guests.
-- The arrays run side by side, one place per month with a purchase or a refund from the month of the first purchase on,
-- and hold what had been by the end of that month: the state at any month's end is at the last place not after it.
-- All that is asked of a customer comes from the same customer's facts, so that one customer costs one look-up.
WITH facts AS (
    SELECT
        customer_id,
        currency,
        paid_at,
        total_amount AS paid_amount,
        0 AS refund_amount,
        paid_at AS happened_at
    FROM shop.orders
    WHERE customer_id IS NOT NULL AND paid_at IS NOT NULL
    UNION ALL
    SELECT
        customer_id,
        currency,
        NULL AS paid_at,
        0 AS paid_amount,
        refund_amount,
        refunded_at AS happened_at
    FROM shop.refunds
    WHERE customer_id IS NOT NULL
    UNION ALL
    SELECT
        orders.customer_id,
        refunds.currency,
        NULL AS paid_at,
        0 AS paid_amount,
        refunds.refund_amount,
        refunds.refunded_at AS happened_at
    FROM shop.refunds
    INNER JOIN shop.orders ON refunds.order_id = orders.order_id
    WHERE refunds.customer_id IS NULL AND orders.customer_id IS NOT NULL
),

dated AS (
    SELECT
        customer_id,
        currency,
        paid_at,
        paid_amount,
        refund_amount,
        happened_at,
        (paid_at AT TIME ZONE (SELECT analytics.time_zone()))::date AS paid_on,
        date_trunc('month', happened_at AT TIME ZONE (SELECT analytics.time_zone()))::date AS month_on
    FROM facts
),

-- Facts of one instant may stand in any order: they are of one day and one month. One window, of what was before, is
-- enough: with the fact itself added it is what is so far.
running AS (
    SELECT
        customer_id,
        currency,
        paid_at,
        paid_on,
        paid_amount,
        refund_amount,
        happened_at,
        month_on,
        count(paid_at) OVER before_it + num_nonnulls(paid_at) AS order_count_so_far,
        coalesce(sum(paid_amount - refund_amount) OVER before_it, 0) + paid_amount - refund_amount
            AS net_amount_so_far,
        greatest(max(paid_at) OVER before_it, paid_at) AS last_paid_at_so_far,
        coalesce(lead(month_on) OVER before_it > month_on, TRUE) AS is_end_of_month,
        nullif(paid_on - max(paid_on) OVER before_it, 0) AS gap_days
    FROM dated
    WINDOW
        before_it AS (
            PARTITION BY customer_id, currency ORDER BY happened_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
)

SELECT
    customer_id,
    currency,
    min(paid_on) AS first_order_on,
    max(paid_on) AS last_order_on,
    max(paid_at) AS last_paid_at,
    count(paid_at) AS order_count,
    count(gap_days) + 1 AS purchase_day_count,
    sum(paid_amount) AS gross_amount,
    sum(refund_amount) AS refund_amount,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY gap_days) AS median_gap_days,
    min(gap_days) AS shortest_gap_days,
    max(gap_days) AS longest_gap_days,
    array_agg(month_on ORDER BY happened_at) FILTER (WHERE is_end_of_month AND order_count_so_far > 0) AS months,
    array_agg(order_count_so_far ORDER BY happened_at) FILTER (
        WHERE is_end_of_month AND order_count_so_far > 0
    ) AS order_counts,
    array_agg(net_amount_so_far ORDER BY happened_at) FILTER (
        WHERE is_end_of_month AND order_count_so_far > 0
    ) AS net_amounts,
    array_agg(last_paid_at_so_far ORDER BY happened_at) FILTER (
        WHERE is_end_of_month AND order_count_so_far > 0
    ) AS last_paid_instants
FROM running
GROUP BY customer_id, currency
HAVING count(paid_at) > 0
