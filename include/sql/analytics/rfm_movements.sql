-- One row per month that is over, currency, segment at the end of the month before and at its end, with customers.
-- Scores and names are those of the feature view customer_rfm, of all who had bought by the end of a month. If nobody
-- said how far was loaded, the last month with a fact counts as over.
WITH bounds AS (
    SELECT
        greatest(
            min(months[1]),
            date_trunc('month', analytics.from_instant() AT TIME ZONE (SELECT analytics.time_zone()))
        ) AS first_month,
        CASE
            WHEN analytics.data_until() = 'infinity' THEN max(months[cardinality(months)])
            ELSE
                date_trunc('month', least(analytics.data_until(), now()) AT TIME ZONE (SELECT analytics.time_zone()))
                - interval '1 month'
        END AS last_month
    FROM analytics.customer_histories
    HAVING count(*) > 0  -- Without customers the first month is long ago, and there is no end to the months from then.
),

-- The month before the first one is scored too: it is where customers come from.
month_ends AS (
    SELECT each_month.month_at::date AS month_on
    FROM bounds
    CROSS JOIN
        LATERAL generate_series(
            bounds.first_month - interval '1 month', bounds.last_month, interval '1 month'
        ) AS each_month (month_at)
    WHERE bounds.first_month <= bounds.last_month
),

currencies AS (
    SELECT DISTINCT currency FROM analytics.customer_histories
),

-- Each month is ranked by itself: many small sorts are cheaper than a large one. The state at the end of a month is at
-- the last place that is not after it.
scored AS (
    SELECT
        month_ends.month_on,
        currencies.currency,
        ranked.customer_id,
        ranked.order_count,
        ranked.net_amount,
        ranked.recency_score,
        ranked.frequency_score
    FROM month_ends
    CROSS JOIN currencies
    CROSS JOIN LATERAL (
        SELECT
            histories.customer_id,
            histories.order_counts[place.number] AS order_count,
            histories.net_amounts[place.number] AS net_amount,
            ntile(5) OVER (
                ORDER BY histories.last_paid_instants[place.number], histories.customer_id
            ) AS recency_score,
            ntile(5) OVER (ORDER BY histories.order_counts[place.number], histories.customer_id) AS frequency_score
        FROM analytics.customer_histories AS histories
        CROSS JOIN LATERAL width_bucket(month_ends.month_on, histories.months) AS place (number)
        WHERE histories.currency = currencies.currency AND histories.months[1] <= month_ends.month_on
    ) AS ranked
),

-- A customer is in every month from the first purchase on.
moved AS (
    SELECT
        month_on,
        currency,
        order_count,
        net_amount,
        recency_score,
        frequency_score,
        lag(recency_score) OVER customer_months AS recency_score_before,
        lag(frequency_score) OVER customer_months AS frequency_score_before
    FROM scored
    WINDOW customer_months AS (PARTITION BY customer_id, currency ORDER BY month_on)
),

-- Named when they are few.
counted AS (
    SELECT
        month_on,
        currency,
        recency_score,
        frequency_score,
        recency_score_before,
        frequency_score_before,
        count(*) AS customer_count,
        sum(order_count) AS order_count,
        sum(net_amount) AS net_amount
    FROM moved
    WHERE month_on >= (SELECT bounds.first_month FROM bounds)
    GROUP BY month_on, currency, recency_score, frequency_score, recency_score_before, frequency_score_before
)

SELECT
    month_on,
    currency,
    coalesce(analytics.rfm_segment(recency_score_before, frequency_score_before), '') AS from_segment,
    analytics.rfm_segment(recency_score, frequency_score) AS to_segment,
    sum(customer_count) AS customer_count,
    sum(order_count) AS order_count,
    sum(net_amount) AS net_amount
FROM counted
GROUP BY month_on, currency, from_segment, to_segment
