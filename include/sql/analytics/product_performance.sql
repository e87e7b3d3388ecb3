-- One row per product and currency in which it was sold, given back or is offered: its class by revenue, how its sales
-- answer to its price, its returns, and its last days.
-- Classes: by the share of the net revenue of all products of greater revenue together; below 80 % is A, below 95 % is
-- B. Elasticity: ln(units) = a + b ln(price) over the whole weeks with sales, by least squares; the price of a week is
-- what was paid for a unit on average; the error of b is sqrt(rest / (weeks - 2) / variation of ln(price)).
-- Days without a sale count as zero from the first sale on. The last whole day is the one before the day in which what
-- was loaded ends; if nobody said where that is, the last day with sales.
WITH facts AS (
    SELECT
        min(sold_on) AS first_on,
        CASE
            WHEN isfinite(analytics.data_until())
                THEN (analytics.data_until() AT TIME ZONE (SELECT analytics.time_zone()))::date - 1
            ELSE max(sold_on)
        END AS last_on
    FROM analytics.product_sales_daily
),

-- The first day of the year 1 was a Monday: weeks are counted from it. They come in order, since the last digits of a
-- slope hang on the order of its points, and the same facts shall give the same row.
weeks AS (
    SELECT
        product_id,
        currency,
        ln(sum(unit_count)::double precision) AS log_units,
        ln((sum(gross_amount) / sum(unit_count))::double precision) AS log_price
    FROM (
        SELECT
            product_id,
            currency,
            unit_count,
            gross_amount,
            (sold_on - date '0001-01-01') / 7 AS week_number
        FROM analytics.product_sales_daily
        ORDER BY product_id, currency, week_number
    ) AS days
    WHERE
        week_number >= (SELECT (facts.first_on - date '0001-01-01' + 6) / 7 FROM facts)
        AND week_number < (SELECT (facts.last_on - date '0001-01-01' + 1) / 7 FROM facts)
    GROUP BY product_id, currency, week_number
    HAVING sum(unit_count) > 0 AND sum(gross_amount) > 0
),

-- One price may come out of two divisions a last digit apart, which is no change of it.
slopes AS (
    SELECT
        product_id,
        currency,
        count(*) AS price_week_count,
        max(log_price) - min(log_price) > 1e-12 AND count(*) > 2 AS is_known,
        regr_slope(log_units, log_price) AS price_elasticity,
        regr_sxx(log_units, log_price) AS price_variation,
        regr_syy(log_units, log_price) AS units_variation,
        regr_sxy(log_units, log_price) AS common_variation
    FROM weeks
    GROUP BY product_id, currency
),

totals AS (
    SELECT
        sales.product_id,
        sales.currency,
        sum(sales.unit_count) AS unit_count,
        sum(sales.line_count) AS line_count,
        sum(sales.gross_amount) AS gross_amount,
        sum(sales.returned_unit_count) AS returned_unit_count,
        sum(sales.returned_amount) AS returned_amount,
        min(sales.sold_on) FILTER (WHERE sales.line_count > 0) AS first_sold_on,
        max(sales.sold_on) FILTER (WHERE sales.line_count > 0) AS last_sold_on
    FROM analytics.product_sales_daily AS sales
    GROUP BY sales.product_id, sales.currency
),

latest_days AS (
    SELECT
        sales.product_id,
        sales.currency,
        sales.unit_count,
        sales.gross_amount - sales.returned_amount AS net_amount,
        facts.last_on - sales.sold_on AS days_ago
    FROM analytics.product_sales_daily AS sales
    CROSS JOIN facts
    WHERE sales.sold_on > facts.last_on - 90 AND sales.sold_on <= facts.last_on
),

latest AS (
    SELECT
        product_id,
        currency,
        sum(unit_count) FILTER (WHERE days_ago = 0) AS units_lag_0_days,
        sum(unit_count) FILTER (WHERE days_ago = 1) AS units_lag_1_day,
        sum(unit_count) FILTER (WHERE days_ago = 7) AS units_lag_7_days,
        sum(unit_count) FILTER (WHERE days_ago = 28) AS units_lag_28_days,
        sum(unit_count) FILTER (WHERE days_ago < 7) AS units_7_days,
        sum(unit_count) FILTER (WHERE days_ago < 28) AS units_28_days,
        sum(unit_count) AS units_90_days,
        sum(unit_count) FILTER (WHERE days_ago >= 28 AND days_ago < 56) AS units_28_days_before,
        sum(unit_count * unit_count) FILTER (WHERE days_ago < 28) AS squares_28_days,
        sum(net_amount) FILTER (WHERE days_ago < 7) AS net_amount_7_days,
        sum(net_amount) FILTER (WHERE days_ago < 28) AS net_amount_28_days,
        sum(net_amount) AS net_amount_90_days
    FROM latest_days
    GROUP BY product_id, currency
),

offered AS (
    SELECT
        totals.first_sold_on,
        totals.last_sold_on,
        coalesce(totals.product_id, products.product_id) AS product_id,
        coalesce(totals.currency, products.currency) AS currency,
        coalesce(totals.unit_count, 0) AS unit_count,
        coalesce(totals.line_count, 0) AS line_count,
        coalesce(totals.gross_amount, 0) AS gross_amount,
        coalesce(totals.returned_unit_count, 0) AS returned_unit_count,
        coalesce(totals.returned_amount, 0) AS returned_amount,
        coalesce(totals.gross_amount - totals.returned_amount, 0) AS net_amount
    FROM totals
    FULL JOIN shop.products ON totals.product_id = products.product_id AND totals.currency = products.currency
),

-- Ranks, sums and bounds by value: products of one revenue are told of together.
ranked AS (
    SELECT
        offered.*,
        facts.last_on,
        CASE WHEN offered.first_sold_on <= facts.last_on THEN least(facts.last_on - offered.first_sold_on + 1, 7) END
            AS days_in_7,
        CASE WHEN offered.first_sold_on <= facts.last_on THEN least(facts.last_on - offered.first_sold_on + 1, 28) END
            AS days_in_28,
        rank() OVER (PARTITION BY offered.currency ORDER BY offered.net_amount DESC) AS revenue_rank,
        sum(greatest(offered.net_amount, 0)) OVER (PARTITION BY offered.currency) AS all_revenue,
        sum(greatest(offered.net_amount, 0)) OVER (
            PARTITION BY offered.currency ORDER BY offered.net_amount DESC RANGE UNBOUNDED PRECEDING
        ) AS cumulative_revenue,
        coalesce(
            sum(greatest(offered.net_amount, 0)) OVER (
                PARTITION BY offered.currency ORDER BY offered.net_amount DESC
                GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), 0
        ) AS greater_revenue
    FROM offered
    CROSS JOIN facts
)

SELECT
    ranked.product_id,
    ranked.currency,
    products.name,
    ranked.revenue_rank,
    ranked.unit_count,
    ranked.line_count,
    ranked.gross_amount,
    ranked.returned_unit_count,
    ranked.returned_amount,
    ranked.net_amount,
    ranked.first_sold_on,
    ranked.last_sold_on,
    ranked.last_on AS as_of_on,
    CASE
        WHEN ranked.net_amount <= 0 OR ranked.greater_revenue >= 0.95 * ranked.all_revenue THEN 'C'
        WHEN ranked.greater_revenue >= 0.8 * ranked.all_revenue THEN 'B'
        ELSE 'A'
    END AS abc_class,
    greatest(ranked.net_amount, 0)::double precision / nullif(ranked.all_revenue, 0)::double precision AS revenue_share,
    ranked.cumulative_revenue::double precision / nullif(ranked.all_revenue, 0)::double precision
        AS cumulative_revenue_share,
    ranked.returned_unit_count::double precision / nullif(ranked.unit_count, 0)::double precision AS return_share,
    ranked.returned_amount::double precision / nullif(ranked.gross_amount, 0)::double precision
        AS returned_amount_share,
    ranked.gross_amount::double precision / nullif(ranked.unit_count, 0)::double precision AS average_unit_amount,
    CASE WHEN slopes.is_known THEN slopes.price_elasticity END AS price_elasticity,
    CASE
        WHEN slopes.is_known
            THEN sqrt(
                greatest(slopes.units_variation - slopes.price_elasticity * slopes.common_variation, 0)
                / (slopes.price_week_count - 2) / slopes.price_variation
            )
    END AS price_elasticity_error,
    coalesce(slopes.price_week_count, 0) AS price_week_count,
    ranked.last_on - ranked.last_sold_on AS days_since_last_sale,
    coalesce(latest.units_lag_0_days, 0) AS units_lag_0_days,
    coalesce(latest.units_lag_1_day, 0) AS units_lag_1_day,
    coalesce(latest.units_lag_7_days, 0) AS units_lag_7_days,
    coalesce(latest.units_lag_28_days, 0) AS units_lag_28_days,
    coalesce(latest.units_7_days, 0) AS units_7_days,
    coalesce(latest.units_28_days, 0) AS units_28_days,
    coalesce(latest.units_90_days, 0) AS units_90_days,
    coalesce(latest.units_28_days_before, 0) AS units_28_days_before,
    coalesce(latest.units_28_days, 0)::double precision / nullif(latest.units_28_days_before, 0)::double precision - 1
        AS units_growth_share,
    coalesce(latest.units_7_days, 0)::double precision / ranked.days_in_7 AS units_mean_7_days,
    coalesce(latest.units_28_days, 0)::double precision / ranked.days_in_28 AS units_mean_28_days,
    sqrt(
        (ranked.days_in_28 * coalesce(latest.squares_28_days, 0) - coalesce(latest.units_28_days, 0) ^ 2)
        ::double precision / nullif(ranked.days_in_28 * (ranked.days_in_28 - 1), 0)
    ) AS units_deviation_28_days,
    coalesce(latest.net_amount_7_days, 0) AS net_amount_7_days,
    coalesce(latest.net_amount_28_days, 0) AS net_amount_28_days,
    coalesce(latest.net_amount_90_days, 0) AS net_amount_90_days
FROM ranked
LEFT JOIN shop.products ON ranked.product_id = products.product_id
LEFT JOIN slopes ON ranked.product_id = slopes.product_id AND ranked.currency = slopes.currency
LEFT JOIN latest ON ranked.product_id = latest.product_id AND ranked.currency = latest.currency
