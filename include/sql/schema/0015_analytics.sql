-- The marts of the business: tables that are made of facts by `include.analytics`, and what they need to be kept up.
-- Which days of a mart are stale is noted by triggers in the transaction of the change, once for each mart that reads
-- the source, and taken off in the transaction of the refresh that has seen the change: none is lost between the two.

CREATE SCHEMA analytics;

CREATE TABLE analytics.mart_states (
    mart text PRIMARY KEY,
    digest text NOT NULL,
    time_zone text NOT NULL,
    data_until timestamptz,
    row_count bigint NOT NULL,
    seconds double precision NOT NULL,
    refreshed_at timestamptz NOT NULL
);
COMMENT ON TABLE analytics.mart_states IS
'One row per mart that was ever refreshed: from what, until when, and how large it is.';
COMMENT ON COLUMN analytics.mart_states.mart IS 'Table of this schema.';
COMMENT ON COLUMN analytics.mart_states.digest IS
'SHA-256 of its SQL; another one means that all of it is made anew.';
COMMENT ON COLUMN analytics.mart_states.time_zone IS
'Where its days begin; another one means that all of it is made anew.';
COMMENT ON COLUMN analytics.mart_states.data_until IS 'End of what was loaded when it was refreshed.';
COMMENT ON COLUMN analytics.mart_states.row_count IS 'Rows it holds.';
COMMENT ON COLUMN analytics.mart_states.seconds IS 'How long the last refresh took.';
COMMENT ON COLUMN analytics.mart_states.refreshed_at IS 'When it was last refreshed.';

CREATE TABLE analytics.day_readers (
    source text NOT NULL,
    mart text NOT NULL,
    PRIMARY KEY (source, mart)
);
COMMENT ON TABLE analytics.day_readers IS 'One row per mart kept up day by day and table of facts that it is made of.';
COMMENT ON COLUMN analytics.day_readers.source IS 'Table of facts with its schema.';
COMMENT ON COLUMN analytics.day_readers.mart IS 'Table of this schema.';

CREATE TABLE analytics.stale_days (
    mart text NOT NULL,
    stale_on date NOT NULL
);
COMMENT ON TABLE analytics.stale_days IS
'One row per change of facts, mart and day (UTC) that it touches; a day may stand here more than once.';
COMMENT ON COLUMN analytics.stale_days.mart IS 'Table of this schema.';
COMMENT ON COLUMN analytics.stale_days.stale_on IS 'Day in UTC with a fact that is new, changed or gone.';
CREATE INDEX stale_days_of_mart ON analytics.stale_days (mart);

-- Notes the days of changed facts. The arguments are the columns whose instants count; both versions of a row do.
CREATE FUNCTION analytics.note_days() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    instants text := (SELECT string_agg(format('(%I)', instant), ', ') FROM unnest(TG_ARGV) AS instant);
    changed text;
BEGIN
    FOREACH changed IN ARRAY
        CASE TG_OP WHEN 'INSERT' THEN '{new_rows}' WHEN 'DELETE' THEN '{old_rows}' ELSE '{old_rows,new_rows}' END::text[]
    LOOP
        EXECUTE format(
            'INSERT INTO analytics.stale_days (mart, stale_on) '
            'SELECT readers.mart, days.changed_on FROM analytics.day_readers AS readers CROSS JOIN ('
            'SELECT DISTINCT (instant AT TIME ZONE ''UTC'')::date AS changed_on '
            'FROM %I CROSS JOIN LATERAL (VALUES %s) AS given (instant) WHERE instant IS NOT NULL'
            ') AS days WHERE readers.source = %L',
            changed, instants, format('%s.%s', TG_TABLE_SCHEMA, TG_TABLE_NAME)
        );
    END LOOP;
    RETURN NULL;
END
$$;

-- A new version of an order rewrites the order's own row also where only a line changed: lines need no trigger.
CREATE TRIGGER note_days_inserted AFTER INSERT ON shop.orders
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('placed_at', 'paid_at');
CREATE TRIGGER note_days_updated AFTER UPDATE ON shop.orders
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('placed_at', 'paid_at');
CREATE TRIGGER note_days_deleted AFTER DELETE ON shop.orders
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('placed_at', 'paid_at');
CREATE TRIGGER note_days_inserted AFTER INSERT ON shop.refunds
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('refunded_at');
CREATE TRIGGER note_days_updated AFTER UPDATE ON shop.refunds
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('refunded_at');
CREATE TRIGGER note_days_deleted AFTER DELETE ON shop.refunds
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('refunded_at');
CREATE TRIGGER note_days_inserted AFTER INSERT ON shop.events
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('occurred_at');
CREATE TRIGGER note_days_updated AFTER UPDATE ON shop.events
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('occurred_at');
CREATE TRIGGER note_days_deleted AFTER DELETE ON shop.events
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION analytics.note_days('occurred_at');

-- The facts of one day are found without reading all days', at next to no cost for the loads: facts arrive in the order
-- of their time, but for a few, which these ranges keep apart.
CREATE INDEX orders_by_payment ON shop.orders
USING brin (paid_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX refunds_by_time ON shop.refunds
USING brin (refunded_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX events_by_time ON shop.events
USING brin (occurred_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 32, autosummarize = on);

-- What the SQL of a mart is told by the refresh that runs it. Run by hand it gives all rows, in UTC, of all there is.
CREATE FUNCTION analytics.time_zone() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('mart.time_zone', true), ''), 'UTC');
COMMENT ON FUNCTION analytics.time_zone IS 'Where the shop''s days begin.';

CREATE FUNCTION analytics.from_instant() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('mart.from_instant', true), ''), '-infinity')::timestamptz;
COMMENT ON FUNCTION analytics.from_instant IS 'Facts from this instant on are to be counted.';

CREATE FUNCTION analytics.until_instant() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('mart.until_instant', true), ''), 'infinity')::timestamptz;
COMMENT ON FUNCTION analytics.until_instant IS 'Facts before this instant are to be counted.';

CREATE FUNCTION analytics.data_until() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('mart.data_until', true), ''), 'infinity')::timestamptz;
COMMENT ON FUNCTION analytics.data_until IS 'End of what was loaded; nothing is known of the time after it.';

CREATE TABLE analytics.sales_daily (
    sold_on date NOT NULL,
    currency text NOT NULL,
    gross_amount numeric NOT NULL,
    refund_amount numeric NOT NULL,
    order_count bigint NOT NULL,
    refund_count bigint NOT NULL,
    customer_count bigint NOT NULL,
    guest_order_count bigint NOT NULL,
    PRIMARY KEY (sold_on, currency)
);
COMMENT ON TABLE analytics.sales_daily IS 'One row per day with sales or refunds and currency.';
COMMENT ON COLUMN analytics.sales_daily.sold_on IS 'Day in the time zone of the shop.';
COMMENT ON COLUMN analytics.sales_daily.currency IS 'ISO 4217 code; amounts are never added across currencies.';
COMMENT ON COLUMN analytics.sales_daily.gross_amount IS 'Total of the orders paid that day, in the currency.';
COMMENT ON COLUMN analytics.sales_daily.refund_amount IS 'Total given back that day, in the currency; positive.';
COMMENT ON COLUMN analytics.sales_daily.order_count IS 'Orders paid that day.';
COMMENT ON COLUMN analytics.sales_daily.refund_count IS 'Refunds of that day.';
COMMENT ON COLUMN analytics.sales_daily.customer_count IS 'Different registered customers who paid an order that day.';
COMMENT ON COLUMN analytics.sales_daily.guest_order_count IS 'Orders of that day without a registered customer.';
INSERT INTO analytics.day_readers (source, mart) VALUES ('shop.orders', 'sales_daily'), ('shop.refunds', 'sales_daily');
