-- Marts of customers: cohorts, segments, lifetime; and what tells whose facts changed, so that a day's orders cost no
-- more than the look-ups of those who placed them.

CREATE TABLE analytics.stale_customers (
    mart text NOT NULL,
    customer_id bigint
);
COMMENT ON TABLE analytics.stale_customers IS
'One row per change, mart that is kept customer by customer and customer whom it touches; one may stand here more than '
'once. Taken off in the transaction of the refresh that has seen the change.';
COMMENT ON COLUMN analytics.stale_customers.mart IS 'Table of this schema.';
COMMENT ON COLUMN analytics.stale_customers.customer_id IS 'Whose rows are to be made anew; null: everybody''s.';
CREATE INDEX stale_customers_of_mart ON analytics.stale_customers (mart);

CREATE TABLE analytics.customer_histories (
    customer_id bigint NOT NULL,
    currency text NOT NULL,
    first_order_on date NOT NULL,
    last_order_on date NOT NULL,
    last_paid_at timestamptz NOT NULL,
    order_count bigint NOT NULL,
    purchase_day_count bigint NOT NULL,
    gross_amount numeric NOT NULL,
    refund_amount numeric NOT NULL,
    median_gap_days double precision,
    shortest_gap_days integer,
    longest_gap_days integer,
    months date[] NOT NULL,
    order_counts bigint[] NOT NULL,
    net_amounts numeric[] NOT NULL,
    last_paid_instants timestamptz[] NOT NULL,
    PRIMARY KEY (customer_id, currency)
);
COMMENT ON TABLE analytics.customer_histories IS
'One row per customer and currency with a purchase: what they bought and gave back, in total and month by month. '
'A purchase is an order that was paid; guests have no row.';
COMMENT ON COLUMN analytics.customer_histories.customer_id IS 'Registered customer.';
COMMENT ON COLUMN analytics.customer_histories.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.customer_histories.first_order_on IS 'Day of the first purchase, in the shop''s time zone.';
COMMENT ON COLUMN analytics.customer_histories.last_order_on IS 'Day of the last purchase, in the shop''s time zone.';
COMMENT ON COLUMN analytics.customer_histories.last_paid_at IS 'Instant of the last purchase, in UTC.';
COMMENT ON COLUMN analytics.customer_histories.order_count IS 'Purchases.';
COMMENT ON COLUMN analytics.customer_histories.purchase_day_count IS 'Different days with a purchase.';
COMMENT ON COLUMN analytics.customer_histories.gross_amount IS 'Total of the purchases, in the currency.';
COMMENT ON COLUMN analytics.customer_histories.refund_amount IS 'Total given back, in the currency; positive.';
COMMENT ON COLUMN analytics.customer_histories.median_gap_days IS
'Median of the days between a day with a purchase and the next one; null without a second.';
COMMENT ON COLUMN analytics.customer_histories.shortest_gap_days IS 'The least of them.';
COMMENT ON COLUMN analytics.customer_histories.longest_gap_days IS 'The greatest of them.';
COMMENT ON COLUMN analytics.customer_histories.months IS
'First days of the months with a purchase or a refund, from the month of the first purchase on, in order.';
COMMENT ON COLUMN analytics.customer_histories.order_counts IS 'Purchases up to the end of each of the months.';
COMMENT ON COLUMN analytics.customer_histories.net_amounts IS
'Purchases less refunds up to the end of each of the months, in the currency.';
COMMENT ON COLUMN analytics.customer_histories.last_paid_instants IS
'Last purchase before the end of each of the months, in UTC.';

-- Of no use to a planner, and dear to gather.
ALTER TABLE analytics.customer_histories
ALTER COLUMN months SET STATISTICS 0,
ALTER COLUMN order_counts SET STATISTICS 0,
ALTER COLUMN net_amounts SET STATISTICS 0,
ALTER COLUMN last_paid_instants SET STATISTICS 0;

-- Whose facts changed is noted for the features already; what is noted for them counts here too.
CREATE FUNCTION analytics.note_touched_customers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO analytics.stale_customers (mart, customer_id)
    SELECT DISTINCT 'customer_histories', customer_id FROM new_rows
    WHERE source IN ('shop.orders', 'shop.refunds');
    RETURN NULL;
END
$$;
CREATE TRIGGER note_customers_of_marts AFTER INSERT ON features.customer_touches
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_touched_customers();

-- From which month on two histories differ; either may be null. Null if they are the same.
CREATE FUNCTION analytics.differs_from_month(
    old_history analytics.customer_histories, new_history analytics.customer_histories
)
RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT min(coalesce(before.month_on, after.month_on))
FROM unnest(old_history.months, old_history.order_counts, old_history.net_amounts, old_history.last_paid_instants)
    AS before (month_on, order_count, net_amount, last_paid_at)
FULL JOIN
    unnest(new_history.months, new_history.order_counts, new_history.net_amounts, new_history.last_paid_instants)
        AS after (month_on, order_count, net_amount, last_paid_at)
    ON before.month_on = after.month_on
WHERE
    (before.order_count, before.net_amount, before.last_paid_at)
    IS DISTINCT FROM (after.order_count, after.net_amount, after.last_paid_at)
$$;

-- Notes whose histories changed, and from which month on. The day is in the midst of it, so that no time zone moves it
-- into another month.
CREATE FUNCTION analytics.note_histories() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    from_month date;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO analytics.stale_customers (mart, customer_id)
        SELECT DISTINCT 'customer_lifetime', customer_id FROM new_rows;
        SELECT min(analytics.differs_from_month(old_rows, new_rows)) INTO from_month
        FROM old_rows INNER JOIN new_rows
            ON old_rows.customer_id = new_rows.customer_id AND old_rows.currency = new_rows.currency;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO analytics.stale_customers (mart, customer_id)
        SELECT DISTINCT 'customer_lifetime', customer_id FROM new_rows;
        SELECT min(months[1]) INTO from_month FROM new_rows;
    ELSE
        INSERT INTO analytics.stale_customers (mart, customer_id)
        SELECT DISTINCT 'customer_lifetime', customer_id FROM old_rows;
        SELECT min(months[1]) INTO from_month FROM old_rows;
    END IF;
    INSERT INTO analytics.stale_days (mart, stale_on)
    SELECT readers.mart, from_month + 14
    FROM (VALUES ('cohort_months'), ('rfm_movements')) AS readers (mart)
    WHERE from_month IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_histories_inserted AFTER INSERT ON analytics.customer_histories
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_histories();
CREATE TRIGGER note_histories_updated AFTER UPDATE ON analytics.customer_histories
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_histories();
CREATE TRIGGER note_histories_deleted AFTER DELETE ON analytics.customer_histories
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_histories();

CREATE TABLE analytics.customer_lifetime (
    customer_id bigint NOT NULL,
    currency text NOT NULL,
    cohort_month date NOT NULL,
    first_order_on date NOT NULL,
    last_order_on date NOT NULL,
    order_count bigint NOT NULL,
    purchase_day_count bigint NOT NULL,
    is_repeat boolean NOT NULL,
    repeat_share double precision NOT NULL,
    gross_amount numeric NOT NULL,
    refund_amount numeric NOT NULL,
    net_amount numeric NOT NULL,
    average_order_amount numeric NOT NULL,
    mean_gap_days double precision,
    median_gap_days double precision,
    shortest_gap_days integer,
    longest_gap_days integer,
    expected_value_amount double precision,
    expected_value_low_amount double precision,
    expected_value_high_amount double precision,
    expected_purchase_day_count double precision,
    alive_probability double precision,
    expected_at timestamptz,
    PRIMARY KEY (customer_id, currency)
);
COMMENT ON TABLE analytics.customer_lifetime IS
'One row per customer and currency with a purchase: what they were worth, how they come back, what they are expected '
'to be worth.';
COMMENT ON COLUMN analytics.customer_lifetime.customer_id IS 'Registered customer.';
COMMENT ON COLUMN analytics.customer_lifetime.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.customer_lifetime.cohort_month IS 'First day of the month of the first purchase.';
COMMENT ON COLUMN analytics.customer_lifetime.first_order_on IS 'Day of the first purchase, in the shop''s time zone.';
COMMENT ON COLUMN analytics.customer_lifetime.last_order_on IS 'Day of the last purchase, in the shop''s time zone.';
COMMENT ON COLUMN analytics.customer_lifetime.order_count IS 'Purchases.';
COMMENT ON COLUMN analytics.customer_lifetime.purchase_day_count IS 'Different days with a purchase.';
COMMENT ON COLUMN analytics.customer_lifetime.is_repeat IS
'Whether they bought on a second day. Its share among customers is their repeat rate.';
COMMENT ON COLUMN analytics.customer_lifetime.repeat_share IS
'Of the days with a purchase, the share after the first: 0 for those who never came back.';
COMMENT ON COLUMN analytics.customer_lifetime.gross_amount IS 'Total of the purchases, in the currency.';
COMMENT ON COLUMN analytics.customer_lifetime.refund_amount IS 'Total given back, in the currency; positive.';
COMMENT ON COLUMN analytics.customer_lifetime.net_amount IS
'Historic value: purchases less refunds, in the currency; below 0 if more was given back.';
COMMENT ON COLUMN analytics.customer_lifetime.average_order_amount IS 'Mean purchase before refunds, to 4 decimals.';
COMMENT ON COLUMN analytics.customer_lifetime.mean_gap_days IS
'Mean of the days between a day with a purchase and the next one; null without a second.';
COMMENT ON COLUMN analytics.customer_lifetime.median_gap_days IS 'Their median.';
COMMENT ON COLUMN analytics.customer_lifetime.shortest_gap_days IS 'The least of them.';
COMMENT ON COLUMN analytics.customer_lifetime.longest_gap_days IS 'The greatest of them.';
COMMENT ON COLUMN analytics.customer_lifetime.expected_value_amount IS
'Discounted purchases to come, as ml.lifetime_values has them of its newest snapshot; null if the customer is not in '
'it, or bought in several currencies.';
COMMENT ON COLUMN analytics.customer_lifetime.expected_value_low_amount IS 'Lower end of its 95 % interval.';
COMMENT ON COLUMN analytics.customer_lifetime.expected_value_high_amount IS 'Upper end of its 95 % interval.';
COMMENT ON COLUMN analytics.customer_lifetime.expected_purchase_day_count IS
'Days with a purchase to come within the horizon of the fit.';
COMMENT ON COLUMN analytics.customer_lifetime.alive_probability IS 'That they are still a customer, 0 to 1.';
COMMENT ON COLUMN analytics.customer_lifetime.expected_at IS 'Snapshot that the expectations were made at, in UTC.';

-- A new snapshot or fit is about everybody.
CREATE FUNCTION analytics.note_lifetime_values() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO analytics.stale_customers (mart, customer_id) VALUES ('customer_lifetime', NULL);
    RETURN NULL;
END
$$;
CREATE TRIGGER note_lifetime_values AFTER INSERT OR UPDATE OR DELETE ON ml.lifetime_values
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_lifetime_values();

CREATE TABLE analytics.repeat_rates (
    cohort_month date NOT NULL,
    currency text NOT NULL,
    customer_count bigint NOT NULL,
    repeat_count bigint NOT NULL,
    repeat_share double precision NOT NULL,
    order_count bigint NOT NULL,
    mean_gap_days double precision,
    net_amount numeric NOT NULL,
    net_amount_per_customer numeric NOT NULL,
    expected_count bigint NOT NULL,
    PRIMARY KEY (cohort_month, currency)
);
COMMENT ON TABLE analytics.repeat_rates IS
'One row per month of the first purchase and currency: how many came back, how soon, and what they were worth.';
COMMENT ON COLUMN analytics.repeat_rates.cohort_month IS 'First day of the month of the first purchase.';
COMMENT ON COLUMN analytics.repeat_rates.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.repeat_rates.customer_count IS 'Customers whose first purchase was in that month.';
COMMENT ON COLUMN analytics.repeat_rates.repeat_count IS 'Of them those who bought on a second day, whenever.';
COMMENT ON COLUMN analytics.repeat_rates.repeat_share IS 'Repeat rate: their share.';
COMMENT ON COLUMN analytics.repeat_rates.order_count IS 'Purchases of all of them, whenever.';
COMMENT ON COLUMN analytics.repeat_rates.mean_gap_days IS
'Mean over all gaps between a day with a purchase and the same customer''s next one; null if nobody came back.';
COMMENT ON COLUMN analytics.repeat_rates.net_amount IS 'Their purchases less refunds, in the currency.';
COMMENT ON COLUMN analytics.repeat_rates.net_amount_per_customer IS 'Historic value of a customer, to 4 decimals.';
COMMENT ON COLUMN analytics.repeat_rates.expected_count IS 'Customers with an expected value.';

CREATE TABLE analytics.cohort_months (
    cohort_month date NOT NULL,
    currency text NOT NULL,
    month_on date NOT NULL,
    active_count bigint NOT NULL,
    order_count bigint NOT NULL,
    net_amount numeric NOT NULL,
    PRIMARY KEY (cohort_month, currency, month_on)
);
COMMENT ON TABLE analytics.cohort_months IS
'One row per month of the first purchase, currency and month with facts: what the cohort bought and gave back in it.';
COMMENT ON COLUMN analytics.cohort_months.cohort_month IS
'First day of the month of the first purchase in the currency, in the shop''s time zone.';
COMMENT ON COLUMN analytics.cohort_months.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.cohort_months.month_on IS 'First day of a month in which somebody bought or gave back.';
COMMENT ON COLUMN analytics.cohort_months.active_count IS
'Customers who bought in it; in the month of the first purchase the whole cohort.';
COMMENT ON COLUMN analytics.cohort_months.order_count IS 'Purchases in it.';
COMMENT ON COLUMN analytics.cohort_months.net_amount IS
'Purchases less refunds in it, in the currency; what was given back before the first purchase counts in the month of '
'that.';

CREATE TABLE analytics.cohort_retention (
    cohort_month date NOT NULL,
    currency text NOT NULL,
    months_since integer NOT NULL,
    month_on date NOT NULL,
    customer_count bigint NOT NULL,
    active_count bigint,
    retention_share double precision,
    order_count bigint,
    net_amount numeric,
    cumulative_amount numeric,
    cumulative_amount_per_customer numeric,
    PRIMARY KEY (cohort_month, currency, months_since)
);
COMMENT ON TABLE analytics.cohort_retention IS
'One row per month of the first purchase, currency and month since: who came back and what they had paid by then. '
'Cells whose month is not over, as far as was loaded, are null. Guests are in no cohort.';
COMMENT ON COLUMN analytics.cohort_retention.cohort_month IS
'First day of the month of the first purchase in the currency, in the shop''s time zone.';
COMMENT ON COLUMN analytics.cohort_retention.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.cohort_retention.months_since IS 'Calendar months since that month; 0 is the month itself.';
COMMENT ON COLUMN analytics.cohort_retention.month_on IS 'First day of the month that the cell is about.';
COMMENT ON COLUMN analytics.cohort_retention.customer_count IS
'Size of the cohort; so far, if its own month is not over.';
COMMENT ON COLUMN analytics.cohort_retention.active_count IS 'Of them those who bought in the month of the cell.';
COMMENT ON COLUMN analytics.cohort_retention.retention_share IS 'Their share of the cohort.';
COMMENT ON COLUMN analytics.cohort_retention.order_count IS 'Purchases of the cohort in the month of the cell.';
COMMENT ON COLUMN analytics.cohort_retention.net_amount IS
'Purchases less refunds of the cohort in the month of the cell, in the currency; what was given back before the first '
'purchase counts in month 0.';
COMMENT ON COLUMN analytics.cohort_retention.cumulative_amount IS 'The same from month 0 up to the cell.';
COMMENT ON COLUMN analytics.cohort_retention.cumulative_amount_per_customer IS
'Lifetime value so far of a customer of the cohort, to 4 decimals.';

-- The names are those of the feature view customer_rfm. Null of null scores.
CREATE FUNCTION analytics.rfm_segment(recency_score integer, frequency_score integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN recency_score IS NULL OR frequency_score IS NULL THEN NULL
    WHEN recency_score >= 4 AND frequency_score >= 4 THEN 'Champions'
    WHEN recency_score >= 3 AND frequency_score >= 4 THEN 'Loyal'
    WHEN recency_score >= 4 AND frequency_score >= 2 THEN 'Potential Loyalist'
    WHEN recency_score = 5 THEN 'New'
    WHEN recency_score = 4 THEN 'Promising'
    WHEN recency_score = 3 AND frequency_score = 3 THEN 'Need Attention'
    WHEN recency_score = 3 THEN 'About To Sleep'
    WHEN frequency_score = 5 THEN 'Cannot Lose Them'
    WHEN frequency_score >= 3 THEN 'At Risk'
    ELSE 'Hibernating'
END;
COMMENT ON FUNCTION analytics.rfm_segment IS 'Name of a customer with these scores.';

CREATE TABLE analytics.rfm_customers (
    customer_id bigint NOT NULL,
    currency text NOT NULL,
    last_paid_at timestamptz NOT NULL,
    order_count bigint NOT NULL,
    net_amount numeric NOT NULL,
    recency_score smallint NOT NULL,
    frequency_score smallint NOT NULL,
    monetary_score smallint NOT NULL,
    segment text NOT NULL,
    PRIMARY KEY (customer_id, currency)
);
COMMENT ON TABLE analytics.rfm_customers IS
'One row per customer and currency with a purchase: scores and segment by all that is known. Scores are fifths of the '
'customers of the currency, 5 is best; equal customers are told apart by customer_id.';
COMMENT ON COLUMN analytics.rfm_customers.customer_id IS 'Registered customer.';
COMMENT ON COLUMN analytics.rfm_customers.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.rfm_customers.last_paid_at IS 'Recency: instant of the last purchase, in UTC.';
COMMENT ON COLUMN analytics.rfm_customers.order_count IS 'Frequency: purchases.';
COMMENT ON COLUMN analytics.rfm_customers.net_amount IS 'Monetary: purchases less refunds, in the currency.';
COMMENT ON COLUMN analytics.rfm_customers.recency_score IS '1 to 5; 5 bought last.';
COMMENT ON COLUMN analytics.rfm_customers.frequency_score IS '1 to 5; 5 bought most often.';
COMMENT ON COLUMN analytics.rfm_customers.monetary_score IS '1 to 5; 5 paid most.';
COMMENT ON COLUMN analytics.rfm_customers.segment IS 'Name, by the rules of the feature view customer_rfm.';

CREATE TABLE analytics.rfm_movements (
    month_on date NOT NULL,
    currency text NOT NULL,
    from_segment text NOT NULL,
    to_segment text NOT NULL,
    customer_count bigint NOT NULL,
    order_count bigint NOT NULL,
    net_amount numeric NOT NULL,
    PRIMARY KEY (month_on, currency, from_segment, to_segment)
);
COMMENT ON TABLE analytics.rfm_movements IS
'One row per month that is over, currency, segment at the end of the month before and segment at its end, with '
'customers who went from the one to the other or stayed.';
COMMENT ON COLUMN analytics.rfm_movements.month_on IS 'First day of the month, in the shop''s time zone.';
COMMENT ON COLUMN analytics.rfm_movements.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.rfm_movements.from_segment IS
'At the end of the month before; empty for those whose first purchase was in the month.';
COMMENT ON COLUMN analytics.rfm_movements.to_segment IS 'At the end of the month.';
COMMENT ON COLUMN analytics.rfm_movements.customer_count IS 'Customers.';
COMMENT ON COLUMN analytics.rfm_movements.order_count IS 'Their purchases up to the end of the month.';
COMMENT ON COLUMN analytics.rfm_movements.net_amount IS
'Their purchases less refunds up to the end of the month, in the currency.';

CREATE TABLE analytics.rfm_segments (
    month_on date NOT NULL,
    currency text NOT NULL,
    segment text NOT NULL,
    is_complete boolean NOT NULL,
    customer_count bigint NOT NULL,
    customer_share double precision NOT NULL,
    order_count bigint NOT NULL,
    net_amount numeric NOT NULL,
    revenue_share double precision,
    PRIMARY KEY (month_on, currency, segment)
);
COMMENT ON TABLE analytics.rfm_segments IS
'One row per month, currency and segment with customers at its end; for a month that is not over, by all that is known '
'of it.';
COMMENT ON COLUMN analytics.rfm_segments.month_on IS 'First day of the month, in the shop''s time zone.';
COMMENT ON COLUMN analytics.rfm_segments.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.rfm_segments.segment IS 'Name, by the rules of the feature view customer_rfm.';
COMMENT ON COLUMN analytics.rfm_segments.is_complete IS 'Whether the month is over, as far as was loaded.';
COMMENT ON COLUMN analytics.rfm_segments.customer_count IS 'Customers in the segment.';
COMMENT ON COLUMN analytics.rfm_segments.customer_share IS 'Of the customers with a purchase by then.';
COMMENT ON COLUMN analytics.rfm_segments.order_count IS 'Their purchases up to the end of the month.';
COMMENT ON COLUMN analytics.rfm_segments.net_amount IS
'Their purchases less refunds up to the end of the month, in the currency.';
COMMENT ON COLUMN analytics.rfm_segments.revenue_share IS
'Of the same of all customers; null where that is not above 0. Outside 0 to 1 where a segment''s or others'' refunds '
'exceed their purchases.';
