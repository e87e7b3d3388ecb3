-- Models: the data they were trained on, what came out, how they did, and which one is in use.

CREATE SCHEMA ml;

CREATE TABLE ml.training_sets (
    training_set_id text PRIMARY KEY,
    model_name text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    test_at timestamptz NOT NULL,
    training_snapshot_count integer NOT NULL,
    training_row_count bigint NOT NULL,
    test_row_count bigint NOT NULL,
    parameters jsonb NOT NULL,  -- noqa: RF04
    data_digest text NOT NULL,
    file_path text NOT NULL,
    built_at timestamptz NOT NULL
);
COMMENT ON TABLE ml.training_sets IS
'One row per training set, named by the digest of data and parameters. file_path is relative to the storage folder.';

CREATE TABLE ml.models (
    model_id text PRIMARY KEY,
    name text NOT NULL,  -- noqa: RF04
    training_set_id text NOT NULL REFERENCES ml.training_sets,
    trained_at timestamptz NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    parameters jsonb NOT NULL,  -- noqa: RF04
    data_digest text NOT NULL,
    training_row_count bigint NOT NULL,
    libraries jsonb NOT NULL,
    artefact bytea NOT NULL,
    artefact_digest text NOT NULL,
    metrics jsonb,
    baselines jsonb,
    evaluated_at timestamptz,
    status text NOT NULL CHECK (status IN ('trained', 'evaluated', 'champion', 'refused', 'retired')),
    status_reason text NOT NULL,
    status_at timestamptz NOT NULL
);
COMMENT ON TABLE ml.models IS
'One row per model, named by the digest of its training set and libraries. artefact is a joblib file of our own.';

CREATE TABLE ml.evaluations (
    model_id text NOT NULL REFERENCES ml.models,
    scorer text NOT NULL,
    metric text NOT NULL,
    value double precision NOT NULL,  -- noqa: RF04
    PRIMARY KEY (model_id, scorer, metric)
);
COMMENT ON TABLE ml.evaluations IS
'One row per model, scorer and metric, all on the test rows. Scorers: the model, its baselines, the champion in use.';

CREATE TABLE ml.calibration_bins (
    model_id text NOT NULL REFERENCES ml.models,
    scorer text NOT NULL,
    bin integer NOT NULL CHECK (bin BETWEEN 1 AND 10),
    row_count bigint NOT NULL,
    mean_probability double precision NOT NULL,
    observed_rate double precision NOT NULL,
    PRIMARY KEY (model_id, scorer, bin)
);
COMMENT ON TABLE ml.calibration_bins IS
'One row per model, scorer and tenth of the probability scale with rows in it: what was foretold and what came.';

CREATE TABLE ml.aliases (
    alias text PRIMARY KEY,  -- noqa: RF04
    model_id text NOT NULL REFERENCES ml.models,
    set_at timestamptz NOT NULL
);
COMMENT ON TABLE ml.aliases IS 'One row per name for a model in use, such as churn_champion.';

CREATE TABLE ml.alias_changes (
    alias_change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alias text NOT NULL,  -- noqa: RF04
    model_id text NOT NULL REFERENCES ml.models,
    previous_model_id text REFERENCES ml.models,
    reason text NOT NULL,
    set_at timestamptz NOT NULL
);
COMMENT ON TABLE ml.alias_changes IS 'One row per time that an alias was given to a model, with the reason in words.';
