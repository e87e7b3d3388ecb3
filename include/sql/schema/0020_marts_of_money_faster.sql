-- How many orders are worth each amount, by a number of the kind of orders and in whole ten-thousandths. Amounts of the
-- shop have no more than four decimals, so nothing is rounded; whole numbers are sorted, added up and looked up several
-- times as fast as three texts and a numeric.

CREATE TABLE analytics.order_kinds (
    kind_number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text NOT NULL,
    scope_value text NOT NULL,
    currency text NOT NULL,
    UNIQUE (scope, scope_value, currency)
);
COMMENT ON TABLE analytics.order_kinds IS
'One row per currency and kind of orders that ever had one. Kept by triggers on order_values_daily.';
COMMENT ON COLUMN analytics.order_kinds.kind_number IS 'Number by which it is counted in this warehouse (no unit).';
COMMENT ON COLUMN analytics.order_kinds.scope IS 'all, country or category.';
COMMENT ON COLUMN analytics.order_kinds.scope_value IS
'The country or category; empty for all, and for what has no country or no known category.';
COMMENT ON COLUMN analytics.order_kinds.currency IS 'ISO 4217 code.';
INSERT INTO analytics.order_kinds (scope, scope_value, currency)
SELECT DISTINCT
    scope,
    scope_value,
    currency
FROM analytics.order_value_counts;

CREATE TEMP TABLE known_counts ON COMMIT DROP AS
SELECT
    kinds.kind_number,
    (counts.order_amount * 10000)::bigint AS ten_thousandths,
    counts.order_count
FROM analytics.order_value_counts AS counts
INNER JOIN
    analytics.order_kinds AS kinds
    ON counts.scope = kinds.scope AND counts.scope_value = kinds.scope_value AND counts.currency = kinds.currency;
DROP TABLE analytics.order_value_counts;

CREATE TABLE analytics.order_value_counts (
    kind_number integer NOT NULL,
    ten_thousandths bigint NOT NULL,
    order_count integer NOT NULL,
    PRIMARY KEY (kind_number, ten_thousandths)
);
COMMENT ON TABLE analytics.order_value_counts IS
'One row per kind of orders, currency and amount: how many are worth it. Kept by triggers on order_values_daily.';
COMMENT ON COLUMN analytics.order_value_counts.kind_number IS 'Kind and currency, as in order_kinds (no unit).';
COMMENT ON COLUMN analytics.order_value_counts.ten_thousandths IS
'What an order is worth (ten-thousandths of the currency).';
COMMENT ON COLUMN analytics.order_value_counts.order_count IS 'Orders worth that; never 0.';
INSERT INTO analytics.order_value_counts (kind_number, ten_thousandths, order_count)
SELECT
    kind_number,
    ten_thousandths,
    order_count
FROM known_counts
ORDER BY kind_number, ten_thousandths;

-- All orders are those of all countries. Numbers of kinds are looked up once per day's row and not joined to, or the
-- planner would take the rows for a few. The first time there is nothing to merge with: in the order of the key the
-- index grows at one end, and the planner is told at once what is there.
CREATE OR REPLACE FUNCTION analytics.count_order_values() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone CONSTANT text := 'SELECT *, -1 AS step FROM old_rows';
    come CONSTANT text := 'SELECT *, 1 AS step FROM new_rows';
    changed CONSTANT text := format(
        'WITH changes AS MATERIALIZED (SELECT step, order_amounts, '
        '(SELECT kinds.kind_number FROM analytics.order_kinds AS kinds WHERE kinds.scope = days.scope '
        'AND kinds.scope_value = days.scope_value AND kinds.currency = days.currency) AS kind_number, '
        '(SELECT kinds.kind_number FROM analytics.order_kinds AS kinds WHERE days.scope = ''country'' '
        'AND kinds.scope = ''all'' AND kinds.currency = days.currency) AS all_number '
        'FROM (%s) AS days), '
        'parts AS (SELECT kind_number, all_number, (amount * 10000)::bigint AS ten_thousandths, '
        'sum(step)::integer AS step '
        'FROM changes CROSS JOIN LATERAL unnest(order_amounts) AS amount '
        'GROUP BY kind_number, all_number, ten_thousandths HAVING sum(step) <> 0), '
        'changed AS (SELECT kind_number, ten_thousandths, step FROM parts UNION ALL '
        'SELECT all_number, ten_thousandths, sum(step) FROM parts WHERE all_number IS NOT NULL '
        'GROUP BY all_number, ten_thousandths HAVING sum(step) <> 0) ',
        CASE TG_OP WHEN 'INSERT' THEN come WHEN 'DELETE' THEN gone ELSE gone || ' UNION ALL ' || come END
    );
BEGIN
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO analytics.order_kinds (scope, scope_value, currency)
        SELECT scope, scope_value, currency FROM new_rows
        UNION
        SELECT 'all', '', currency FROM new_rows
        EXCEPT
        SELECT scope, scope_value, currency FROM analytics.order_kinds;
    END IF;
    IF EXISTS (SELECT FROM analytics.order_value_counts) THEN
        EXECUTE changed ||
            'MERGE INTO analytics.order_value_counts AS counts USING changed '
            'ON counts.kind_number = changed.kind_number AND counts.ten_thousandths = changed.ten_thousandths '
            'WHEN MATCHED AND counts.order_count + changed.step = 0 THEN DELETE '
            'WHEN MATCHED THEN UPDATE SET order_count = counts.order_count + changed.step '
            'WHEN NOT MATCHED THEN INSERT (kind_number, ten_thousandths, order_count) '
            'VALUES (changed.kind_number, changed.ten_thousandths, changed.step)';
    ELSE
        EXECUTE changed ||
            'INSERT INTO analytics.order_value_counts (kind_number, ten_thousandths, order_count) '
            'SELECT kind_number, ten_thousandths, step FROM changed ORDER BY kind_number, ten_thousandths';
        ANALYZE analytics.order_value_counts;
    END IF;
    RETURN NULL;
END
$$;

-- How many orders are worth at most an amount: of ascending amounts, with as many numbers of orders up to each.
CREATE FUNCTION analytics.count_up_to(amount bigint, amounts bigint[], at_most_counts bigint[]) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(at_most_counts[width_bucket(amount, amounts)], 0);
COMMENT ON FUNCTION analytics.count_up_to IS
'How many orders are worth at most an amount, of ascending amounts and the numbers of orders up to each.';

-- The median lies on half a ten-thousandth at the finest, so distances from it are whole if doubled. That of rank r is
-- the first with more than r orders as near as that, or nearer: found by halving what lies between.
CREATE FUNCTION analytics.distance_of_rank(rank bigint, median numeric, amounts bigint[], at_most_counts bigint[])
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
WITH RECURSIVE searches AS (
    SELECT 0::bigint AS lower, 2 * (amounts[cardinality(amounts)] - amounts[1]) AS upper
    UNION ALL
    SELECT
        CASE WHEN order_count > rank THEN lower ELSE middle + 1 END,
        CASE WHEN order_count > rank THEN middle ELSE upper END
    FROM searches
    CROSS JOIN LATERAL (SELECT (lower + upper) / 2 AS middle) AS middles
    CROSS JOIN LATERAL (
        SELECT
            analytics.count_up_to(floor(median + middle * 0.5)::bigint, amounts, at_most_counts)
            - analytics.count_up_to(ceil(median - middle * 0.5)::bigint - 1, amounts, at_most_counts) AS order_count
    ) AS near
    WHERE lower < upper
)
SELECT lower * 0.5 FROM searches WHERE lower = upper
$$;
COMMENT ON FUNCTION analytics.distance_of_rank IS
'How far the order of that rank by distance from the median, from 0 on, is from it; arrays as of count_up_to.';

-- The market is held against the weather, too.
COMMENT ON TABLE analytics.correlations IS
'One row per currency, two measures of a day and lag: how the two go together from day to day.';
COMMENT ON COLUMN analytics.correlations.currency IS
'ISO 4217 code of the sales; empty where market and weather are held against each other.';
COMMENT ON COLUMN analytics.correlations.left_measure IS
'net_amount or order_count of a day, or market (mean over symbols).';
COMMENT ON COLUMN analytics.correlations.right_measure IS
'Of sales: the other of these, weather (mean over places) or market of a day. Of the market: weather.';
