-- Scores of every customer at every snapshot, and how they and what they are made of compare with training and reality.

CREATE TABLE ml.score_runs (
    model_id text NOT NULL,
    snapshot_at timestamptz NOT NULL,
    model_version text NOT NULL,
    horizon_days integer NOT NULL,
    lifetime_model_id text REFERENCES ml.lifetime_models,
    customer_count bigint NOT NULL,
    scored_at timestamptz NOT NULL,
    PRIMARY KEY (model_id, snapshot_at)
);
COMMENT ON TABLE ml.score_runs IS 'One row per churn model and snapshot that customers were scored at.';
COMMENT ON COLUMN ml.score_runs.model_version IS 'The number of the version in the model registry.';
COMMENT ON COLUMN ml.score_runs.horizon_days IS 'The probability is that of no order within so many days.';
COMMENT ON COLUMN ml.score_runs.lifetime_model_id IS 'The fit that the values are from; null where there was none.';

CREATE TABLE ml.customer_scores (
    customer_id bigint NOT NULL,
    snapshot_at timestamptz NOT NULL,
    model_id text NOT NULL,
    model_version text NOT NULL,
    churn_probability double precision NOT NULL,
    churn_decile smallint NOT NULL CHECK (churn_decile BETWEEN 1 AND 10),
    reasons jsonb NOT NULL,
    value_amount double precision,
    value_low_amount double precision,
    value_high_amount double precision,
    scored_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, snapshot_at, model_id)
);
COMMENT ON TABLE ml.customer_scores IS
'One row per customer, snapshot and churn model: by the features as known at the snapshot. Earlier ones are kept.';
COMMENT ON COLUMN ml.customer_scores.churn_decile IS
'10 is the tenth of the training scores that is most likely to leave.';
COMMENT ON COLUMN ml.customer_scores.reasons IS
'A list of {feature, value, effect, text}, the strongest first; effect is how far it moved the log-odds of churn.';
COMMENT ON COLUMN ml.customer_scores.value_amount IS
'Discounted purchases to come, in the currency of the shop, with its 95 % interval, as in ml.lifetime_values; '
'null where there was no fit.';
CREATE INDEX customer_scores_by_snapshot ON ml.customer_scores (snapshot_at, model_id);

CREATE TABLE ml.reference_distributions (
    model_id text NOT NULL,
    training_set_id text NOT NULL REFERENCES ml.training_sets,
    subject text NOT NULL,
    edges double precision[],
    categories text[],
    counts bigint[] NOT NULL,
    PRIMARY KEY (model_id, subject)
);
COMMENT ON TABLE ml.reference_distributions IS
'One row per churn model and subject (an input, or churn_probability): how it lay in the training rows.';
COMMENT ON COLUMN ml.reference_distributions.edges IS
'Of numbers: bin n holds what is above edge n - 1 and not above edge n. Null for texts.';
COMMENT ON COLUMN ml.reference_distributions.categories IS 'Of texts: one bin each, and one for all others.';
COMMENT ON COLUMN ml.reference_distributions.counts IS 'Training rows per bin; the last one is those with null.';

CREATE TABLE ml.monitoring (
    model_id text NOT NULL,
    snapshot_at timestamptz NOT NULL,
    subject text NOT NULL,
    metric text NOT NULL,
    value double precision NOT NULL,  -- noqa: RF04
    reference double precision,
    threshold double precision,
    is_alert boolean NOT NULL,
    row_count bigint NOT NULL,
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (model_id, snapshot_at, subject, metric)
);
COMMENT ON TABLE ml.monitoring IS
'One row per churn model, snapshot, subject and metric: an input or churn_probability beside training, and reality '
'(the outcomes, once the horizon is over) beside the test rows.';
COMMENT ON COLUMN ml.monitoring.reference IS 'The same in training, or on the test rows; null where there is none.';
COMMENT ON COLUMN ml.monitoring.threshold IS 'What value must not pass, in which direction the metric says.';
CREATE INDEX monitoring_by_snapshot ON ml.monitoring (snapshot_at);
