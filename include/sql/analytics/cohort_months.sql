-- One row per month of the first purchase, currency and month with facts: what the cohort bought and gave back in it.
-- Guests are in no cohort. What was given back before the first purchase counts in the month of that.
WITH asked AS (
    SELECT date_trunc('month', analytics.from_instant() AT TIME ZONE analytics.time_zone())::date AS first_month
),

-- The part of the arrays that is asked for, and what stands before it.
histories AS (
    SELECT
        whole.currency,
        whole.months[1] AS cohort_month,
        whole.months[before.place + 1:] AS months,
        whole.order_counts[before.place + 1:] AS order_counts,
        whole.net_amounts[before.place + 1:] AS net_amounts,
        coalesce(whole.order_counts[before.place], 0) AS order_count_before,
        coalesce(whole.net_amounts[before.place], 0) AS net_amount_before
    FROM asked
    INNER JOIN analytics.customer_histories AS whole ON asked.first_month <= whole.months[cardinality(whole.months)]
    CROSS JOIN LATERAL width_bucket(asked.first_month - 1, whole.months) AS before (place)
),

customer_months AS (
    SELECT
        histories.cohort_month,
        histories.currency,
        places.month_on,
        places.order_count - places.order_count_before AS order_count,
        places.net_amount - places.net_amount_before AS net_amount
    FROM histories
    CROSS JOIN
        LATERAL unnest(
            histories.months,
            histories.order_counts,
            histories.net_amounts,
            array_prepend(histories.order_count_before, histories.order_counts),
            array_prepend(histories.net_amount_before, histories.net_amounts)
        ) AS places (month_on, order_count, net_amount, order_count_before, net_amount_before)
    WHERE places.month_on IS NOT NULL
)

SELECT
    cohort_month,
    currency,
    month_on,
    count(*) FILTER (WHERE order_count > 0) AS active_count,
    sum(order_count) AS order_count,
    sum(net_amount) AS net_amount
FROM customer_months
GROUP BY cohort_month, currency, month_on
