-- The network: how the hosts that we ask are doing, and what became of our requests.

CREATE TABLE ops.circuits (
    host text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    failure_count integer NOT NULL CHECK (failure_count >= 0),
    opened_at timestamptz,
    probe_at timestamptz,
    reason text,
    changed_at timestamptz NOT NULL,
    CHECK ((state = 'closed') = (opened_at IS NULL)),
    CHECK ((state = 'closed') = (probe_at IS NULL))
);
COMMENT ON TABLE ops.circuits IS
'One row per host that was ever in trouble. An open circuit means that the host is not asked.';
COMMENT ON COLUMN ops.circuits.failure_count IS 'Tries that failed in a row, over all processes.';
COMMENT ON COLUMN ops.circuits.probe_at IS
'When the next request may try the host: the end of the rest while open, the end of the running try''s lease while half
open. It also names the running try.';

CREATE TABLE ops.request_totals (
    host text NOT NULL,
    source text NOT NULL,
    status text NOT NULL,
    request_count bigint NOT NULL,
    retry_count bigint NOT NULL,
    seconds_total double precision NOT NULL,
    bucket_counts bigint[] NOT NULL CHECK (cardinality(bucket_counts) = 11),
    PRIMARY KEY (host, source, status)
);
COMMENT ON TABLE ops.request_totals IS
'Requests since the beginning by host, source and outcome. Rows are added to and never go down.';
COMMENT ON COLUMN ops.request_totals.status IS
'The HTTP status, or what happened instead of one that could be used: timeout, connection_error, too_large,
unreadable_body, untrusted_certificate, redirects.';
COMMENT ON COLUMN ops.request_totals.retry_count IS 'How many of the requests were followed by another try.';
COMMENT ON COLUMN ops.request_totals.bucket_counts IS
'How many requests took up to 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60 seconds and longer; not cumulative.';
