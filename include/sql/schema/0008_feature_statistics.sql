-- What the features of each snapshot looked like, and how long the store keeps which snapshots.

CREATE TABLE features.statistics (
    view_name text NOT NULL,
    version integer NOT NULL,
    event_time timestamptz NOT NULL,
    feature text NOT NULL,
    row_count bigint NOT NULL,
    null_count bigint NOT NULL,
    distinct_count bigint NOT NULL,
    minimum double precision,
    maximum double precision,
    mean double precision,
    quantiles double precision[],
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (view_name, version, event_time, feature),
    FOREIGN KEY (view_name, version) REFERENCES features.view_versions
);
COMMENT ON TABLE features.statistics IS
'One row per version of a view, snapshot and feature, over the newest versions of the rows. quantiles are values that '
'occur, at 1, 5, 25, 50, 75, 95 and 99 percent; they and minimum, maximum and mean are null for text.';

CREATE TABLE features.failed_expectations (
    view_name text NOT NULL,
    version integer NOT NULL,
    event_time timestamptz NOT NULL,
    expectation text NOT NULL,
    found text NOT NULL,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (view_name, version, event_time, expectation),
    FOREIGN KEY (view_name, version) REFERENCES features.view_versions
);
COMMENT ON TABLE features.failed_expectations IS
'One row per expectation that did not hold of a snapshot when it was last checked; the view was not published.';
