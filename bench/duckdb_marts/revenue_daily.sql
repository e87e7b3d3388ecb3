CREATE TABLE revenue_daily AS
WITH sales AS (
    SELECT
        currency,
        paid_at::DATE AS sold_on,
        sum(total_amount) AS gross_amount,
        count(*) AS order_count,
        count(DISTINCT customer_id) AS customer_count,
        count(*) FILTER (customer_id IS NULL) AS guest_order_count
    FROM shop.orders
    WHERE paid_at IS NOT NULL
    GROUP BY ALL
),

given_back AS (
    SELECT currency, refunded_at::DATE AS sold_on, sum(refund_amount) AS refund_amount
    FROM shop.refunds
    GROUP BY ALL
),

bounds AS (
    SELECT currency, min(sold_on) AS first_on, getvariable('data_until')::DATE - 1 AS complete_on
    FROM (SELECT currency, sold_on FROM sales UNION ALL SELECT currency, sold_on FROM given_back)
    GROUP BY ALL
),

days AS (
    SELECT
        currency,
        sold_on,
        sold_on <= complete_on AS is_complete,
        coalesce(gross_amount, 0) AS gross_amount,
        coalesce(refund_amount, 0) AS refund_amount,
        coalesce(gross_amount, 0) - coalesce(refund_amount, 0) AS net_amount,
        coalesce(order_count, 0) AS order_count,
        coalesce(customer_count, 0) AS customer_count,
        coalesce(guest_order_count, 0) AS guest_order_count,
        CASE WHEN is_complete THEN coalesce(gross_amount, 0) - coalesce(refund_amount, 0) END AS complete_net,
        CASE WHEN is_complete THEN coalesce(gross_amount, 0) END AS complete_gross
    FROM (
        SELECT currency, complete_on, unnest(generate_series(first_on, last_on, INTERVAL 1 DAY))::DATE AS sold_on
        FROM bounds, (SELECT greatest(max(sold_on), getvariable('data_until')::DATE - 1) AS last_on FROM sales)
    ) LEFT JOIN sales USING (currency, sold_on) LEFT JOIN given_back USING (currency, sold_on)
),

around AS (
    SELECT
        *,
        sum(net_amount) OVER (day_by_day ROWS UNBOUNDED PRECEDING) AS cumulative_amount,
        sum(net_amount) OVER (
            PARTITION BY currency, date_trunc('month', sold_on) ORDER BY sold_on ROWS UNBOUNDED PRECEDING
        ) AS month_to_date_amount,
        lag(complete_net, 1) OVER day_by_day AS net_day_before,
        lag(complete_net, 7) OVER day_by_day AS net_week_before,
        lag(complete_net, 28) OVER day_by_day AS net_month_before_same_weekday,
        lag(complete_net, 364) OVER day_by_day AS net_year_before_same_weekday,
        CASE WHEN count(complete_net) OVER last_7 = 7 THEN avg(complete_net) OVER last_7 END AS net_average_7_days,
        CASE WHEN count(complete_net) OVER last_28 = 28 THEN avg(complete_net) OVER last_28 END AS net_average_28_days,
        CASE WHEN count(complete_net) OVER week = 7 THEN avg(complete_net) OVER week END AS trend_amount,
        CASE WHEN count(complete_net) OVER year = 365 THEN avg(complete_net) OVER year END AS trend_year_amount,
        CASE WHEN count(complete_gross) OVER week = 7 THEN avg(complete_gross) OVER week END AS gross_trend,
        CASE
            WHEN count(complete_net) OVER before = 28
                THEN (complete_net - avg(complete_net) OVER before) / nullif(stddev(complete_net) OVER before, 0)
        END AS z_score
    FROM days
    WINDOW
        day_by_day AS (PARTITION BY currency ORDER BY sold_on),
        last_7 AS (PARTITION BY currency ORDER BY sold_on ROWS 6 PRECEDING),
        last_28 AS (PARTITION BY currency ORDER BY sold_on ROWS 27 PRECEDING),
        before AS (PARTITION BY currency ORDER BY sold_on ROWS BETWEEN 28 PRECEDING AND 1 PRECEDING),
        week AS (PARTITION BY currency ORDER BY sold_on ROWS BETWEEN 3 PRECEDING AND 3 FOLLOWING),
        year AS (PARTITION BY currency ORDER BY sold_on ROWS BETWEEN 182 PRECEDING AND 182 FOLLOWING)
),

weekdays AS (
    SELECT currency, isodow(sold_on) AS weekday, avg(complete_gross / nullif(gross_trend, 0)) AS ratio
    FROM around
    GROUP BY ALL
),

weekday_indices AS (
    SELECT
        currency,
        weekday,
        CASE WHEN count(ratio) OVER whole = 7 THEN ratio / avg(ratio) OVER whole END AS weekly_seasonal_index
    FROM weekdays WINDOW whole AS (PARTITION BY currency)
),

months AS (
    SELECT currency, date_trunc('month', sold_on) AS month_on, avg(complete_gross) AS amount
    FROM days
    GROUP BY ALL
    HAVING count(complete_gross) = day(last_day(min(sold_on)))
),

month_ratios AS (
    SELECT
        currency,
        month(month_on) AS month_number,
        amount * 24 / nullif(
            2 * sum(amount) OVER (ordered ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING)
            + lag(amount, 6) OVER ordered + lead(amount, 6) OVER ordered, 0
        ) AS ratio
    FROM months WINDOW ordered AS (PARTITION BY currency ORDER BY month_on)
),

month_means AS (
    SELECT currency, month_number, avg(ratio) AS ratio FROM month_ratios GROUP BY ALL
),

month_indices AS (
    SELECT
        currency,
        month_number,
        CASE WHEN count(ratio) OVER whole = 12 THEN ratio / avg(ratio) OVER whole END AS yearly_seasonal_index
    FROM month_means WINDOW whole AS (PARTITION BY currency)
)

SELECT
    around.* EXCLUDE (complete_net, complete_gross, gross_trend),
    gross_amount / nullif(order_count, 0) AS average_order_amount,
    month_before.complete_net AS net_month_before,
    year_before.complete_net AS net_year_before,
    weekly_seasonal_index,
    yearly_seasonal_index,
    abs(z_score) > 3 AS is_outlier,
    around.complete_net / CASE WHEN net_day_before > 0 THEN net_day_before END - 1 AS growth_on_day_share,
    around.complete_net / CASE WHEN net_week_before > 0 THEN net_week_before END - 1 AS growth_on_week_share,
    around.complete_net / CASE WHEN net_month_before > 0 THEN net_month_before END - 1 AS growth_on_month_share,
    around.complete_net / CASE WHEN net_month_before_same_weekday > 0 THEN net_month_before_same_weekday END - 1
        AS growth_on_month_same_weekday_share,
    around.complete_net / CASE WHEN net_year_before > 0 THEN net_year_before END - 1 AS growth_on_year_share,
    around.complete_net / CASE WHEN net_year_before_same_weekday > 0 THEN net_year_before_same_weekday END - 1
        AS growth_on_year_same_weekday_share
FROM around
LEFT JOIN (SELECT currency, sold_on, complete_net FROM days) AS month_before
    ON around.currency = month_before.currency AND (around.sold_on - INTERVAL 1 MONTH)::DATE = month_before.sold_on
LEFT JOIN (SELECT currency, sold_on, complete_net FROM days) AS year_before
    ON around.currency = year_before.currency AND (around.sold_on - INTERVAL 1 YEAR)::DATE = year_before.sold_on
LEFT JOIN weekday_indices ON around.currency = weekday_indices.currency AND isodow(around.sold_on) = weekday
LEFT JOIN month_indices ON around.currency = month_indices.currency AND month(around.sold_on) = month_number
