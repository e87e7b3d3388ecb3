-- Feature views: for each a history of every version of every row, and the newest row of each key for online reads.
-- Semantics of the time columns, in both:
--   event_time      the snapshot: only facts strictly before it are in the row
--   available_time  when the row could be known: event_time + the view's lag, or ingested_at for a correction
--   ingested_at     when it was written
--   seq             order of writing: the number of the build that wrote it, counted per view
-- A tombstone (is_tombstone) says that the key has no features at that snapshot after all; its features are null.

CREATE SCHEMA features;

CREATE TABLE features.view_states (
    view_name text PRIMARY KEY,
    last_seq bigint NOT NULL DEFAULT 0,
    last_ingested_at timestamptz,
    published_seq bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE features.view_states IS
'One row per feature view: the last build that wrote rows, and the last one that was published online.';

CREATE TABLE features.built_snapshots (
    view_name text NOT NULL,
    event_time timestamptz NOT NULL,
    PRIMARY KEY (view_name, event_time)
);
COMMENT ON TABLE features.built_snapshots IS
'One row per feature view and snapshot that was built, also when nobody had features then.';

CREATE TABLE features.consumed_receipts (
    view_name text NOT NULL,
    receipt_id bigint NOT NULL,
    PRIMARY KEY (view_name, receipt_id)
);
COMMENT ON TABLE features.consumed_receipts IS
'One row per feature view and upsert receipt whose changes are in the view''s history.';

CREATE TABLE features.customer_rfm (
    customer_id bigint NOT NULL,
    event_time timestamptz NOT NULL,
    available_time timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    seq bigint NOT NULL,
    is_tombstone boolean NOT NULL,
    recency_days double precision,
    frequency bigint,
    monetary_amount numeric(18, 4),
    recency_score smallint,
    frequency_score smallint,
    monetary_score smallint,
    segment text
);
COMMENT ON TABLE features.customer_rfm IS
'History: each version of recency, frequency and monetary value per customer and snapshot. Rows are never changed.';
CREATE UNIQUE INDEX customer_rfm_point_in_time ON features.customer_rfm (
    customer_id, event_time DESC, available_time DESC, seq DESC
);
CREATE INDEX customer_rfm_by_snapshot ON features.customer_rfm (event_time);
CREATE INDEX customer_rfm_by_writing ON features.customer_rfm USING brin (seq) WITH (
    pages_per_range = 32, autosummarize = on
);

CREATE TABLE features.customer_rfm_online (
    customer_id bigint PRIMARY KEY,
    event_time timestamptz NOT NULL,
    available_time timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    seq bigint NOT NULL,
    is_tombstone boolean NOT NULL,
    recency_days double precision,
    frequency bigint,
    monetary_amount numeric(18, 4),
    recency_score smallint,
    frequency_score smallint,
    monetary_score smallint,
    segment text
);
COMMENT ON TABLE features.customer_rfm_online IS
'Online: the greatest (event_time, available_time, seq) of each customer in recency, frequency and monetary value.';

CREATE TABLE features.customer_activity (
    customer_id bigint NOT NULL,
    event_time timestamptz NOT NULL,
    available_time timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    seq bigint NOT NULL,
    is_tombstone boolean NOT NULL,
    order_count_30d integer,
    order_count_90d integer,
    order_count_365d integer,
    revenue_amount_30d numeric(18, 4),
    revenue_amount_90d numeric(18, 4),
    revenue_amount_365d numeric(18, 4),
    refund_amount_30d numeric(18, 4),
    refund_amount_90d numeric(18, 4),
    refund_amount_365d numeric(18, 4),
    distinct_product_count_30d integer,
    distinct_product_count_90d integer,
    distinct_product_count_365d integer,
    event_count_30d integer,
    event_count_90d integer,
    event_count_365d integer,
    gap_mean_days_30d double precision,
    gap_mean_days_90d double precision,
    gap_mean_days_365d double precision,
    gap_deviation_days_30d double precision,
    gap_deviation_days_90d double precision,
    gap_deviation_days_365d double precision,
    typical_gap_days double precision,
    tenure_days double precision,
    recency_over_typical_gap double precision
);
COMMENT ON TABLE features.customer_activity IS
'History: each version of activity and rhythm per customer and snapshot. Rows are never changed.';
CREATE UNIQUE INDEX customer_activity_point_in_time ON features.customer_activity (
    customer_id, event_time DESC, available_time DESC, seq DESC
);
CREATE INDEX customer_activity_by_snapshot ON features.customer_activity (event_time);
CREATE INDEX customer_activity_by_writing ON features.customer_activity USING brin (seq) WITH (
    pages_per_range = 32, autosummarize = on
);

CREATE TABLE features.customer_activity_online (
    customer_id bigint PRIMARY KEY,
    event_time timestamptz NOT NULL,
    available_time timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    seq bigint NOT NULL,
    is_tombstone boolean NOT NULL,
    order_count_30d integer,
    order_count_90d integer,
    order_count_365d integer,
    revenue_amount_30d numeric(18, 4),
    revenue_amount_90d numeric(18, 4),
    revenue_amount_365d numeric(18, 4),
    refund_amount_30d numeric(18, 4),
    refund_amount_90d numeric(18, 4),
    refund_amount_365d numeric(18, 4),
    distinct_product_count_30d integer,
    distinct_product_count_90d integer,
    distinct_product_count_365d integer,
    event_count_30d integer,
    event_count_90d integer,
    event_count_365d integer,
    gap_mean_days_30d double precision,
    gap_mean_days_90d double precision,
    gap_mean_days_365d double precision,
    gap_deviation_days_30d double precision,
    gap_deviation_days_90d double precision,
    gap_deviation_days_365d double precision,
    typical_gap_days double precision,
    tenure_days double precision,
    recency_over_typical_gap double precision
);
COMMENT ON TABLE features.customer_activity_online IS
'Online: the greatest (event_time, available_time, seq) of each customer in activity and rhythm.';
