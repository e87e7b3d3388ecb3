-- One row per table or view of the warehouse (column_name is empty), and one per column of each.
WITH relations AS (
    SELECT
        pg_class.oid AS relation_oid,
        pg_namespace.nspname::text AS schema_name,
        pg_class.relname::text AS table_name,
        CASE pg_class.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
        nullif(pg_class.reltuples, -1)::bigint AS estimated_rows
    FROM pg_class
    INNER JOIN pg_namespace ON pg_class.relnamespace = pg_namespace.oid
    WHERE
        pg_class.relkind IN ('r', 'p', 'm', 'v')
        AND pg_namespace.nspname !~ '^pg_' AND pg_namespace.nspname <> 'information_schema'
),

built AS (
    SELECT
        view_name,
        version,
        max(event_time) AS data_until
    FROM features.built_snapshots
    WHERE NOT is_partial
    GROUP BY view_name, version
),

-- The tables of feature views, and the view that shows the history of the version applied last.
feature_tables AS (
    SELECT
        versions.view_name,
        versions.version,
        versions.definition,
        named.part,
        named.table_name,
        CASE named.part WHEN 'online' THEN versions.published_at ELSE versions.last_ingested_at END AS newest_at,
        CASE WHEN named.part <> 'online' THEN built.data_until END AS data_until
    FROM (
        SELECT
            *,
            version = max(version) OVER (PARTITION BY view_name) AS is_last
        FROM features.view_versions
    ) AS versions
    LEFT JOIN built ON versions.view_name = built.view_name AND versions.version = built.version
    CROSS JOIN
        LATERAL (
            VALUES
            ('history', format('%s_v%s', versions.view_name, versions.version)),
            ('online', format('%s_v%s_online', versions.view_name, versions.version)),
            ('shown', CASE WHEN versions.is_last THEN versions.view_name END)
        ) AS named (part, table_name)
    WHERE named.table_name IS NOT NULL
),

feature_units AS (
    SELECT
        feature_tables.table_name,
        features.described ->> 'name' AS column_name,
        features.described ->> 'unit' AS unit
    FROM feature_tables
    CROSS JOIN LATERAL jsonb_array_elements(feature_tables.definition -> 'features') AS features (described)
),

-- What was loaded or pushed, by the accounts of that: nothing is counted here. A push says nothing of a whole window.
loads AS (
    SELECT
        entity,
        sum(inserted) - sum(deleted) AS row_count,
        max(written_at) AS newest_at,
        max(window_end) FILTER (WHERE step = 'upsert') AS data_until
    FROM ops.receipts
    WHERE step IN ('upsert', 'push')
    GROUP BY entity
),

rejected AS (
    SELECT
        entity,
        count(*) AS open_rejected_count
    FROM quarantine.rejected_rows
    WHERE resolved_at IS NULL
    GROUP BY entity
),

-- One row per expectation that was looked at last: of an entity's newest batch, of a view's newest measured snapshot.
checks_of_entities AS (
    SELECT
        relations.relation_oid,
        results.details ->> 'column' AS column_name,
        results.checked_at,
        CASE
            WHEN NOT results.is_success THEN
                format(
                    '%s %s: %s of %s rows fail',
                    results.expectation, results.details, results.failed_count, results.row_count
                )
        END AS failed
    FROM (
        SELECT
            *,
            max(checked_at) OVER (PARTITION BY entity) AS newest_at
        FROM ops.quality_results
    ) AS results
    INNER JOIN relations
        ON results.entity = relations.table_name AND relations.schema_name IN ('shop', 'signals')
    WHERE results.checked_at = results.newest_at
),

measured AS (
    SELECT DISTINCT ON (view_name, version)
        view_name,
        version,
        event_time,
        max(measured_at) AS checked_at
    FROM features.statistics
    GROUP BY view_name, version, event_time
    ORDER BY view_name ASC, version ASC, event_time DESC
),

checks_of_features AS (
    SELECT
        relations.relation_oid,
        expected.told ->> 'feature' AS column_name,
        measured.checked_at,
        (
            SELECT string_agg(format('%s, and %s', failures.expectation, failures.found), '; ')
            FROM features.failed_expectations AS failures
            WHERE
                failures.view_name = feature_tables.view_name AND failures.version = feature_tables.version
                AND failures.event_time = measured.event_time
                AND CASE
                    WHEN expected.told ->> 'feature' IS NULL
                        THEN
                            failures.expectation LIKE 'the snapshot has %' OR failures.expectation LIKE 'no more than %'
                    ELSE starts_with(failures.expectation, (expected.told ->> 'feature') || ' is ')
                END
        ) AS failed
    FROM feature_tables
    INNER JOIN relations
        ON feature_tables.table_name = relations.table_name AND relations.schema_name = 'features'
    INNER JOIN measured ON feature_tables.view_name = measured.view_name AND feature_tables.version = measured.version
    CROSS JOIN LATERAL jsonb_array_elements(feature_tables.definition -> 'expectations') AS expected (told)
    WHERE feature_tables.part = 'history'
),

checks AS (
    SELECT
        relation_oid,
        coalesce(column_name, '') AS column_name,
        grouping(column_name) = 1 AS is_of_table,
        count(*) AS check_count,
        count(failed) AS failed_check_count,
        array_remove(array_agg(failed ORDER BY failed), NULL) AS failed_checks,
        max(checked_at) AS checked_at
    FROM (
        SELECT * FROM checks_of_entities
        UNION ALL
        SELECT * FROM checks_of_features
    ) AS all_checks
    GROUP BY GROUPING SETS ((relation_oid), (relation_oid, column_name))
),

lines_up AS (
    SELECT
        downstream AS full_name,
        array_agg(DISTINCT upstream ORDER BY upstream) AS upstream
    FROM analytics.lineage
    GROUP BY downstream
),

lines_down AS (
    SELECT
        upstream AS full_name,
        array_agg(DISTINCT downstream ORDER BY downstream) AS downstream
    FROM analytics.lineage
    GROUP BY upstream
),

described_tables AS (
    SELECT
        relations.schema_name,
        relations.table_name,
        '' AS column_name,
        relations.kind,
        0 AS column_position,
        '' AS data_type,
        NULL::boolean AS is_required,
        NULL::boolean AS is_key,
        obj_description(relations.relation_oid, 'pg_class') AS description,
        NULL AS unit,
        coalesce(feature_tables.definition ->> 'owner', owners.owner) AS owner,
        coalesce(states.row_count, loads.row_count, relations.estimated_rows) AS row_count,
        CASE
            WHEN states.row_count IS NOT NULL THEN 'mart_states'
            WHEN loads.row_count IS NOT NULL THEN 'receipts'
            WHEN relations.estimated_rows IS NOT NULL THEN 'estimate'
        END AS row_count_from,
        coalesce(states.refreshed_at, loads.newest_at, feature_tables.newest_at, written.newest_at) AS newest_at,
        CASE
            WHEN states.refreshed_at IS NOT NULL THEN 'mart_states'
            WHEN loads.newest_at IS NOT NULL THEN 'receipts'
            WHEN feature_tables.newest_at IS NOT NULL THEN 'view_versions'
            WHEN written.newest_at IS NOT NULL THEN written.column_name
        END AS newest_from,
        coalesce(states.data_until, loads.data_until, feature_tables.data_until) AS data_until,
        coalesce(lines_up.upstream, '{}') AS upstream,
        coalesce(lines_down.downstream, '{}') AS downstream,
        coalesce(rejected.open_rejected_count, 0) AS open_rejected_count,
        relations.relation_oid
    FROM relations
    LEFT JOIN analytics.owners ON relations.schema_name = owners.schema_name
    LEFT JOIN feature_tables
        ON relations.schema_name = 'features' AND relations.table_name = feature_tables.table_name
    LEFT JOIN analytics.mart_states AS states
        ON
            relations.schema_name = 'analytics' AND relations.table_name = states.mart
            AND states.mart <> 'data_inventory'
    LEFT JOIN loads ON relations.schema_name IN ('shop', 'signals') AND relations.table_name = loads.entity
    LEFT JOIN rejected ON relations.schema_name IN ('shop', 'signals') AND relations.table_name = rejected.entity
    LEFT JOIN LATERAL (
        SELECT
            newest.newest_at,
            newest.column_name
        FROM analytics.newest_write(relations.relation_oid) AS newest
        WHERE
            relations.kind = 'table' AND states.mart IS NULL AND loads.entity IS NULL
            AND feature_tables.view_name IS NULL
    ) AS written ON TRUE
    LEFT JOIN lines_up ON format('%s.%s', relations.schema_name, relations.table_name) = lines_up.full_name
    LEFT JOIN lines_down ON format('%s.%s', relations.schema_name, relations.table_name) = lines_down.full_name
),

columns AS (
    SELECT
        relations.relation_oid,
        relations.schema_name,
        relations.table_name,
        pg_attribute.attname::text AS column_name,
        pg_attribute.attnum::integer AS column_position,
        pg_attribute.attnotnull AS is_required,
        format_type(pg_attribute.atttypid, NULL) ~ '^(smallint|integer|bigint|numeric|double precision|real)'
            AS is_number,
        format_type(pg_attribute.atttypid, pg_attribute.atttypmod) AS data_type,
        col_description(relations.relation_oid, pg_attribute.attnum) AS description,
        bool_or(pg_attribute.attname = 'currency') OVER (PARTITION BY relations.relation_oid) AS has_currency,
        exists(
            SELECT FROM pg_index
            WHERE
                pg_index.indrelid = relations.relation_oid AND pg_index.indisunique AND pg_index.indpred IS NULL
                AND pg_attribute.attnum = any(pg_index.indkey)
        ) AS is_key
    FROM relations
    INNER JOIN pg_attribute ON relations.relation_oid = pg_attribute.attrelid
    WHERE pg_attribute.attnum > 0 AND NOT pg_attribute.attisdropped
),

-- What the names of numbers say of their unit; the first that fits counts. The currency is told apart below.
words_of_names (place, pattern, unit) AS (
    VALUES
    (1, '_id$', 'identifier'),
    (2, '^(products|antecedent|consequent)$', 'identifiers'),
    (3, '(^|_)(share|support|confidence|gini)(_|$)', 'share, 1 is 100 %'),
    (4, '(^|_)(probability|[pq]_value)(_|$)', 'probability, 0 to 1'),
    (5, '(^|_)(pearson|spearman|correlation)$', 'correlation, -1 to 1'),
    (6, '(^|_)(amounts?|price|net|gross)(_|$)', 'currency'),
    (7, '(^|_)days(_|$)', 'days'),
    (8, '(^|_)months(_|$)', 'months'),
    (9, '(^|_)seconds(_|$)', 'seconds'),
    (10, '(^|_)counts?(_|$)', 'count'),
    (11, '(^|_)units(_|$)', 'units sold'),
    (12, '(^|_)(rank|step_number)$', 'place, 1 is first'),
    (13, '(^|_)(lift|conviction|index)$', 'ratio'),
    (14, '(^|_)z_score$', 'standard deviations'),
    (15, '(^|_)(recency|frequency|monetary)_score$', 'score, 1 to 5'),
    (16, '(^|_)(skewness|leverage)$', 'no unit')
),

units_of_numbers AS (
    SELECT DISTINCT ON (columns.relation_oid, columns.column_name)
        columns.relation_oid,
        columns.column_name,
        CASE
            WHEN words_of_names.unit <> 'currency' THEN words_of_names.unit
            WHEN columns.description ~ 'currency of the \w+'
                THEN
                    substring(columns.description FROM 'currency of the \w+')
            WHEN columns.has_currency THEN 'currency of the row'
            ELSE 'currency of the shop'
        END AS unit
    FROM columns
    INNER JOIN words_of_names ON columns.column_name ~ words_of_names.pattern
    WHERE columns.is_number
    ORDER BY columns.relation_oid ASC, columns.column_name ASC, words_of_names.place ASC
),

described_columns AS (
    SELECT
        columns.*,
        coalesce(
            feature_units.unit,
            units_of_numbers.unit,
            CASE
                WHEN columns.data_type ~ '^timestamp with time zone' THEN 'instant, UTC'
                WHEN columns.data_type ~ '^date' THEN 'day'
                WHEN columns.data_type ~ '^boolean' THEN 'true or false'
                WHEN columns.is_number THEN substring(columns.description FROM '\(([^)]+)\)')
            END
        ) AS unit
    FROM columns
    LEFT JOIN units_of_numbers
        ON
            columns.relation_oid = units_of_numbers.relation_oid
            AND columns.column_name = units_of_numbers.column_name
    LEFT JOIN feature_units
        ON
            columns.schema_name = 'features' AND columns.table_name = feature_units.table_name
            AND columns.column_name = feature_units.column_name
),

everything AS (
    SELECT * FROM described_tables
    UNION ALL
    SELECT
        schema_name,
        table_name,
        column_name,
        'column' AS kind,
        column_position,
        data_type,
        is_required,
        is_key,
        description,
        unit,
        NULL AS owner,
        NULL AS row_count,
        NULL AS row_count_from,
        NULL AS newest_at,
        NULL AS newest_from,
        NULL AS data_until,
        '{}' AS upstream,
        '{}' AS downstream,
        0 AS open_rejected_count,
        relation_oid
    FROM described_columns
),

-- The catalogue has the rows that come out here, and is as new as the newest that it knows of: what is noted of it as a
-- mart is of the time before.
itself AS (
    SELECT
        'analytics' AS schema_name,
        'data_inventory' AS table_name,
        '' AS column_name,
        'mart_states' AS told_by,
        count(*) AS row_count,
        max(newest_at) AS newest_at
    FROM everything
)

SELECT
    everything.schema_name,
    everything.table_name,
    everything.column_name,
    everything.kind,
    everything.column_position,
    everything.data_type,
    everything.is_required,
    everything.is_key,
    everything.description,
    everything.unit,
    everything.owner,
    everything.data_until,
    everything.upstream,
    everything.downstream,
    checks.checked_at,
    everything.open_rejected_count,
    coalesce(itself.row_count, everything.row_count) AS row_count,
    coalesce(itself.told_by, everything.row_count_from) AS row_count_from,
    coalesce(itself.newest_at, everything.newest_at) AS newest_at,
    coalesce(itself.told_by, everything.newest_from) AS newest_from,
    coalesce(checks.check_count, 0) AS check_count,
    coalesce(checks.failed_check_count, 0) AS failed_check_count,
    coalesce(checks.failed_checks, '{}') AS failed_checks
FROM everything
LEFT JOIN itself
    ON
        everything.schema_name = itself.schema_name AND everything.table_name = itself.table_name
        AND everything.column_name = itself.column_name
LEFT JOIN checks
    ON
        everything.relation_oid = checks.relation_oid AND everything.column_name = checks.column_name
        AND (everything.column_position = 0) = checks.is_of_table
