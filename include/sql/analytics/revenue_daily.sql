-- One row per currency and day from its first sale or refund to the last day that is known, days without any included.
-- Known are the days whose end was loaded, and those with facts. A load that ends in the future tells nothing of it.
-- Net is gross less refunds, each on its own day. What compares, averages or judges a day takes complete days alone.
-- Trend: the centred moving average of the classical decomposition (statsmodels' seasonal_decompose), of net.
-- Seasonal indices: those of the multiplicative one, of gross, which unlike net is never negative. Each is the mean of
-- the ratios of gross to its centred average over one period, divided by their mean over the period: by weekday with
-- days and a period of 7, by month with each full month's mean per day and a period of 12. Days or months around which
-- nothing was sold have no ratio.
WITH horizon AS (
    SELECT
        max(sold_on) AS last_fact_on,
        CASE
            WHEN isfinite(analytics.data_until())
                THEN (least(analytics.data_until(), now()) AT TIME ZONE (SELECT analytics.time_zone()))::DATE - 1
        END AS last_complete_on
    FROM analytics.sales_daily
),

firsts AS (
    SELECT
        currency,
        min(sold_on) AS first_on
    FROM analytics.sales_daily
    GROUP BY currency
),

calendar AS (
    SELECT
        firsts.currency,
        firsts.first_on + passed.days AS sold_on,
        coalesce(firsts.first_on + passed.days <= horizon.last_complete_on, TRUE) AS is_complete
    FROM horizon
    CROSS JOIN firsts
    CROSS JOIN LATERAL generate_series(
        0, greatest(horizon.last_fact_on, horizon.last_complete_on) - firsts.first_on
    ) AS passed (days)
),

days AS (
    SELECT
        calendar.currency,
        calendar.sold_on,
        calendar.is_complete,
        coalesce(sales.gross_amount, 0) AS gross_amount,
        coalesce(sales.refund_amount, 0) AS refund_amount,
        coalesce(sales.gross_amount - sales.refund_amount, 0) AS net_amount,
        coalesce(sales.order_count, 0) AS order_count,
        coalesce(sales.customer_count, 0) AS customer_count,
        coalesce(sales.guest_order_count, 0) AS guest_order_count,
        CASE WHEN calendar.is_complete THEN coalesce(sales.gross_amount - sales.refund_amount, 0) END AS complete_net,
        CASE WHEN calendar.is_complete THEN coalesce(sales.gross_amount, 0) END AS complete_gross
    FROM calendar
    LEFT JOIN analytics.sales_daily AS sales
        ON calendar.currency = sales.currency AND calendar.sold_on = sales.sold_on
),

-- The calendar has no gap: so many rows before is so many days before.
around AS (
    SELECT
        currency,
        sold_on,
        sum(net_amount) OVER until_day AS cumulative_amount,
        sum(net_amount) OVER until_day_of_month AS month_to_date_amount,
        lag(complete_net, 1) OVER day_by_day AS net_day_before,
        lag(complete_net, 7) OVER day_by_day AS net_week_before,
        lag(complete_net, 28) OVER day_by_day AS net_month_before_same_weekday,
        lag(complete_net, 364) OVER day_by_day AS net_year_before_same_weekday,
        CASE WHEN count(complete_net) OVER last_7 = 7 THEN avg(complete_net) OVER last_7 END AS net_average_7_days,
        CASE WHEN count(complete_net) OVER last_28 = 28 THEN avg(complete_net) OVER last_28 END AS net_average_28_days,
        CASE WHEN count(complete_net) OVER week = 7 THEN avg(complete_net) OVER week END AS trend_amount,
        CASE WHEN count(complete_net) OVER year = 365 THEN avg(complete_net) OVER year END AS trend_year_amount,
        CASE WHEN count(complete_gross) OVER week = 7 THEN avg(complete_gross) OVER week END AS gross_trend_amount,
        CASE WHEN count(complete_net) OVER before_28 = 28 THEN avg(complete_net) OVER before_28 END AS usual_amount,
        nullif(stddev_samp(complete_net) OVER before_28, 0) AS usual_deviation_amount
    FROM days
    WINDOW
        day_by_day AS (PARTITION BY currency ORDER BY sold_on),
        until_day AS (PARTITION BY currency ORDER BY sold_on ROWS UNBOUNDED PRECEDING),
        until_day_of_month AS (
            PARTITION BY currency, date_trunc('month', sold_on::TIMESTAMP) ORDER BY sold_on ROWS UNBOUNDED PRECEDING
        ),
        last_7 AS (PARTITION BY currency ORDER BY sold_on ROWS 6 PRECEDING),
        last_28 AS (PARTITION BY currency ORDER BY sold_on ROWS 27 PRECEDING),
        before_28 AS (PARTITION BY currency ORDER BY sold_on ROWS BETWEEN 28 PRECEDING AND 1 PRECEDING),
        week AS (PARTITION BY currency ORDER BY sold_on ROWS BETWEEN 3 PRECEDING AND 3 FOLLOWING),
        year AS (PARTITION BY currency ORDER BY sold_on ROWS BETWEEN 182 PRECEDING AND 182 FOLLOWING)
),

weekday_ratios AS (
    SELECT
        days.currency,
        extract(ISODOW FROM days.sold_on) AS weekday,
        avg(days.complete_gross / nullif(around.gross_trend_amount, 0)) AS ratio
    FROM days
    INNER JOIN around ON days.currency = around.currency AND days.sold_on = around.sold_on
    GROUP BY days.currency, weekday
),

weekday_indices AS (
    SELECT
        currency,
        weekday,
        CASE WHEN count(ratio) OVER shop_week = 7 THEN ratio / nullif(avg(ratio) OVER shop_week, 0) END
            AS seasonal_index
    FROM weekday_ratios
    WINDOW shop_week AS (PARTITION BY currency)
),

full_months AS (
    SELECT
        currency,
        date_trunc('month', sold_on::TIMESTAMP)::DATE AS month_on,
        avg(complete_gross) AS daily_amount
    FROM days
    GROUP BY currency, month_on
    HAVING
        count(complete_gross)
        = extract(DAY FROM date_trunc('month', min(sold_on)::TIMESTAMP) + INTERVAL '1 month' - INTERVAL '1 day')
),

-- With an even period the first and the last of 13 months count half.
month_ratios AS (
    SELECT
        currency,
        extract(MONTH FROM month_on) AS month_number,
        daily_amount / nullif(
            2 * sum(daily_amount) OVER (months ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING)
            + lag(daily_amount, 6) OVER months + lead(daily_amount, 6) OVER months, 0
        ) * 24 AS ratio
    FROM full_months
    WINDOW months AS (PARTITION BY currency ORDER BY month_on)
),

month_means AS (
    SELECT
        currency,
        month_number,
        avg(ratio) AS ratio
    FROM month_ratios
    GROUP BY currency, month_number
),

month_indices AS (
    SELECT
        currency,
        month_number,
        CASE WHEN count(ratio) OVER shop_year = 12 THEN ratio / nullif(avg(ratio) OVER shop_year, 0) END
            AS seasonal_index
    FROM month_means
    WINDOW shop_year AS (PARTITION BY currency)
),

compared AS (
    SELECT
        days.*,
        around.cumulative_amount,
        around.month_to_date_amount,
        around.net_day_before,
        around.net_week_before,
        around.net_month_before_same_weekday,
        around.net_year_before_same_weekday,
        around.net_average_7_days,
        around.net_average_28_days,
        around.trend_amount,
        around.trend_year_amount,
        month_before.complete_net AS net_month_before,
        year_before.complete_net AS net_year_before,
        weekday_indices.seasonal_index AS weekly_seasonal_index,
        month_indices.seasonal_index AS yearly_seasonal_index,
        (days.complete_net - around.usual_amount) / around.usual_deviation_amount AS z_score
    FROM days
    INNER JOIN around ON days.currency = around.currency AND days.sold_on = around.sold_on
    LEFT JOIN days AS month_before
        ON
            days.currency = month_before.currency
            AND (days.sold_on - INTERVAL '1 month')::DATE = month_before.sold_on
    LEFT JOIN days AS year_before
        ON days.currency = year_before.currency AND (days.sold_on - INTERVAL '1 year')::DATE = year_before.sold_on
    LEFT JOIN weekday_indices
        ON days.currency = weekday_indices.currency AND extract(ISODOW FROM days.sold_on) = weekday_indices.weekday
    LEFT JOIN month_indices
        ON days.currency = month_indices.currency AND extract(MONTH FROM days.sold_on) = month_indices.month_number
)

SELECT
    sold_on,
    currency,
    is_complete,
    gross_amount,
    refund_amount,
    net_amount,
    order_count,
    customer_count,
    guest_order_count,
    net_average_7_days,
    net_average_28_days,
    month_to_date_amount,
    cumulative_amount,
    net_day_before,
    net_week_before,
    net_month_before,
    net_month_before_same_weekday,
    net_year_before,
    net_year_before_same_weekday,
    trend_amount,
    trend_year_amount,
    weekly_seasonal_index,
    yearly_seasonal_index,
    z_score,
    gross_amount::DOUBLE PRECISION / nullif(order_count, 0) AS average_order_amount,
    complete_net / CASE WHEN net_day_before > 0 THEN net_day_before END - 1 AS growth_on_day_share,
    complete_net / CASE WHEN net_week_before > 0 THEN net_week_before END - 1 AS growth_on_week_share,
    complete_net / CASE WHEN net_month_before > 0 THEN net_month_before END - 1 AS growth_on_month_share,
    complete_net / CASE WHEN net_month_before_same_weekday > 0 THEN net_month_before_same_weekday END - 1
        AS growth_on_month_same_weekday_share,
    complete_net / CASE WHEN net_year_before > 0 THEN net_year_before END - 1 AS growth_on_year_share,
    complete_net / CASE WHEN net_year_before_same_weekday > 0 THEN net_year_before_same_weekday END - 1
        AS growth_on_year_same_weekday_share,
    abs(z_score) > 3 AS is_outlier
FROM compared
