-- Marts of money: revenue day by day, what orders are worth, and what revenue goes along with.

CREATE TABLE analytics.revenue_daily (
    sold_on date NOT NULL,
    currency text NOT NULL,
    is_complete boolean NOT NULL,
    gross_amount numeric NOT NULL,
    refund_amount numeric NOT NULL,
    net_amount numeric NOT NULL,
    order_count bigint NOT NULL,
    customer_count bigint NOT NULL,
    guest_order_count bigint NOT NULL,
    average_order_amount double precision,
    net_average_7_days double precision,
    net_average_28_days double precision,
    month_to_date_amount numeric NOT NULL,
    cumulative_amount numeric NOT NULL,
    net_day_before numeric,
    net_week_before numeric,
    net_month_before numeric,
    net_month_before_same_weekday numeric,
    net_year_before numeric,
    net_year_before_same_weekday numeric,
    growth_on_day_share double precision,
    growth_on_week_share double precision,
    growth_on_month_share double precision,
    growth_on_month_same_weekday_share double precision,
    growth_on_year_share double precision,
    growth_on_year_same_weekday_share double precision,
    trend_amount double precision,
    trend_year_amount double precision,
    weekly_seasonal_index double precision,
    yearly_seasonal_index double precision,
    z_score double precision,
    is_outlier boolean,
    PRIMARY KEY (currency, sold_on)
);
COMMENT ON TABLE analytics.revenue_daily IS
'One row per currency and day from its first sale or refund on, days without any included.';
COMMENT ON COLUMN analytics.revenue_daily.sold_on IS 'Day in the time zone of the shop.';
COMMENT ON COLUMN analytics.revenue_daily.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.revenue_daily.is_complete IS
'All of the day was loaded. What compares, averages or judges a day is null before that.';
COMMENT ON COLUMN analytics.revenue_daily.gross_amount IS 'Total of the orders paid that day, in the currency.';
COMMENT ON COLUMN analytics.revenue_daily.refund_amount IS 'Total given back that day, in the currency; positive.';
COMMENT ON COLUMN analytics.revenue_daily.net_amount IS 'Gross less refunds, in the currency; may be negative.';
COMMENT ON COLUMN analytics.revenue_daily.order_count IS 'Orders paid that day.';
COMMENT ON COLUMN analytics.revenue_daily.customer_count IS
'Different registered customers who paid an order that day.';
COMMENT ON COLUMN analytics.revenue_daily.guest_order_count IS 'Orders of that day without a registered customer.';
COMMENT ON COLUMN analytics.revenue_daily.average_order_amount IS 'Gross per order; null on a day without orders.';
COMMENT ON COLUMN analytics.revenue_daily.net_average_7_days IS
'Mean of net over this day and the 6 before; null until there are 7.';
COMMENT ON COLUMN analytics.revenue_daily.net_average_28_days IS
'Mean of net over this day and the 27 before; null until there are 28.';
COMMENT ON COLUMN analytics.revenue_daily.month_to_date_amount IS 'Net from the first of the month to this day.';
COMMENT ON COLUMN analytics.revenue_daily.cumulative_amount IS 'Net from the first day of the currency to this day.';
COMMENT ON COLUMN analytics.revenue_daily.net_day_before IS 'Net of the day before.';
COMMENT ON COLUMN analytics.revenue_daily.net_week_before IS 'Net of the day 7 days before.';
COMMENT ON COLUMN analytics.revenue_daily.net_month_before IS
'Net of the same day of the month before, or of its last day if it has no such day.';
COMMENT ON COLUMN analytics.revenue_daily.net_month_before_same_weekday IS 'Net of the day 28 days before.';
COMMENT ON COLUMN analytics.revenue_daily.net_year_before IS
'Net of the same date a year before; for 29 February that is the 28th.';
COMMENT ON COLUMN analytics.revenue_daily.net_year_before_same_weekday IS 'Net of the day 364 days before.';
COMMENT ON COLUMN analytics.revenue_daily.growth_on_day_share IS
'Net over net_day_before, less 1; null if that is not positive.';
COMMENT ON COLUMN analytics.revenue_daily.growth_on_week_share IS
'Net over net_week_before, less 1; null if that is not positive.';
COMMENT ON COLUMN analytics.revenue_daily.growth_on_month_share IS
'Net over net_month_before, less 1; null if that is not positive.';
COMMENT ON COLUMN analytics.revenue_daily.growth_on_month_same_weekday_share IS
'Net over net_month_before_same_weekday, less 1; null if that is not positive.';
COMMENT ON COLUMN analytics.revenue_daily.growth_on_year_share IS
'Net over net_year_before, less 1; null if that is not positive.';
COMMENT ON COLUMN analytics.revenue_daily.growth_on_year_same_weekday_share IS
'Net over net_year_before_same_weekday, less 1; null if that is not positive.';
COMMENT ON COLUMN analytics.revenue_daily.trend_amount IS
'Net without the week: mean over the 7 days around this one; null without 3 complete days either side.';
COMMENT ON COLUMN analytics.revenue_daily.trend_year_amount IS
'Net without the year: mean over the 365 days around this one; null without 182 complete days either side.';
COMMENT ON COLUMN analytics.revenue_daily.weekly_seasonal_index IS
'Gross on this weekday as a multiple of its trend, 1 on average over a week; null until each weekday is known.';
COMMENT ON COLUMN analytics.revenue_daily.yearly_seasonal_index IS
'Daily gross in this month as a multiple of its trend, 1 on average over a year; null before two full years.';
COMMENT ON COLUMN analytics.revenue_daily.z_score IS
'Net less its mean over the 28 days before, in their sample standard deviations; null without 28 or if all are equal.';
COMMENT ON COLUMN analytics.revenue_daily.is_outlier IS
'The z-score is beyond 3, either way; null where there is none.';

CREATE TABLE analytics.order_values_daily (
    sold_on date NOT NULL,
    currency text NOT NULL,
    scope text NOT NULL,
    scope_value text NOT NULL,
    order_amounts numeric[] NOT NULL,
    PRIMARY KEY (sold_on, currency, scope, scope_value)
);
COMMENT ON TABLE analytics.order_values_daily IS
'One row per day with orders, currency and country or category: what each of those orders was worth.';
COMMENT ON COLUMN analytics.order_values_daily.sold_on IS 'Day the orders were paid, in the time zone of the shop.';
COMMENT ON COLUMN analytics.order_values_daily.currency IS 'ISO 4217 code; amounts are never mixed across currencies.';
COMMENT ON COLUMN analytics.order_values_daily.scope IS 'country or category.';
COMMENT ON COLUMN analytics.order_values_daily.scope_value IS
'The country or category; empty for what has no country or no known category.';
COMMENT ON COLUMN analytics.order_values_daily.order_amounts IS
'Totals of the orders, or of their product lines in the category, by order_id; in the currency.';
INSERT INTO analytics.day_readers (source, mart) VALUES
('shop.orders', 'order_values_daily'), ('shop.product_versions', 'order_values_daily');

-- Percentiles need every value. There are far fewer different ones than orders, and a day changes few of them: they are
-- counted here, and each change of the days' amounts is added and taken off in its own transaction.
CREATE TABLE analytics.order_value_counts (
    scope text NOT NULL,
    scope_value text NOT NULL,
    currency text NOT NULL,
    order_amount numeric NOT NULL,
    order_count bigint NOT NULL,
    PRIMARY KEY (scope, scope_value, currency, order_amount)
);
COMMENT ON TABLE analytics.order_value_counts IS
'One row per kind of orders, currency and amount: how many are worth it. Kept by triggers on order_values_daily.';
COMMENT ON COLUMN analytics.order_value_counts.scope IS 'all, country or category.';
COMMENT ON COLUMN analytics.order_value_counts.scope_value IS
'The country or category; empty for all, and for what has no country or no known category.';
COMMENT ON COLUMN analytics.order_value_counts.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN analytics.order_value_counts.order_amount IS 'What an order is worth, in the currency.';
COMMENT ON COLUMN analytics.order_value_counts.order_count IS 'Orders worth that; never 0.';

-- All orders are those of all countries.
CREATE FUNCTION analytics.count_order_values() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone CONSTANT text := 'SELECT scope, scope_value, currency, order_amounts, -1 AS step FROM old_rows';
    come CONSTANT text := 'SELECT scope, scope_value, currency, order_amounts, 1 AS step FROM new_rows';
BEGIN
    EXECUTE format(
        'WITH changes AS (%s), '
        'parts AS (SELECT scope, scope_value, currency, order_amount, sum(step) AS step '
        'FROM changes CROSS JOIN LATERAL unnest(order_amounts) AS order_amount '
        'GROUP BY scope, scope_value, currency, order_amount HAVING sum(step) <> 0), '
        'changed AS (SELECT * FROM parts UNION ALL SELECT ''all'', '''', currency, order_amount, sum(step) '
        'FROM parts WHERE scope = ''country'' GROUP BY currency, order_amount HAVING sum(step) <> 0) '
        'MERGE INTO analytics.order_value_counts AS counts USING changed '
        'ON counts.scope = changed.scope AND counts.scope_value = changed.scope_value '
        'AND counts.currency = changed.currency AND counts.order_amount = changed.order_amount '
        'WHEN MATCHED AND counts.order_count + changed.step = 0 THEN DELETE '
        'WHEN MATCHED THEN UPDATE SET order_count = counts.order_count + changed.step '
        'WHEN NOT MATCHED THEN INSERT (scope, scope_value, currency, order_amount, order_count) '
        'VALUES (changed.scope, changed.scope_value, changed.currency, changed.order_amount, changed.step)',
        CASE TG_OP WHEN 'INSERT' THEN come WHEN 'DELETE' THEN gone ELSE gone || ' UNION ALL ' || come END
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER count_order_values_inserted AFTER INSERT ON analytics.order_values_daily
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.count_order_values();
CREATE TRIGGER count_order_values_updated AFTER UPDATE ON analytics.order_values_daily
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.count_order_values();
CREATE TRIGGER count_order_values_deleted AFTER DELETE ON analytics.order_values_daily
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.count_order_values();

-- Which days' orders a product's categories are about: those paid since. Other changes of a product are none here.
CREATE FUNCTION analytics.note_days_of_categories() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed CONSTANT text := CASE TG_OP
        WHEN 'INSERT' THEN
            'SELECT new_rows.product_id, new_rows.known_from FROM new_rows LEFT JOIN LATERAL ('
            'SELECT categories FROM shop.product_versions AS earlier '
            'WHERE earlier.product_id = new_rows.product_id AND earlier.known_from < new_rows.known_from '
            'ORDER BY earlier.known_from DESC LIMIT 1) AS before ON true '
            'WHERE new_rows.categories IS DISTINCT FROM before.categories'
        WHEN 'UPDATE' THEN
            'SELECT product_id, known_from FROM ('
            'SELECT product_id, known_from, categories FROM old_rows '
            'UNION ALL SELECT product_id, known_from, categories FROM new_rows) AS versions '
            'GROUP BY product_id, known_from HAVING count(*) = 1 OR min(categories::text) <> max(categories::text)'
        ELSE 'SELECT product_id, known_from FROM old_rows'
    END;
BEGIN
    EXECUTE
        'INSERT INTO analytics.stale_days (mart, stale_on) SELECT DISTINCT readers.mart, '
        '(orders.paid_at AT TIME ZONE ''UTC'')::date '
        'FROM (' || changed || ') AS changed '
        'INNER JOIN shop.order_lines ON changed.product_id = order_lines.product_id '
        'INNER JOIN shop.orders ON order_lines.order_id = orders.order_id AND orders.paid_at >= changed.known_from '
        'CROSS JOIN analytics.day_readers AS readers WHERE readers.source = ''shop.product_versions''';
    RETURN NULL;
END
$$;
CREATE TRIGGER note_days_inserted AFTER INSERT ON shop.product_versions
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days_of_categories();
CREATE TRIGGER note_days_updated AFTER UPDATE ON shop.product_versions
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days_of_categories();
CREATE TRIGGER note_days_deleted AFTER DELETE ON shop.product_versions
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days_of_categories();

CREATE TABLE analytics.order_value_statistics (
    scope text NOT NULL,
    scope_value text NOT NULL,
    currency text NOT NULL,
    order_count bigint NOT NULL,
    total_amount numeric NOT NULL,
    smallest_amount numeric NOT NULL,
    largest_amount numeric NOT NULL,
    mean_amount double precision NOT NULL,
    deviation_amount double precision,
    skewness double precision,
    p05_amount numeric NOT NULL,
    p10_amount numeric NOT NULL,
    p25_amount numeric NOT NULL,
    median_amount numeric NOT NULL,
    p75_amount numeric NOT NULL,
    p90_amount numeric NOT NULL,
    p95_amount numeric NOT NULL,
    p99_amount numeric NOT NULL,
    p05_discrete_amount numeric NOT NULL,
    p10_discrete_amount numeric NOT NULL,
    p25_discrete_amount numeric NOT NULL,
    median_discrete_amount numeric NOT NULL,
    p75_discrete_amount numeric NOT NULL,
    p90_discrete_amount numeric NOT NULL,
    p95_discrete_amount numeric NOT NULL,
    p99_discrete_amount numeric NOT NULL,
    interquartile_range_amount numeric NOT NULL,
    outlier_count bigint NOT NULL,
    median_absolute_deviation_amount numeric NOT NULL,
    robust_outlier_count bigint,
    gini double precision,
    top_1_percent_share double precision,
    top_10_percent_share double precision,
    top_20_percent_share double precision,
    PRIMARY KEY (scope, scope_value, currency)
);
COMMENT ON TABLE analytics.order_value_statistics IS
'One row per currency and kind of orders (all, of a country, with products of a category): how their amounts spread.';
COMMENT ON COLUMN analytics.order_value_statistics.scope IS 'all, country or category.';
COMMENT ON COLUMN analytics.order_value_statistics.scope_value IS
'The country or category; empty for all, and for what has no country or no known category.';
COMMENT ON COLUMN analytics.order_value_statistics.currency IS
'ISO 4217 code; amounts are never mixed across currencies.';
COMMENT ON COLUMN analytics.order_value_statistics.order_count IS
'Paid orders; of a category, those with a product line in it.';
COMMENT ON COLUMN analytics.order_value_statistics.total_amount IS
'Sum of the amounts: order totals, or what the lines of the category come to.';
COMMENT ON COLUMN analytics.order_value_statistics.smallest_amount IS 'The least amount.';
COMMENT ON COLUMN analytics.order_value_statistics.largest_amount IS 'The greatest amount.';
COMMENT ON COLUMN analytics.order_value_statistics.mean_amount IS 'Mean amount.';
COMMENT ON COLUMN analytics.order_value_statistics.deviation_amount IS
'Sample standard deviation; null for one order.';
COMMENT ON COLUMN analytics.order_value_statistics.skewness IS
'Adjusted Fisher-Pearson coefficient G1; null below three orders or if all amounts are equal.';
COMMENT ON COLUMN analytics.order_value_statistics.p05_amount IS '5th percentile, interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.p10_amount IS '10th percentile, interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.p25_amount IS 'Lower quartile, interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.median_amount IS 'Median, interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.p75_amount IS 'Upper quartile, interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.p90_amount IS '90th percentile, interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.p95_amount IS '95th percentile, interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.p99_amount IS '99th percentile, interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.p05_discrete_amount IS
'The least amount that 5 % of the orders do not exceed.';
COMMENT ON COLUMN analytics.order_value_statistics.p10_discrete_amount IS
'The least amount that 10 % of the orders do not exceed.';
COMMENT ON COLUMN analytics.order_value_statistics.p25_discrete_amount IS
'The least amount that a quarter of the orders does not exceed.';
COMMENT ON COLUMN analytics.order_value_statistics.median_discrete_amount IS
'The least amount that half of the orders do not exceed.';
COMMENT ON COLUMN analytics.order_value_statistics.p75_discrete_amount IS
'The least amount that three quarters of the orders do not exceed.';
COMMENT ON COLUMN analytics.order_value_statistics.p90_discrete_amount IS
'The least amount that 90 % of the orders do not exceed.';
COMMENT ON COLUMN analytics.order_value_statistics.p95_discrete_amount IS
'The least amount that 95 % of the orders do not exceed.';
COMMENT ON COLUMN analytics.order_value_statistics.p99_discrete_amount IS
'The least amount that 99 % of the orders do not exceed.';
COMMENT ON COLUMN analytics.order_value_statistics.interquartile_range_amount IS
'Upper less lower quartile, both interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.outlier_count IS
'Orders more than 1.5 interquartile ranges below the lower or above the upper quartile.';
COMMENT ON COLUMN analytics.order_value_statistics.median_absolute_deviation_amount IS
'Median distance from the median, both interpolated.';
COMMENT ON COLUMN analytics.order_value_statistics.robust_outlier_count IS
'Orders whose distance from the median times 0.6745 is over 3.5 median absolute deviations; null if that is 0.';
COMMENT ON COLUMN analytics.order_value_statistics.gini IS
'Gini coefficient of the amounts: 0 if all are equal; null if they come to nothing or one is negative.';
COMMENT ON COLUMN analytics.order_value_statistics.top_1_percent_share IS
'What the greatest 1 % of the orders (rounded up) have of the total; null if gini is.';
COMMENT ON COLUMN analytics.order_value_statistics.top_10_percent_share IS
'What the greatest 10 % of the orders (rounded up) have of the total; null if gini is.';
COMMENT ON COLUMN analytics.order_value_statistics.top_20_percent_share IS
'What the greatest 20 % of the orders (rounded up) have of the total; null if gini is.';

CREATE TABLE analytics.correlations (
    currency text NOT NULL,
    left_measure text NOT NULL,
    right_measure text NOT NULL,
    lag_days integer NOT NULL,
    observation_count bigint NOT NULL,
    pearson double precision,
    pearson_p_value double precision,
    pearson_q_value double precision,
    spearman double precision,
    spearman_p_value double precision,
    spearman_q_value double precision,
    PRIMARY KEY (currency, left_measure, right_measure, lag_days)
);
COMMENT ON TABLE analytics.correlations IS
'One row per currency, measure of its sales, other measure and lag: how the two go together from day to day.';
COMMENT ON COLUMN analytics.correlations.currency IS 'ISO 4217 code of the sales.';
COMMENT ON COLUMN analytics.correlations.left_measure IS 'net_amount or order_count of a day.';
COMMENT ON COLUMN analytics.correlations.right_measure IS
'The other of these, or weather (mean over places) or market (mean over symbols) of a day.';
COMMENT ON COLUMN analytics.correlations.lag_days IS
'Days that the right measure was taken before the left one, 0 to 14.';
COMMENT ON COLUMN analytics.correlations.observation_count IS 'Pairs of days that have both.';
COMMENT ON COLUMN analytics.correlations.pearson IS
'Pearson''s r; null below two pairs or if either measure never changes.';
COMMENT ON COLUMN analytics.correlations.pearson_p_value IS
'Two-sided p-value of r by the t distribution, as if days were independent; null below three pairs.';
COMMENT ON COLUMN analytics.correlations.pearson_q_value IS
'The p-value adjusted for all tests of the currency (Benjamini and Hochberg): the share of false finds up to here.';
COMMENT ON COLUMN analytics.correlations.spearman IS
'Spearman''s rho, equal values sharing their mean rank; null as pearson is.';
COMMENT ON COLUMN analytics.correlations.spearman_p_value IS 'Two-sided p-value of rho, as of r.';
COMMENT ON COLUMN analytics.correlations.spearman_q_value IS 'The p-value of rho adjusted, as that of r.';

-- The p-value of a correlation r of n pairs is that of t = r * sqrt((n - 2) / (1 - r^2)) with n - 2 degrees of freedom:
-- the regularised incomplete beta function I_x(a, b) at x = 1 - r^2, a = (n - 2) / 2, b = 1/2. It is computed by its
-- continued fraction (DLMF 8.17.22) with Lentz's method, on the side where that converges fast. Its relative error is
-- below 1e-9 down to 1e-290 and for up to 100,000 pairs (the tests hold it against SciPy); below e^-700 it is 0.
CREATE FUNCTION analytics.correlation_p_value(correlation double precision, pair_count bigint)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    tiny CONSTANT double precision := 1e-300;
    x double precision := (1 - abs(correlation)) * (1 + abs(correlation));
    a double precision := (pair_count - 2) / 2.0;
    b double precision := 0.5;
    logarithm double precision;
    is_turned boolean;
    c double precision := 1;
    d double precision;
    step double precision;
    fraction double precision;
BEGIN
    IF pair_count < 3 THEN RETURN NULL; END IF;
    IF x <= 0 THEN RETURN 0; END IF;
    IF abs(correlation) < 1e-100 THEN RETURN 1; END IF;
    logarithm := lgamma(a + b) - lgamma(a) - lgamma(b) + a * ln(x) + ln(abs(correlation));
    IF logarithm < -700 THEN RETURN 0; END IF;
    is_turned := x > (a + 1) / (a + b + 2);
    IF is_turned THEN
        SELECT correlation * correlation, b, a INTO x, a, b;
    END IF;
    d := 1 / (1 - (a + b) * x / (a + 1));
    fraction := d;
    FOR m IN 1..1000 LOOP
        step := m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d := 1 / coalesce(nullif(1 + step * d, 0), tiny);
        c := coalesce(nullif(1 + step / c, 0), tiny);
        fraction := fraction * d * c;
        step := -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d := 1 / coalesce(nullif(1 + step * d, 0), tiny);
        c := coalesce(nullif(1 + step / c, 0), tiny);
        fraction := fraction * d * c;
        EXIT WHEN abs(d * c - 1) < 1e-15;
    END LOOP;
    fraction := exp(logarithm) * fraction / a;
    RETURN CASE WHEN is_turned THEN 1 - fraction ELSE fraction END;
END
$$;
COMMENT ON FUNCTION analytics.correlation_p_value IS
'Two-sided p-value of a correlation of so many pairs, by the t distribution; null below three pairs.';
