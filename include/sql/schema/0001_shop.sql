-- The shop and its signals, what was rejected on the way in, and the accounts of every step.
-- Every time is timestamptz in UTC, every amount of money numeric beside its currency.
--
-- The last five columns of each table say where a row came from and when:
--   source              the connection it came through
--   source_updated_at   the version: when the source last changed it (or when it was observed)
--   content_digest      digest of the record as the source gave it; decides between equal versions
--   first_seen_at       when the platform first wrote the key
--   ingested_at         when the platform last wrote the row

CREATE SCHEMA shop;
CREATE SCHEMA signals;
CREATE SCHEMA quarantine;

CREATE TABLE shop.customers (
    customer_id bigint PRIMARY KEY,
    email text,
    first_name text,
    last_name text,
    country text,
    registered_at timestamptz,
    is_paying boolean NOT NULL,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL
);
COMMENT ON TABLE shop.customers IS
'One row per registered customer. The only place where e-mail and names stand in clear.';

CREATE TABLE shop.products (
    product_id bigint PRIMARY KEY,
    sku text,
    name text NOT NULL,
    price numeric(18, 4),
    currency text NOT NULL,
    categories jsonb NOT NULL,
    attributes jsonb NOT NULL,
    stock_status text,
    is_published boolean NOT NULL,
    created_at timestamptz,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL
);
COMMENT ON TABLE shop.products IS 'One row per product of the catalogue, published or not.';

CREATE TABLE shop.orders (
    order_id bigint PRIMARY KEY,
    order_number text NOT NULL,
    customer_id bigint,
    status text NOT NULL,
    currency text NOT NULL,
    total_amount numeric(18, 4) NOT NULL,
    discount_amount numeric(18, 4) NOT NULL,
    shipping_amount numeric(18, 4) NOT NULL,
    tax_amount numeric(18, 4) NOT NULL,
    country text,
    placed_at timestamptz NOT NULL,
    paid_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL
);
COMMENT ON TABLE shop.orders IS 'One row per order in its newest known version. customer_id is null for a guest.';
COMMENT ON COLUMN shop.orders.status IS
'Status of the newest version. Never a feature: it knows the future. Use the instants.';

CREATE TABLE shop.order_lines (
    order_id bigint NOT NULL,
    line_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('product', 'shipping', 'fee')),
    product_id bigint,
    sku text,
    name text NOT NULL,
    quantity bigint NOT NULL,
    unit_price numeric(18, 4) NOT NULL,
    total_amount numeric(18, 4) NOT NULL,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, line_id)
);
COMMENT ON TABLE shop.order_lines IS
'One row per line of an order in its newest version; amounts in the currency of the order.';

CREATE TABLE shop.refunds (
    refund_id bigint PRIMARY KEY,
    order_id bigint,
    customer_id bigint,
    refund_amount numeric(18, 4) NOT NULL,
    currency text NOT NULL,
    reason text,
    refunded_at timestamptz NOT NULL,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL
);
COMMENT ON TABLE shop.refunds IS
'One row per refund; refund_amount is positive. It may lack its order; customer_id is set when the refund '
'itself names one.';

CREATE TABLE shop.refund_lines (
    refund_id bigint NOT NULL,
    line_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('product', 'shipping', 'fee')),
    product_id bigint,
    sku text,
    name text NOT NULL,
    quantity bigint NOT NULL,
    total_amount numeric(18, 4) NOT NULL,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    PRIMARY KEY (refund_id, line_id)
);
COMMENT ON TABLE shop.refund_lines IS 'One row per line given back; quantity and total_amount are positive.';

CREATE TABLE shop.events (
    event_id text PRIMARY KEY,
    event_name text NOT NULL,
    customer_id bigint,
    anonymous_id text,
    product_id bigint,
    order_id bigint,
    properties jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL
);
COMMENT ON TABLE shop.events IS
'One row per web event in the Segment e-commerce vocabulary; customer_id is null before a login.';

CREATE TABLE signals.weather_daily (
    location text NOT NULL,
    weather_on date NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    temperature_max_celsius double precision,
    temperature_min_celsius double precision,
    precipitation_mm double precision,
    wind_speed_max_kmh double precision,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    PRIMARY KEY (location, weather_on)
);
COMMENT ON TABLE signals.weather_daily IS 'One row per place and day. Values the archive does not have yet are null.';

CREATE TABLE signals.stock_prices_daily (
    symbol text NOT NULL,
    traded_on date NOT NULL,
    open_price numeric(18, 4) NOT NULL,
    high_price numeric(18, 4) NOT NULL,
    low_price numeric(18, 4) NOT NULL,
    close_price numeric(18, 4) NOT NULL,
    currency text NOT NULL,
    volume bigint NOT NULL,
    source text NOT NULL,
    source_updated_at timestamptz NOT NULL,
    content_digest uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    PRIMARY KEY (symbol, traded_on)
);
COMMENT ON TABLE signals.stock_prices_daily IS 'One row per symbol and trading day.';

-- Merges JSON objects in the order given, later keys over earlier ones; null objects count as empty.
CREATE FUNCTION ops.jsonb_merge_step(merged jsonb, next_object jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN COALESCE(merged, '{}') || COALESCE(next_object, '{}');

CREATE AGGREGATE ops.jsonb_merge (jsonb)(sfunc = ops.jsonb_merge_step, stype = jsonb);

CREATE TABLE quarantine.rejected_rows (
    entity text NOT NULL,
    rule_id text NOT NULL,
    payload_digest uuid NOT NULL,
    occurrence integer NOT NULL,
    reason text NOT NULL,
    payload text NOT NULL,
    landing_file text NOT NULL,
    landing_position text NOT NULL,
    source text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    rejected_at timestamptz NOT NULL,
    PRIMARY KEY (entity, rule_id, payload_digest, occurrence)
);
COMMENT ON TABLE quarantine.rejected_rows IS
'One row per rejected record: why, what it was, and where it lies in landing. The same payload rejected twice'
' in one batch has occurrences 1 and 2; rejected again in another run it stays one row.';

CREATE TABLE ops.receipts (
    receipt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step text NOT NULL,
    entity text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    received bigint NOT NULL,
    passed bigint NOT NULL DEFAULT 0,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    stale bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    deleted bigint NOT NULL DEFAULT 0,
    oldest_event_at timestamptz,
    batch text,
    details jsonb NOT NULL DEFAULT '{}',
    seconds double precision NOT NULL,
    written_at timestamptz NOT NULL,
    CONSTRAINT receipt_closes CHECK (
        received = passed + inserted + updated + unchanged + stale + duplicate + quarantined
    )
);
COMMENT ON TABLE ops.receipts IS
'One row per step, entity and run: the closed account of one window. step is extract, validate, upsert, '
'build, publish, ... passed counts rows handed to the next step; deleted counts child rows that the newest '
'version of their parent no longer has, and stands outside the sum.';
COMMENT ON COLUMN ops.receipts.oldest_event_at IS
'The oldest event time among the rows inserted, updated or deleted: what features must repair from.';
CREATE INDEX receipts_by_entity ON ops.receipts (entity, step, receipt_id);

CREATE TABLE ops.quality_results (
    quality_result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    batch text NOT NULL,
    expectation text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('critical', 'warning')),
    is_success boolean NOT NULL,
    row_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    details jsonb NOT NULL,
    checked_at timestamptz NOT NULL
);
COMMENT ON TABLE ops.quality_results IS 'One row per expectation and validated batch.';
