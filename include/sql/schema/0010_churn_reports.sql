-- What the season of churn is estimated from, and the reports of the models.

ALTER TABLE ml.training_sets ADD COLUMN feature_versions jsonb;
COMMENT ON COLUMN ml.training_sets.feature_versions IS
'The version of each feature view that its rows are from, by name. Null for sets that were built before this was kept.';

CREATE TABLE ml.shop_weeks (
    training_set_id text NOT NULL REFERENCES ml.training_sets ON DELETE CASCADE,
    week_start_on date NOT NULL,
    customer_count bigint NOT NULL,
    buyer_count bigint NOT NULL,
    PRIMARY KEY (training_set_id, week_start_on)
);
COMMENT ON TABLE ml.shop_weeks IS
'One row per training set and week that ends at or before its test snapshot: how busy the customers were.';
COMMENT ON COLUMN ml.shop_weeks.customer_count IS 'Customers with a paid order in the 60 days before the week.';
COMMENT ON COLUMN ml.shop_weeks.buyer_count IS 'Those of them with a paid order in the week.';

CREATE TABLE ml.churn_backtests (
    model_id text NOT NULL REFERENCES ml.models ON DELETE CASCADE,
    candidate text NOT NULL,
    snapshot_on date NOT NULL,
    row_count bigint NOT NULL,
    churn_rate double precision NOT NULL,
    exposure double precision NOT NULL,
    auc double precision NOT NULL,
    log_loss double precision NOT NULL,
    calibration_error double precision NOT NULL,
    calibration_error_as_trained double precision NOT NULL,
    calibration_error_with_season double precision NOT NULL,
    mean_probability_as_trained double precision NOT NULL,
    mean_probability_with_season double precision NOT NULL,
    PRIMARY KEY (model_id, candidate, snapshot_on)
);
COMMENT ON TABLE ml.churn_backtests IS
'One row per model, candidate and snapshot before the test: how the candidate, trained on what was known by then, did.';
COMMENT ON COLUMN ml.churn_backtests.exposure IS
'How much busier the label window was expected to be than those trained on, from the weeks before the snapshot.';
COMMENT ON COLUMN ml.churn_backtests.calibration_error IS
'Expected calibration error of the probabilities as the model gives them: with season and calibration.';
COMMENT ON COLUMN ml.churn_backtests.calibration_error_as_trained IS 'The same without season and calibration.';
COMMENT ON COLUMN ml.churn_backtests.calibration_error_with_season IS 'The same with season, without calibration.';

CREATE TABLE ml.churn_reports (
    model_id text PRIMARY KEY REFERENCES ml.models ON DELETE CASCADE,
    report jsonb NOT NULL,
    page text NOT NULL,
    written_at timestamptz NOT NULL
);
COMMENT ON TABLE ml.churn_reports IS
'One row per evaluated churn model: how it did on its test rows, as JSON and as a page that needs nothing else.';
COMMENT ON COLUMN ml.churn_reports.report IS 'Keys are explained in docs/churn.md.';
COMMENT ON COLUMN ml.churn_reports.page IS 'The same as HTML with drawings inside; save it to a file and open it.';
