-- One row per month of the first purchase and currency: how many came back, how soon, and what they were worth.
SELECT
    cohort_month,
    currency,
    count(*) AS customer_count,
    count(*) FILTER (WHERE is_repeat) AS repeat_count,
    count(*) FILTER (WHERE is_repeat)::double precision / count(*) AS repeat_share,
    sum(order_count) AS order_count,
    sum(last_order_on - first_order_on)::double precision / nullif(sum(purchase_day_count - 1), 0) AS mean_gap_days,
    sum(net_amount) AS net_amount,
    round(sum(net_amount) / count(*), 4) AS net_amount_per_customer,
    count(expected_value_amount) AS expected_count
FROM analytics.customer_lifetime
GROUP BY cohort_month, currency
