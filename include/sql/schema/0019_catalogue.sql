-- The catalogue: what every table and column holds, whose it is, and what is made of what.
-- Where the name of a number does not tell its unit, the first words in parentheses of its description do.

CREATE TABLE analytics.owners (
    schema_name text PRIMARY KEY,
    owner text NOT NULL  -- noqa: RF04
);
COMMENT ON TABLE analytics.owners IS
'One row per schema: who answers for its tables, unless the definition of one names somebody. Yours to change.';
COMMENT ON COLUMN analytics.owners.schema_name IS 'The schema.';
COMMENT ON COLUMN analytics.owners.owner IS 'Team or person, as people call them.';
INSERT INTO analytics.owners (schema_name, owner)
VALUES
('shop', 'ingestion'),
('signals', 'ingestion'),
('quarantine', 'ingestion'),
('ops', 'platform'),
('features', 'growth'),
('ml', 'growth'),
('serving', 'platform'),
('analytics', 'analytics');

CREATE TABLE analytics.lineage (
    upstream text NOT NULL,
    downstream text NOT NULL,
    made_by text NOT NULL,
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (upstream, downstream, made_by)
);
COMMENT ON TABLE analytics.lineage IS
'One row per thing that is read, table that is made of it, and what does that. Written from the definitions in the code'
' before each refresh of the catalogue.';
COMMENT ON COLUMN analytics.lineage.upstream IS 'A table with its schema, or a connection: `connection shop_api`.';
COMMENT ON COLUMN analytics.lineage.downstream IS 'A table with its schema.';
COMMENT ON COLUMN analytics.lineage.made_by IS 'What reads the one and writes the other.';
COMMENT ON COLUMN analytics.lineage.noted_at IS 'Since when this is known (UTC).';

CREATE TABLE analytics.data_inventory (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    column_name text NOT NULL,
    kind text NOT NULL,
    column_position integer NOT NULL,
    data_type text NOT NULL,
    is_required boolean,
    is_key boolean,
    description text,
    unit text,
    owner text,  -- noqa: RF04
    row_count bigint,
    row_count_from text,
    newest_at timestamptz,
    newest_from text,
    data_until timestamptz,
    upstream text[] NOT NULL,
    downstream text[] NOT NULL,
    check_count bigint NOT NULL,
    failed_check_count bigint NOT NULL,
    failed_checks text[] NOT NULL,
    checked_at timestamptz,
    open_rejected_count bigint NOT NULL,
    PRIMARY KEY (schema_name, table_name, column_name)
);
COMMENT ON TABLE analytics.data_inventory IS
'One row per table or view of the warehouse, and one per column of each.';
COMMENT ON COLUMN analytics.data_inventory.schema_name IS 'The schema.';
COMMENT ON COLUMN analytics.data_inventory.table_name IS 'The table or view.';
COMMENT ON COLUMN analytics.data_inventory.column_name IS 'The column; empty in the row of the table itself.';
COMMENT ON COLUMN analytics.data_inventory.kind IS 'table, view or column.';
COMMENT ON COLUMN analytics.data_inventory.column_position IS
'Place of the column in its table, from 1; 0 in the row of the table itself (place).';
COMMENT ON COLUMN analytics.data_inventory.data_type IS 'Type as Postgres names it; empty in the row of a table.';
COMMENT ON COLUMN analytics.data_inventory.is_required IS 'The column is never null. Null in the row of a table.';
COMMENT ON COLUMN analytics.data_inventory.is_key IS
'The column is one of those that tell the rows apart. Null in the row of a table.';
COMMENT ON COLUMN analytics.data_inventory.description IS 'What it holds, in words.';
COMMENT ON COLUMN analytics.data_inventory.unit IS
'What one of it is: by the definition of a feature, else by its name or type, else as its description says in '
'parentheses. Null: it has none, such as a text.';
COMMENT ON COLUMN analytics.data_inventory.owner IS
'Who answers for it: by the definition of a feature view, else by analytics.owners. Of tables only.';
COMMENT ON COLUMN analytics.data_inventory.row_count IS
'How many rows it holds. Of tables only; null where nobody has counted yet.';
COMMENT ON COLUMN analytics.data_inventory.row_count_from IS
'mart_states or receipts: exact as of then. estimate: what the planner of Postgres last reckoned.';
COMMENT ON COLUMN analytics.data_inventory.newest_at IS
'When it was last brought up to date (UTC). Of tables only; null where nothing says.';
COMMENT ON COLUMN analytics.data_inventory.newest_from IS
'What says so: receipts, mart_states, view_versions, or the column whose greatest value it is.';
COMMENT ON COLUMN analytics.data_inventory.data_until IS
'End of the time that it speaks of, as far as it was loaded or built (UTC); null where it speaks of none.';
COMMENT ON COLUMN analytics.data_inventory.upstream IS 'What it is made of, directly; of tables only, else empty.';
COMMENT ON COLUMN analytics.data_inventory.downstream IS 'What is made of it, directly; of tables only, else empty.';
COMMENT ON COLUMN analytics.data_inventory.check_count IS
'Expectations that were looked at last: of the newest batch of an entity, of the newest snapshot of a feature view.';
COMMENT ON COLUMN analytics.data_inventory.failed_check_count IS 'Those of them that did not hold.';
COMMENT ON COLUMN analytics.data_inventory.failed_checks IS 'Those that did not hold, in words.';
COMMENT ON COLUMN analytics.data_inventory.checked_at IS 'When they were looked at (UTC); null if never.';
COMMENT ON COLUMN analytics.data_inventory.open_rejected_count IS
'Rows of the entity in quarantine that nobody has dealt with; 0 for all that is no entity.';

-- The greatest value of the column that says when rows were written, if it is cheap to know: the table is small, or an
-- index begins with the column. Null where there is no such column.
CREATE FUNCTION analytics.newest_write(relation regclass, OUT newest_at timestamptz, OUT column_name text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT columns.attname INTO column_name
    FROM pg_attribute AS columns
    LEFT JOIN unnest(ARRAY[
        'ingested_at', 'written_at', 'refreshed_at', 'computed_at', 'scored_at', 'measured_at', 'checked_at',
        'fitted_at', 'status_at', 'set_at', 'changed_at', 'applied_at', 'built_at', 'last_seen_at', 'last_rejected_at'
    ]) WITH ORDINALITY AS preferred (name, place) ON columns.attname = preferred.name
    WHERE
        columns.attrelid = relation AND columns.attnum > 0 AND NOT columns.attisdropped
        AND columns.atttypid = 'timestamptz'::regtype AND columns.attname LIKE '%\_at'
        AND (
            pg_relation_size(relation) <= 64 * 1024 * 1024
            OR EXISTS (
                SELECT FROM pg_index
                WHERE pg_index.indrelid = relation AND pg_index.indkey[0] = columns.attnum
                AND pg_index.indpred IS NULL
            )
        )
    ORDER BY preferred.place NULLS LAST, columns.attnum
    LIMIT 1;
    IF column_name IS NOT NULL THEN
        EXECUTE format('SELECT max(%I) FROM %s', column_name, relation) INTO newest_at;
    END IF;
    IF newest_at IS NULL THEN
        column_name := NULL;
    END IF;
END
$$;
COMMENT ON FUNCTION analytics.newest_write IS
'When rows of a table were last written, by which of its columns; null where it has none that is cheap to ask.';

COMMENT ON SCHEMA shop IS 'What the shop says: customers, products, orders, refunds, events, in their newest version.';
COMMENT ON SCHEMA signals IS 'What the world says: weather and share prices, day by day.';
COMMENT ON SCHEMA quarantine IS 'What was rejected on the way in, and why.';
COMMENT ON SCHEMA ops IS 'Accounts and state of the platform itself.';
COMMENT ON SCHEMA features IS 'Feature views: history, newest rows, and how they are kept up.';
COMMENT ON SCHEMA ml IS 'Models: what they learnt from, how they did, and what they say.';
COMMENT ON SCHEMA serving IS 'What the API needs.';
COMMENT ON SCHEMA analytics IS 'Marts of the business, the catalogue, and how they are kept up.';

-- What every table of the shop and its signals says of where a row came from.
DO $$
DECLARE
    described record;
BEGIN
    FOR described IN
        SELECT attrelid::regclass AS relation, attname, description
        FROM pg_attribute
        INNER JOIN (
            VALUES
            ('source', 'The connection that the row came through.'),
            ('source_updated_at', 'Version: when the source last changed the record, or when it was observed (UTC).'),
            ('content_digest', 'Digest of the record as the source gave it; decides between equal versions.'),
            ('first_seen_at', 'When the platform first wrote the key (UTC).'),
            ('ingested_at', 'When the platform last wrote the row (UTC).')
        ) AS provenance (name, description) ON attname = provenance.name
        WHERE attrelid IN (
            SELECT attrelid FROM pg_attribute
            WHERE attname = 'content_digest' AND attrelid::regclass::text ~ '^(shop|signals)\.'
        )
    LOOP
        EXECUTE format(
            'COMMENT ON COLUMN %s.%I IS %L', described.relation, described.attname, described.description
        );
    END LOOP;
END
$$;


COMMENT ON COLUMN shop.customers.customer_id IS 'Number of the customer in the shop (identifier).';
COMMENT ON COLUMN shop.customers.email IS
'E-mail address in clear: personal data. Null where the shop has none or it was erased.';
COMMENT ON COLUMN shop.customers.first_name IS 'First name in clear: personal data.';
COMMENT ON COLUMN shop.customers.last_name IS 'Last name in clear: personal data.';
COMMENT ON COLUMN shop.customers.country IS
'ISO 3166-1 alpha-2 code where the shop knows it, else as the shop writes it.';
COMMENT ON COLUMN shop.customers.registered_at IS 'When the account was made (UTC).';
COMMENT ON COLUMN shop.customers.is_paying IS 'The shop says that they have bought something.';

COMMENT ON COLUMN shop.products.product_id IS 'Number of the product in the shop (identifier).';
COMMENT ON COLUMN shop.products.sku IS 'Stock keeping unit: the number that the shop itself counts it by.';
COMMENT ON COLUMN shop.products.name IS 'Name in the catalogue.';
COMMENT ON COLUMN shop.products.price IS
'Price of one now, in the currency of the row; null where the shop shows none.';
COMMENT ON COLUMN shop.products.currency IS 'ISO 4217 code of the price.';
COMMENT ON COLUMN shop.products.categories IS 'Names of its categories, in the shop''s order (JSON list).';
COMMENT ON COLUMN shop.products.attributes IS 'Attribute name to its options (JSON object).';
COMMENT ON COLUMN shop.products.stock_status IS
'As the shop says it now: instock, outofstock, onbackorder; null where it does not say.';
COMMENT ON COLUMN shop.products.is_published IS 'It is for sale to everybody now.';
COMMENT ON COLUMN shop.products.created_at IS 'When the shop made it (UTC).';

COMMENT ON COLUMN shop.orders.order_id IS 'Number of the order in the shop (identifier).';
COMMENT ON COLUMN shop.orders.order_number IS 'The number that the customer was told.';
COMMENT ON COLUMN shop.orders.customer_id IS 'The registered customer (identifier); null for a guest.';
COMMENT ON COLUMN shop.orders.currency IS 'ISO 4217 code of the order''s amounts.';
COMMENT ON COLUMN shop.orders.total_amount IS
'Everything that is to be paid, taxes and shipping included, discounts taken off, in the currency of the order.';
COMMENT ON COLUMN shop.orders.discount_amount IS 'What discounts took off, in the currency of the order; positive.';
COMMENT ON COLUMN shop.orders.shipping_amount IS 'Cost of shipping without tax, in the currency of the order.';
COMMENT ON COLUMN shop.orders.tax_amount IS 'Taxes of goods and shipping, in the currency of the order.';
COMMENT ON COLUMN shop.orders.country IS
'Country of the billing address: ISO 3166-1 alpha-2 code where the shop knows it.';
COMMENT ON COLUMN shop.orders.placed_at IS 'When it was created (UTC).';
COMMENT ON COLUMN shop.orders.paid_at IS 'When it was paid (UTC): from then on it is a purchase. Null while it is not.';
COMMENT ON COLUMN shop.orders.completed_at IS 'When the shop had done its part (UTC); null before.';
COMMENT ON COLUMN shop.orders.cancelled_at IS
'When it was cancelled (UTC); null where it was not. Counts for nothing: money given back is a refund.';

COMMENT ON COLUMN shop.order_lines.order_id IS 'The order (identifier).';
COMMENT ON COLUMN shop.order_lines.line_id IS 'Number of the line, unique within the shop (identifier).';
COMMENT ON COLUMN shop.order_lines.kind IS 'product, shipping or fee.';
COMMENT ON COLUMN shop.order_lines.product_id IS
'The product (identifier); null for shipping and fees, and for products that the shop has deleted.';
COMMENT ON COLUMN shop.order_lines.sku IS 'Stock keeping unit when it was bought.';
COMMENT ON COLUMN shop.order_lines.name IS 'Name when it was bought.';
COMMENT ON COLUMN shop.order_lines.quantity IS 'How many were bought (pieces).';
COMMENT ON COLUMN shop.order_lines.unit_price IS 'Price of one as charged, without tax, in the currency of the order.';
COMMENT ON COLUMN shop.order_lines.total_amount IS
'Price of all of them after discounts, without tax, in the currency of the order.';

COMMENT ON COLUMN shop.refunds.refund_id IS 'Number of the refund in the shop (identifier).';
COMMENT ON COLUMN shop.refunds.order_id IS 'The order that is refunded (identifier); null where the shop knows none.';
COMMENT ON COLUMN shop.refunds.customer_id IS
'The customer that the refund itself names (identifier); null: its order''s customer counts.';
COMMENT ON COLUMN shop.refunds.refund_amount IS 'What was given back, in the currency of the row; positive.';
COMMENT ON COLUMN shop.refunds.currency IS 'ISO 4217 code of the amount.';
COMMENT ON COLUMN shop.refunds.reason IS 'Why, in the words of the shop''s people.';
COMMENT ON COLUMN shop.refunds.refunded_at IS 'When it was given back (UTC).';

COMMENT ON COLUMN shop.refund_lines.refund_id IS 'The refund (identifier).';
COMMENT ON COLUMN shop.refund_lines.line_id IS 'Number of the line, unique within the shop (identifier).';
COMMENT ON COLUMN shop.refund_lines.kind IS 'product, shipping or fee.';
COMMENT ON COLUMN shop.refund_lines.product_id IS
'The product (identifier); null for shipping and fees, and for products that the shop has deleted.';
COMMENT ON COLUMN shop.refund_lines.sku IS 'Stock keeping unit when it was bought.';
COMMENT ON COLUMN shop.refund_lines.name IS 'Name when it was bought.';
COMMENT ON COLUMN shop.refund_lines.quantity IS 'How many came back (pieces); positive.';
COMMENT ON COLUMN shop.refund_lines.total_amount IS
'What was given back for them without tax, in the currency of the refund; positive.';

COMMENT ON COLUMN shop.events.event_id IS 'The source''s own number of the message (identifier).';
COMMENT ON COLUMN shop.events.event_name IS 'Name in the Segment e-commerce vocabulary, such as Product Viewed.';
COMMENT ON COLUMN shop.events.customer_id IS 'The customer who was logged in (identifier); null before a login.';
COMMENT ON COLUMN shop.events.anonymous_id IS
'The visitor''s browser (identifier); null where the source does not say.';
COMMENT ON COLUMN shop.events.product_id IS 'The product that it is about (identifier); null where it is about none.';
COMMENT ON COLUMN shop.events.order_id IS 'The order that it is about (identifier); null where it is about none.';
COMMENT ON COLUMN shop.events.properties IS
'What else the event says, with its context: page, campaign, device, session (JSON object).';
COMMENT ON COLUMN shop.events.occurred_at IS 'When it happened on the visitor''s side (UTC).';

COMMENT ON COLUMN shop.product_versions.product_id IS 'The product (identifier).';
COMMENT ON COLUMN shop.product_versions.known_from IS
'From when on it was like this (UTC); -infinity for the first version that was seen.';
COMMENT ON COLUMN shop.product_versions.name IS 'Name from then on.';
COMMENT ON COLUMN shop.product_versions.price IS
'Price of one from then on, in the currency of the row; null where the shop showed none.';
COMMENT ON COLUMN shop.product_versions.currency IS 'ISO 4217 code of the price.';
COMMENT ON COLUMN shop.product_versions.categories IS
'Names of its categories from then on, in the shop''s order (JSON list).';

COMMENT ON COLUMN signals.weather_daily.location IS 'Name of the place, as the connection writes it.';
COMMENT ON COLUMN signals.weather_daily.weather_on IS 'Day in UTC.';
COMMENT ON COLUMN signals.weather_daily.latitude IS 'Of the place asked for (degrees north).';
COMMENT ON COLUMN signals.weather_daily.longitude IS 'Of the place asked for (degrees east).';
COMMENT ON COLUMN signals.weather_daily.temperature_max_celsius IS
'Highest air temperature of the day, 2 metres above ground (degrees Celsius).';
COMMENT ON COLUMN signals.weather_daily.temperature_min_celsius IS
'Lowest air temperature of the day, 2 metres above ground (degrees Celsius).';
COMMENT ON COLUMN signals.weather_daily.precipitation_mm IS 'Rain, showers and snow of the day (millimetres of water).';
COMMENT ON COLUMN signals.weather_daily.wind_speed_max_kmh IS
'Highest wind speed of the day, 10 metres above ground (kilometres per hour).';

COMMENT ON COLUMN signals.stock_prices_daily.symbol IS 'Symbol of the share or index at its exchange.';
COMMENT ON COLUMN signals.stock_prices_daily.traded_on IS 'Trading day at the exchange.';
COMMENT ON COLUMN signals.stock_prices_daily.open_price IS
'Price of the day''s first trade, in the currency of the row.';
COMMENT ON COLUMN signals.stock_prices_daily.high_price IS 'Highest price of the day, in the currency of the row.';
COMMENT ON COLUMN signals.stock_prices_daily.low_price IS 'Lowest price of the day, in the currency of the row.';
COMMENT ON COLUMN signals.stock_prices_daily.close_price IS
'Price of the day''s last trade, in the currency of the row.';
COMMENT ON COLUMN signals.stock_prices_daily.currency IS 'ISO 4217 code of the prices.';
COMMENT ON COLUMN signals.stock_prices_daily.volume IS 'Shares traded that day (shares).';

COMMENT ON COLUMN quarantine.rejected_rows.entity IS 'Which kind of record it is.';
COMMENT ON COLUMN quarantine.rejected_rows.rule_id IS 'The rule that it broke.';
COMMENT ON COLUMN quarantine.rejected_rows.occurrence IS
'1 for the first of equal records of one batch, 2 for the next (number).';
COMMENT ON COLUMN quarantine.rejected_rows.reason IS 'What is wrong with it, in words.';
COMMENT ON COLUMN quarantine.rejected_rows.payload IS 'The record as it came, personal data masked.';
COMMENT ON COLUMN quarantine.rejected_rows.landing_file IS
'The file in landing that holds it unmasked, for as long as landing keeps it.';
COMMENT ON COLUMN quarantine.rejected_rows.landing_position IS 'Where in the file it stands.';
COMMENT ON COLUMN quarantine.rejected_rows.source IS 'The connection that it came through.';
COMMENT ON COLUMN quarantine.rejected_rows.window_start IS 'Start of the window that it was read for (UTC).';
COMMENT ON COLUMN quarantine.rejected_rows.window_end IS 'End of that window (UTC), not included.';
COMMENT ON COLUMN quarantine.rejected_rows.rejected_at IS 'When it was first rejected (UTC).';
COMMENT ON COLUMN quarantine.rejected_rows.batch IS 'The batch of landing that it came with.';
COMMENT ON COLUMN quarantine.rejected_rows.last_rejected_at IS 'When it was last rejected (UTC).';
COMMENT ON COLUMN quarantine.rejected_rows.resolved_at IS 'When it was dealt with (UTC); null while it is open.';
COMMENT ON COLUMN quarantine.rejected_rows.resolution IS
'loaded: it passed after all. superseded: a newer version took its place. Null while it is open.';

COMMENT ON COLUMN ops.migrations.version IS 'Number of the migration (number).';
COMMENT ON COLUMN ops.migrations.name IS 'Name of its file without the ending.';
COMMENT ON COLUMN ops.migrations.sha256 IS 'SHA-256 of its file, in hexadecimal.';
COMMENT ON COLUMN ops.migrations.applied_at IS 'When it was applied (UTC).';

COMMENT ON COLUMN ops.receipts.receipt_id IS 'Order of writing (identifier).';
COMMENT ON COLUMN ops.receipts.step IS
'extract, validate, upsert, build, publish, refresh or another step of the platform.';
COMMENT ON COLUMN ops.receipts.entity IS 'What the step worked on: an entity, a feature view or a mart.';
COMMENT ON COLUMN ops.receipts.window_start IS 'Start of the window (UTC).';
COMMENT ON COLUMN ops.receipts.window_end IS 'End of the window (UTC), not included.';
COMMENT ON COLUMN ops.receipts.received IS 'Rows that the step was given (rows).';
COMMENT ON COLUMN ops.receipts.passed IS 'Rows handed to the next step (rows).';
COMMENT ON COLUMN ops.receipts.inserted IS 'Rows that were new (rows).';
COMMENT ON COLUMN ops.receipts.updated IS 'Rows that were changed (rows).';
COMMENT ON COLUMN ops.receipts.unchanged IS 'Rows that were there as they are (rows).';
COMMENT ON COLUMN ops.receipts.stale IS 'Rows of an older version than the one there, which changed nothing (rows).';
COMMENT ON COLUMN ops.receipts.duplicate IS 'Rows that stood more than once in the batch, but for one of them (rows).';
COMMENT ON COLUMN ops.receipts.quarantined IS 'Rows that were rejected (rows).';
COMMENT ON COLUMN ops.receipts.deleted IS 'Rows that were taken away; outside the sum (rows).';
COMMENT ON COLUMN ops.receipts.batch IS 'The batch of landing; null where the step has none.';
COMMENT ON COLUMN ops.receipts.details IS 'What else the step has to say (JSON object).';
COMMENT ON COLUMN ops.receipts.seconds IS 'How long the step took (seconds).';
COMMENT ON COLUMN ops.receipts.written_at IS 'When the receipt was written (UTC).';

COMMENT ON COLUMN ops.quality_results.quality_result_id IS 'Order of writing (identifier).';
COMMENT ON COLUMN ops.quality_results.entity IS 'The entity whose batch was looked at.';
COMMENT ON COLUMN ops.quality_results.window_start IS 'Start of the window (UTC).';
COMMENT ON COLUMN ops.quality_results.window_end IS 'End of the window (UTC), not included.';
COMMENT ON COLUMN ops.quality_results.batch IS 'The batch of landing.';
COMMENT ON COLUMN ops.quality_results.expectation IS 'Kind of the expectation: its class in Great Expectations.';
COMMENT ON COLUMN ops.quality_results.severity IS
'critical: the batch is not loaded if it fails. warning: it is only noted.';
COMMENT ON COLUMN ops.quality_results.is_success IS 'It holds.';
COMMENT ON COLUMN ops.quality_results.row_count IS 'Rows looked at (rows).';
COMMENT ON COLUMN ops.quality_results.failed_count IS
'Rows that fail it; 0 for an expectation over the whole table (rows).';
COMMENT ON COLUMN ops.quality_results.details IS
'Arguments of the expectation, such as its column and bounds (JSON object).';
COMMENT ON COLUMN ops.quality_results.checked_at IS 'When it was looked at (UTC).';

COMMENT ON COLUMN ops.circuits.host IS 'Name of the host, with the port where it has one.';
COMMENT ON COLUMN ops.circuits.state IS 'closed: it is asked. open: it is not. half_open: one try is under way.';
COMMENT ON COLUMN ops.circuits.opened_at IS 'Since when it is in trouble (UTC); null while the circuit is closed.';
COMMENT ON COLUMN ops.circuits.reason IS 'What the failure was, in words; null while the circuit is closed.';
COMMENT ON COLUMN ops.circuits.changed_at IS 'When this row last changed (UTC).';

COMMENT ON COLUMN ops.request_totals.host IS 'Name of the host, with the port where it has one.';
COMMENT ON COLUMN ops.request_totals.source IS 'The connection that the requests were made for.';
COMMENT ON COLUMN ops.request_totals.request_count IS 'Requests since the beginning (requests).';
COMMENT ON COLUMN ops.request_totals.seconds_total IS 'Time that they took together (seconds).';
COMMENT ON COLUMN ops.request_totals.bucket_counts IS
'Requests that took up to 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60 seconds and longer (requests); not cumulative.';

COMMENT ON COLUMN ops.source_fields.source IS 'The connection.';
COMMENT ON COLUMN ops.source_fields.entity IS 'Which kind of record.';
COMMENT ON COLUMN ops.source_fields.field IS 'Path of the field.';
COMMENT ON COLUMN ops.source_fields.kinds IS 'Kinds of value that it first had, such as string or number.';
COMMENT ON COLUMN ops.source_fields.is_added IS 'The first rows of the source lacked it.';
COMMENT ON COLUMN ops.source_fields.present_count IS 'Rows looked at that had it (rows).';
COMMENT ON COLUMN ops.source_fields.possible_count IS 'Rows looked at that could have had it (rows).';
COMMENT ON COLUMN ops.source_fields.first_seen_at IS 'When it was first met (UTC).';
COMMENT ON COLUMN ops.source_fields.last_seen_at IS 'When it was last met (UTC).';

COMMENT ON COLUMN ops.schema_changes.source IS 'The connection.';
COMMENT ON COLUMN ops.schema_changes.entity IS 'Which kind of record.';
COMMENT ON COLUMN ops.schema_changes.field IS 'Path of the field.';
COMMENT ON COLUMN ops.schema_changes.change IS 'added, missing or retyped.';
COMMENT ON COLUMN ops.schema_changes.kind IS 'For retyped the kind of value that is new; else empty.';
COMMENT ON COLUMN ops.schema_changes.detail IS 'What changed, in words.';
COMMENT ON COLUMN ops.schema_changes.example IS 'One of its values, personal data masked.';
COMMENT ON COLUMN ops.schema_changes.row_share IS 'Share of the rows looked at that showed it last (share, 0 to 1).';
COMMENT ON COLUMN ops.schema_changes.batch IS 'The batch of landing in which it was last seen.';
COMMENT ON COLUMN ops.schema_changes.first_seen_at IS 'When it was first seen (UTC).';
COMMENT ON COLUMN ops.schema_changes.last_seen_at IS 'When it was last seen (UTC).';

COMMENT ON COLUMN features.view_versions.view_name IS 'The feature view.';
COMMENT ON COLUMN features.view_versions.version IS 'Number of the definition, counted per view (number).';
COMMENT ON COLUMN features.view_versions.digest IS
'SHA-256 of all in the definition that decides what a row holds, in hexadecimal.';
COMMENT ON COLUMN features.view_versions.definition IS 'The whole definition; spans of time in seconds (JSON object).';
COMMENT ON COLUMN features.view_versions.created_at IS 'When the definition was first met (UTC).';
COMMENT ON COLUMN features.view_versions.last_seq IS 'Number of the last build that wrote rows (number).';
COMMENT ON COLUMN features.view_versions.last_ingested_at IS 'When that was (UTC); null before the first.';
COMMENT ON COLUMN features.view_versions.published_seq IS
'Number of the last build that was published online (number).';
COMMENT ON COLUMN features.view_versions.published_at IS 'When that was (UTC); null before the first.';
COMMENT ON COLUMN features.view_versions.seen_touches IS
'The touches that the history has taken in: those of the transactions before this snapshot of Postgres.';
COMMENT ON COLUMN features.view_versions.seen_on_server IS
'The Postgres server that seen_touches speaks of; after a move of the database it means nothing.';
COMMENT ON COLUMN features.view_versions.retired_at IS 'Since when it is no longer built (UTC); null while it is.';

COMMENT ON COLUMN features.built_snapshots.view_name IS 'The feature view.';
COMMENT ON COLUMN features.built_snapshots.version IS 'Number of its definition (number).';
COMMENT ON COLUMN features.built_snapshots.event_time IS 'The instant that rows were taken at (UTC).';
COMMENT ON COLUMN features.built_snapshots.is_partial IS 'Only the keys that were pushed at that instant were built.';
COMMENT ON COLUMN features.built_snapshots.built_at IS 'When it was last built (UTC).';
COMMENT ON COLUMN features.built_snapshots.thinned_at IS
'When its rows were removed by the policy of retention (UTC); null while they are there.';

COMMENT ON COLUMN features.customer_touches.customer_id IS 'The customer touched (identifier); null is every customer.';
COMMENT ON COLUMN features.customer_touches.source IS 'The table whose rows changed.';
COMMENT ON COLUMN features.customer_touches.touched_from IS 'The oldest instant of the changed facts (UTC).';
COMMENT ON COLUMN features.customer_touches.touched_until IS 'The newest instant of the changed facts (UTC).';
COMMENT ON COLUMN features.customer_touches.written_by IS 'The transaction of Postgres that changed them.';

COMMENT ON COLUMN features.product_touches.product_id IS 'The product touched (identifier).';
COMMENT ON COLUMN features.product_touches.source IS 'The table whose rows changed.';
COMMENT ON COLUMN features.product_touches.touched_from IS 'The oldest instant of the changed facts (UTC).';
COMMENT ON COLUMN features.product_touches.touched_until IS 'The newest instant of the changed facts (UTC).';
COMMENT ON COLUMN features.product_touches.written_by IS 'The transaction of Postgres that changed them.';

COMMENT ON COLUMN features.statistics.view_name IS 'The feature view.';
COMMENT ON COLUMN features.statistics.version IS 'Number of its definition (number).';
COMMENT ON COLUMN features.statistics.event_time IS 'The snapshot (UTC).';
COMMENT ON COLUMN features.statistics.feature IS 'The feature.';
COMMENT ON COLUMN features.statistics.row_count IS 'Rows of the snapshot, without tombstones (rows).';
COMMENT ON COLUMN features.statistics.null_count IS 'Rows in which the feature is null (rows).';
COMMENT ON COLUMN features.statistics.distinct_count IS 'Different values of the feature (values).';
COMMENT ON COLUMN features.statistics.minimum IS 'Least value (unit of the feature); null for text.';
COMMENT ON COLUMN features.statistics.maximum IS 'Greatest value (unit of the feature); null for text.';
COMMENT ON COLUMN features.statistics.mean IS 'Mean of the values (unit of the feature); null for text.';
COMMENT ON COLUMN features.statistics.quantiles IS
'Values at 1, 5, 25, 50, 75, 95 and 99 percent (unit of the feature); null for text.';
COMMENT ON COLUMN features.statistics.measured_at IS 'When it was measured (UTC).';

COMMENT ON COLUMN features.failed_expectations.view_name IS 'The feature view.';
COMMENT ON COLUMN features.failed_expectations.version IS 'Number of its definition (number).';
COMMENT ON COLUMN features.failed_expectations.event_time IS 'The snapshot (UTC).';
COMMENT ON COLUMN features.failed_expectations.expectation IS 'What should hold, in words.';
COMMENT ON COLUMN features.failed_expectations.found IS 'What was found instead, in words.';
COMMENT ON COLUMN features.failed_expectations.checked_at IS 'When it was looked at (UTC).';

COMMENT ON COLUMN ml.training_sets.training_set_id IS 'Digest of data and parameters (identifier).';
COMMENT ON COLUMN ml.training_sets.model_name IS 'The model that it is for.';
COMMENT ON COLUMN ml.training_sets.window_start IS 'Start of the window of the run that built it (UTC).';
COMMENT ON COLUMN ml.training_sets.window_end IS 'End of that window (UTC): no later fact is in it.';
COMMENT ON COLUMN ml.training_sets.test_at IS 'The snapshot of the test rows (UTC).';
COMMENT ON COLUMN ml.training_sets.training_snapshot_count IS 'Snapshots that training rows are from (snapshots).';
COMMENT ON COLUMN ml.training_sets.training_row_count IS 'Rows to learn from (rows).';
COMMENT ON COLUMN ml.training_sets.test_row_count IS 'Rows to be judged by (rows).';
COMMENT ON COLUMN ml.training_sets.parameters IS 'What it was built with (JSON object).';
COMMENT ON COLUMN ml.training_sets.data_digest IS 'Digest of its rows, in hexadecimal.';
COMMENT ON COLUMN ml.training_sets.file_path IS 'The Parquet file with its rows, relative to the storage folder.';
COMMENT ON COLUMN ml.training_sets.built_at IS 'When it was built (UTC).';

COMMENT ON COLUMN ml.models.model_id IS 'Digest of training set and libraries (identifier).';
COMMENT ON COLUMN ml.models.name IS 'Name of the registered model, such as churn.';
COMMENT ON COLUMN ml.models.training_set_id IS 'What it was trained on (identifier).';
COMMENT ON COLUMN ml.models.trained_at IS 'When it was trained (UTC).';
COMMENT ON COLUMN ml.models.window_start IS 'Start of the window of its training set (UTC).';
COMMENT ON COLUMN ml.models.window_end IS 'End of that window (UTC), not included.';
COMMENT ON COLUMN ml.models.parameters IS 'Those of its training set (JSON object).';
COMMENT ON COLUMN ml.models.data_digest IS 'Digest of the rows that it was trained on, in hexadecimal.';
COMMENT ON COLUMN ml.models.training_row_count IS 'Rows that it was trained on (rows).';
COMMENT ON COLUMN ml.models.libraries IS 'Versions of Python and of the libraries that made it (JSON object).';
COMMENT ON COLUMN ml.models.metrics IS
'How it did on the test rows, by metric (JSON object); null before the evaluation.';
COMMENT ON COLUMN ml.models.baselines IS
'How its baselines did on the same rows, by scorer and metric (JSON object); null before the evaluation.';
COMMENT ON COLUMN ml.models.evaluated_at IS 'When it was evaluated (UTC); null before.';
COMMENT ON COLUMN ml.models.status IS 'trained, evaluated, champion, refused, retired or rolled_back.';
COMMENT ON COLUMN ml.models.status_reason IS 'Why it has that status, in words.';
COMMENT ON COLUMN ml.models.status_at IS 'Since when it has that status (UTC).';

COMMENT ON COLUMN ml.evaluations.model_id IS 'The model that was evaluated (identifier).';
COMMENT ON COLUMN ml.evaluations.scorer IS 'Who was scored: model, a baseline, or the champion of that time.';
COMMENT ON COLUMN ml.evaluations.metric IS 'Name of the metric, such as auc.';
COMMENT ON COLUMN ml.evaluations.value IS 'What it came to (unit of the metric).';

COMMENT ON COLUMN ml.calibration_bins.model_id IS 'The model that was evaluated (identifier).';
COMMENT ON COLUMN ml.calibration_bins.scorer IS 'Who was scored: model, a baseline, or the champion of that time.';
COMMENT ON COLUMN ml.calibration_bins.bin IS 'Tenth of the probability scale: 1 is 0 to 0.1 (number).';
COMMENT ON COLUMN ml.calibration_bins.row_count IS 'Test rows in it (rows).';
COMMENT ON COLUMN ml.calibration_bins.mean_probability IS
'Mean of the probabilities that were foretold (probability, 0 to 1).';
COMMENT ON COLUMN ml.calibration_bins.observed_rate IS 'Share of the rows that did churn (share, 0 to 1).';

COMMENT ON COLUMN ml.aliases.alias IS 'Name for a model in use.';
COMMENT ON COLUMN ml.aliases.model_id IS 'The model that it means (identifier).';
COMMENT ON COLUMN ml.aliases.set_at IS 'Since when (UTC).';

COMMENT ON COLUMN ml.alias_changes.alias_change_id IS 'Order of writing (identifier).';
COMMENT ON COLUMN ml.alias_changes.alias IS 'Name for a model in use.';
COMMENT ON COLUMN ml.alias_changes.model_id IS 'The model that it was given to (identifier).';
COMMENT ON COLUMN ml.alias_changes.previous_model_id IS
'The model that had it before (identifier); null for the first.';
COMMENT ON COLUMN ml.alias_changes.reason IS 'Why, in words.';
COMMENT ON COLUMN ml.alias_changes.set_at IS 'When (UTC).';

COMMENT ON COLUMN ml.shop_weeks.training_set_id IS 'The training set (identifier).';
COMMENT ON COLUMN ml.shop_weeks.week_start_on IS 'First day of the week, in UTC.';

COMMENT ON COLUMN ml.churn_backtests.model_id IS 'The model that the backtest chose for (identifier).';
COMMENT ON COLUMN ml.churn_backtests.candidate IS 'The candidate.';
COMMENT ON COLUMN ml.churn_backtests.snapshot_on IS 'The day of the snapshot, in UTC.';
COMMENT ON COLUMN ml.churn_backtests.row_count IS 'Customers judged at the snapshot (customers).';
COMMENT ON COLUMN ml.churn_backtests.churn_rate IS 'Share of them that did churn (share, 0 to 1).';
COMMENT ON COLUMN ml.churn_backtests.auc IS 'Area under the ROC curve (0.5 is chance, 1 perfect).';
COMMENT ON COLUMN ml.churn_backtests.log_loss IS 'Mean negative log-likelihood of what came (nats).';
COMMENT ON COLUMN ml.churn_backtests.mean_probability_as_trained IS
'Mean of the probabilities without season and calibration (probability, 0 to 1).';
COMMENT ON COLUMN ml.churn_backtests.mean_probability_with_season IS
'Mean of the probabilities with season, without calibration (probability, 0 to 1).';
COMMENT ON COLUMN ml.churn_backtests.exposure IS
'How much busier the label window was expected to be than those trained on, from the weeks before the snapshot '
'(ratio).';
COMMENT ON COLUMN ml.churn_backtests.calibration_error IS
'Expected calibration error of the probabilities as the model gives them, with season and calibration '
'(probability, 0 to 1).';
COMMENT ON COLUMN ml.churn_backtests.calibration_error_as_trained IS
'The same without season and calibration (probability, 0 to 1).';
COMMENT ON COLUMN ml.churn_backtests.calibration_error_with_season IS
'The same with season, without calibration (probability, 0 to 1).';

COMMENT ON COLUMN ml.churn_reports.model_id IS 'The model (identifier).';
COMMENT ON COLUMN ml.churn_reports.written_at IS 'When the report was written (UTC).';

COMMENT ON COLUMN ml.lifetime_models.lifetime_model_id IS 'Digest of data, settings and libraries (identifier).';
COMMENT ON COLUMN ml.lifetime_models.annual_discount_rate IS 'What money is worth less in a year (share, 0 to 1).';
COMMENT ON COLUMN ml.lifetime_models.bg_nbd_log_likelihood IS
'Log-likelihood of the histories under the BG/NBD (nats).';
COMMENT ON COLUMN ml.lifetime_models.gamma_gamma_log_likelihood IS
'Log-likelihood of the amounts under the Gamma-Gamma (nats).';
COMMENT ON COLUMN ml.lifetime_models.customer_count IS 'Customers that it was fitted to (customers).';
COMMENT ON COLUMN ml.lifetime_models.data_digest IS 'Digest of the histories, in hexadecimal.';
COMMENT ON COLUMN ml.lifetime_models.libraries IS 'Versions of Python and of the libraries that made it (JSON object).';
COMMENT ON COLUMN ml.lifetime_models.fitted_at IS 'When it was fitted (UTC).';
COMMENT ON COLUMN ml.lifetime_models.bg_nbd_covariance IS
'Of the natural logarithms of the parameters (no unit), 4 by 4, row by row; what the data do not tell counts as known.';
COMMENT ON COLUMN ml.lifetime_models.gamma_gamma_covariance IS
'Of the natural logarithms of the parameters (no unit), 3 by 3, row by row; what the data do not tell counts as known.';

COMMENT ON COLUMN ml.lifetime_values.customer_id IS 'The customer (identifier).';
COMMENT ON COLUMN ml.lifetime_values.snapshot_at IS 'The history up to this instant counts (UTC).';
COMMENT ON COLUMN ml.lifetime_values.lifetime_model_id IS 'The fit (identifier).';
COMMENT ON COLUMN ml.lifetime_values.probability_alive IS
'That the customer has not left for good (probability, 0 to 1).';
COMMENT ON COLUMN ml.lifetime_values.value_high_amount IS
'Upper bound of the 95 % interval of the expected value, in the currency of the shop.';
COMMENT ON COLUMN ml.lifetime_values.scored_at IS 'When it was computed (UTC).';
COMMENT ON COLUMN ml.lifetime_values.expected_purchases IS
'Days with a purchase within the horizon (days); not discounted.';

COMMENT ON COLUMN ml.score_runs.model_id IS 'The churn model (identifier).';
COMMENT ON COLUMN ml.score_runs.snapshot_at IS 'The snapshot that customers were scored at (UTC).';
COMMENT ON COLUMN ml.score_runs.customer_count IS 'Customers scored (customers).';
COMMENT ON COLUMN ml.score_runs.scored_at IS 'When they were scored (UTC).';

COMMENT ON COLUMN ml.customer_scores.customer_id IS 'The customer (identifier).';
COMMENT ON COLUMN ml.customer_scores.snapshot_at IS 'Features as known at this instant (UTC).';
COMMENT ON COLUMN ml.customer_scores.model_id IS 'The churn model (identifier).';
COMMENT ON COLUMN ml.customer_scores.model_version IS 'The number of its version in the model registry.';
COMMENT ON COLUMN ml.customer_scores.churn_probability IS
'That the customer places no order within the horizon (probability, 0 to 1).';
COMMENT ON COLUMN ml.customer_scores.value_low_amount IS
'Lower bound of the 95 % interval of value_amount, in the currency of the shop.';
COMMENT ON COLUMN ml.customer_scores.value_high_amount IS
'Upper bound of the 95 % interval of value_amount, in the currency of the shop.';
COMMENT ON COLUMN ml.customer_scores.scored_at IS 'When it was computed (UTC).';
COMMENT ON COLUMN ml.customer_scores.churn_decile IS
'10 is the tenth of the training scores that is most likely to leave (tenth, 1 to 10).';

COMMENT ON COLUMN ml.reference_distributions.model_id IS 'The churn model (identifier).';
COMMENT ON COLUMN ml.reference_distributions.training_set_id IS 'The training set that was counted (identifier).';
COMMENT ON COLUMN ml.reference_distributions.subject IS 'The input of the model, or churn_probability.';
COMMENT ON COLUMN ml.reference_distributions.counts IS 'Training rows per bin (rows); the last one is those with null.';
COMMENT ON COLUMN ml.reference_distributions.edges IS
'Of numbers (unit of the input): bin n holds what is above edge n - 1 and not above edge n. Null for texts.';

COMMENT ON COLUMN ml.monitoring.model_id IS 'The churn model (identifier).';
COMMENT ON COLUMN ml.monitoring.snapshot_at IS 'The snapshot whose scores were looked at (UTC).';
COMMENT ON COLUMN ml.monitoring.subject IS 'An input of the model, churn_probability, or reality.';
COMMENT ON COLUMN ml.monitoring.metric IS 'What was measured.';
COMMENT ON COLUMN ml.monitoring.value IS 'What it came to (unit of the metric).';
COMMENT ON COLUMN ml.monitoring.is_alert IS 'It passed the threshold, with enough rows to say so.';
COMMENT ON COLUMN ml.monitoring.row_count IS 'Rows that it was measured on (rows).';
COMMENT ON COLUMN ml.monitoring.measured_at IS 'When it was measured (UTC).';
COMMENT ON COLUMN ml.monitoring.reference IS
'The same in training, or on the test rows (unit of the metric); null where there is none.';
COMMENT ON COLUMN ml.monitoring.threshold IS
'What value must not pass, in which direction the metric says (unit of the metric).';

COMMENT ON COLUMN ml.recommendation_runs.model_id IS 'Digest of purchases and parameters (identifier).';
COMMENT ON COLUMN ml.recommendation_runs.parameters IS 'What it was built with (JSON object).';
COMMENT ON COLUMN ml.recommendation_runs.data_digest IS 'Digest of the purchases, in hexadecimal.';
COMMENT ON COLUMN ml.recommendation_runs.purchase_count IS 'Purchases in it (purchases).';
COMMENT ON COLUMN ml.recommendation_runs.customer_count IS 'Customers who made them (customers).';
COMMENT ON COLUMN ml.recommendation_runs.product_count IS 'Products that were bought (products).';
COMMENT ON COLUMN ml.recommendation_runs.status IS 'built, evaluated or published.';
COMMENT ON COLUMN ml.recommendation_runs.built_at IS 'When it was built (UTC).';
COMMENT ON COLUMN ml.recommendation_runs.evaluated_at IS 'When it was evaluated (UTC); null before.';
COMMENT ON COLUMN ml.recommendation_runs.published_at IS 'When its recommendations were published (UTC); null before.';

COMMENT ON COLUMN ml.recommendation_metrics.model_id IS 'The run (identifier).';
COMMENT ON COLUMN ml.recommendation_metrics.split IS
'validation: what choices were made on. test: what nothing was chosen on.';
COMMENT ON COLUMN ml.recommendation_metrics.method IS 'What recommended: one of the sources, the blend, or popularity.';
COMMENT ON COLUMN ml.recommendation_metrics.metric IS 'Name of the metric, at 10 recommendations.';
COMMENT ON COLUMN ml.recommendation_metrics.value IS 'What it came to (unit of the metric).';
COMMENT ON COLUMN ml.recommendation_metrics.high IS 'Upper bound of the 95 % bootstrap interval (unit of the metric).';
COMMENT ON COLUMN ml.recommendation_metrics.over_popularity_low IS
'Lower bound of the interval of over_popularity (unit of the metric).';
COMMENT ON COLUMN ml.recommendation_metrics.over_popularity_high IS
'Upper bound of the interval of over_popularity (unit of the metric).';
COMMENT ON COLUMN ml.recommendation_metrics.low IS
'Lower bound of the 95 % bootstrap interval by customer (unit of the metric). Null for coverage, which is no mean'
' over customers.';
COMMENT ON COLUMN ml.recommendation_metrics.over_popularity IS
'Value less that of popularity for the same customers (unit of the metric), with its interval by the same bootstrap.';

COMMENT ON COLUMN ml.recommendations.customer_id IS 'The customer (identifier).';
COMMENT ON COLUMN ml.recommendations.product_id IS 'The product (identifier).';
COMMENT ON COLUMN ml.recommendations.rank IS 'Place among the customer''s recommendations, 1 is the best (place).';
COMMENT ON COLUMN ml.recommendations.model_id IS 'The run that made it (identifier).';
COMMENT ON COLUMN ml.recommendations.computed_at IS 'When it was computed (UTC).';
COMMENT ON COLUMN ml.recommendations.score IS 'How much spoke for it (no unit): comparable within a customer only.';

COMMENT ON COLUMN ml.popular_products.product_id IS 'The product (identifier).';
COMMENT ON COLUMN ml.popular_products.rank IS 'Place among all products, 1 is the most popular (place).';
COMMENT ON COLUMN ml.popular_products.model_id IS 'The run that made it (identifier).';
COMMENT ON COLUMN ml.popular_products.computed_at IS 'When it was computed (UTC).';
COMMENT ON COLUMN ml.popular_products.score IS
'Purchases of the product, each halved for every half-life that has passed since (purchases).';

COMMENT ON COLUMN ml.bought_together.product_id IS 'The product (identifier).';
COMMENT ON COLUMN ml.bought_together.other_product_id IS 'What is bought with it (identifier).';
COMMENT ON COLUMN ml.bought_together.rank IS 'Place among what is bought with the product, 1 is the best (place).';
COMMENT ON COLUMN ml.bought_together.model_id IS 'The run that made it (identifier).';
COMMENT ON COLUMN ml.bought_together.computed_at IS 'When it was computed (UTC).';

COMMENT ON COLUMN ml.recommendable_products.product_id IS 'The product (identifier).';

COMMENT ON COLUMN serving.api_keys.created_at IS 'When it was made (UTC).';
COMMENT ON COLUMN serving.api_keys.burst IS 'How many requests it may make at once after a pause (requests).';
COMMENT ON COLUMN serving.api_keys.requests_per_second IS
'How many requests it may make in the long run, of each process that serves (requests a second).';

-- Tables of feature views that were made before `include.features` described all of their columns.
DO $$
DECLARE
    described record;
BEGIN
    FOR described IN
        SELECT tables.oid::regclass AS relation, attname, coalesce(stored.description, inherited.description) AS words
        FROM pg_class AS tables
        INNER JOIN pg_attribute ON attrelid = tables.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN (
            VALUES
            ('customer_id', 'The customer (identifier).'),
            ('product_id', 'The product (identifier).'),
            ('event_time', 'The snapshot (UTC): only facts strictly before it are in the row.'),
            ('available_time', 'When the row could be known (UTC).'),
            ('ingested_at', 'When the row was written (UTC).'),
            ('seq', 'Order of writing: the build that wrote the row, counted per version (number).'),
            ('is_tombstone', 'The key has no features at the snapshot after all; they are null.')
        ) AS stored (name, description) ON attname = stored.name
        LEFT JOIN LATERAL (
            SELECT col_description(history.oid, of_history.attnum) AS description
            FROM features.view_versions AS versions
            INNER JOIN pg_class AS history
                ON history.relname = format('%s_v%s', versions.view_name, versions.version)
                AND history.relnamespace = tables.relnamespace
            INNER JOIN pg_attribute AS of_history
                ON of_history.attrelid = history.oid AND of_history.attname = pg_attribute.attname
            WHERE versions.view_name = tables.relname
            ORDER BY versions.version DESC
            LIMIT 1
        ) AS inherited ON true
        WHERE
            tables.relnamespace = 'features'::regnamespace AND tables.relkind IN ('r', 'v')
            AND col_description(tables.oid, attnum) IS NULL
            AND coalesce(stored.description, inherited.description) IS NOT NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', described.relation, described.attname, described.words);
    END LOOP;
END
$$;
