-- Quarantine that people can work with: where each row came from last, and whether it is still to be dealt with.
-- And what is known of the sources' fields, to tell when a source changes what it sends.

ALTER TABLE quarantine.rejected_rows DROP CONSTRAINT rejected_rows_pkey;
ALTER TABLE quarantine.rejected_rows
ADD COLUMN row_digest uuid,
ADD COLUMN batch text,
ADD COLUMN run_id text NOT NULL DEFAULT '',
ADD COLUMN last_rejected_at timestamptz,
ADD COLUMN resolved_at timestamptz,
ADD COLUMN resolution text CHECK (resolution IN ('loaded', 'superseded')),
ADD COLUMN resolved_by_receipt_id bigint;

-- One row per record, whatever rule it broke: what stood under two rules stands twice, as two occurrences.
UPDATE quarantine.rejected_rows
SET
    row_digest = rejected_rows.payload_digest,
    batch = regexp_replace(rejected_rows.landing_file, '/[^/]*$', ''),
    last_rejected_at = rejected_rows.rejected_at,
    occurrence = numbered.occurrence
FROM (
    SELECT
        entity,
        rule_id,
        payload_digest,
        occurrence AS old_occurrence,
        row_number() OVER (
            PARTITION BY entity, payload_digest ORDER BY rejected_at, rule_id, occurrence
        ) AS occurrence
    FROM quarantine.rejected_rows
) AS numbered
WHERE
    rejected_rows.entity = numbered.entity
    AND rejected_rows.rule_id = numbered.rule_id
    AND rejected_rows.payload_digest = numbered.payload_digest
    AND rejected_rows.occurrence = numbered.old_occurrence;

ALTER TABLE quarantine.rejected_rows
ALTER COLUMN row_digest SET NOT NULL,
ALTER COLUMN batch SET NOT NULL,
ALTER COLUMN last_rejected_at SET NOT NULL,
ADD PRIMARY KEY (entity, payload_digest, row_digest, occurrence),
ADD CHECK ((resolved_at IS NULL) = (resolution IS NULL));

CREATE INDEX rejected_rows_open ON quarantine.rejected_rows (entity, rule_id, window_start) WHERE resolved_at IS NULL;
CREATE INDEX rejected_rows_by_row ON quarantine.rejected_rows (row_digest);

COMMENT ON TABLE quarantine.rejected_rows IS
'One row per rejected record: why, what it was, and where it lies in landing. The same record rejected twice in one'
' batch has occurrences 1 and 2; rejected again in another run it stays one row, with the newest reason and origin.'
' It is open until resolved_at says that it was loaded after all, or that a newer version has taken its place.';
COMMENT ON COLUMN quarantine.rejected_rows.payload_digest IS
'MD5 of the raw record as it came; payload shows it with personal data masked.';
COMMENT ON COLUMN quarantine.rejected_rows.row_digest IS
'MD5 of the whole raw row that the record is, or is a line of, and of what its page said beside it.';
COMMENT ON COLUMN quarantine.rejected_rows.run_id IS 'The run that rejected it last, as Airflow names it.';
COMMENT ON COLUMN quarantine.rejected_rows.resolved_by_receipt_id IS
'The upsert in ops.receipts that dealt with it.';

CREATE TABLE ops.source_fields (
    source text NOT NULL,
    entity text NOT NULL,
    field text NOT NULL,
    kinds text[] NOT NULL,
    is_added boolean NOT NULL,
    present_count bigint NOT NULL,
    possible_count bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (source, entity, field)
);
COMMENT ON TABLE ops.source_fields IS
'One row per field that a source is known to send, as a path such as billing.country or line_items[].total: the kinds'
' of value that it first had, in how many of the rows looked at it was, of how many that could have had it. is_added'
' says that the first rows of the source lacked it. Delete a row to have its field forgotten.';

CREATE TABLE ops.schema_changes (
    source text NOT NULL,
    entity text NOT NULL,
    field text NOT NULL,
    change text NOT NULL CHECK (change IN ('added', 'missing', 'retyped')),
    kind text NOT NULL,
    detail text NOT NULL,
    example text NOT NULL,
    row_share double precision NOT NULL,
    batch text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (source, entity, field, change, kind)
);
COMMENT ON TABLE ops.schema_changes IS
'One row per change of what a source sends, from its first to its last sighting: a field that came, one that every'
' row used to have and some lack, or a value of another kind than ever before. row_share is the share of the rows'
' looked at that showed it last, batch where that was; example is one of its values, personal data masked.';
