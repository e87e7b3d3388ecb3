-- One row per day, kind of funnel, order of steps, source, device and step: how many came there from a product's view.
-- Steps: Product Viewed, Product Added, Checkout Started, Order Completed; at one instant they come in this order.
-- A session is the events of the session that they name, or else of one visitor without a pause of 30 minutes (of 24
-- hours where it is named). It belongs to the day on which it begins, also where it goes on after midnight, and counts
-- for 24 hours. A customer counts on each day on which it views a product, for 7 days from the view, by the events that
-- name the customer.
-- An attempt is a view and the earliest steps after it: loose, if anything may lie between them, strict, if no other
-- step may (the same one again may). Of several attempts of a session, or of a customer's on one day, the one that
-- comes furthest counts, of those the earliest; its view says source and device.
-- So a day's rows are made of events from 24 hours before it until 7 days after it.
WITH steps (step_number, step) AS (
    VALUES (1, 'Product Viewed'), (2, 'Product Added'), (3, 'Checkout Started'), (4, 'Order Completed')
),

-- A moment is an instant in microseconds times 8 and the number of the step: one order for all events.
known_events AS MATERIALIZED (
    SELECT
        steps.step_number,
        events.customer_id,
        events.occurred_at,
        (date_part('epoch', events.occurred_at) * 1000000)::BIGINT * 8 + coalesce(steps.step_number, 0) AS moment,
        coalesce(
            'session ' || nullif(events.properties #>> '{context,sessionId}', ''),
            'visitor ' || nullif(events.anonymous_id, ''),
            'customer ' || events.customer_id,
            'event ' || events.event_id
        ) COLLATE "C" AS visit_key,  -- noqa: RF02
        CASE
            WHEN steps.step_number = 1
                THEN coalesce(nullif(events.properties #>> '{context,campaign,source}', ''), 'direct')
        END AS source,
        CASE
            WHEN steps.step_number = 1
                THEN coalesce(nullif(events.properties #>> '{context,device,type}', ''), 'unknown')
        END AS device
    FROM shop.events
    LEFT JOIN steps ON events.event_name = steps.step
    WHERE
        events.occurred_at >= analytics.from_instant() - INTERVAL '24 hours'
        AND events.occurred_at < analytics.until_instant() + INTERVAL '168 hours'
),

-- The keys of visits begin alike, and text is slow to tell apart by its end: their hashes come first in each order.
visit_events AS (
    SELECT
        *,
        lag(moment) OVER visit AS moment_before
    FROM (SELECT *, hashtextextended(visit_key, 0) AS visit_hash FROM known_events) AS hashed  -- noqa: LT09
    WINDOW visit AS (PARTITION BY visit_hash, visit_key ORDER BY moment, source, device)
),

session_events AS (
    SELECT
        *,
        max(occurred_at) FILTER (WHERE goes_on IS NOT TRUE) OVER visit AS began
    FROM (
        SELECT
            *,
            (moment >> 3) - (moment_before >> 3)
            < CASE WHEN visit_key LIKE 'session %' THEN 86400000000 ELSE 1800000000 END AS goes_on
        FROM visit_events
    ) AS parted
    WINDOW visit AS (
        PARTITION BY visit_hash, visit_key ORDER BY moment, source, device ROWS UNBOUNDED PRECEDING
    )
),

-- Whose steps they are: a session's, by its key and beginning, or a customer's. A view of a session right after another
-- one comes no further than that, and is left out; one of a customer may, whose time runs from each view.
unit_events AS (
    SELECT
        visit_hash AS unit_hash,
        visit_key AS unit_key,
        began,
        began AS counts_from,
        86400000000 AS longest,
        moment,
        step_number,
        source,
        device
    FROM session_events
    WHERE step_number > 1 OR (step_number = 1 AND (goes_on AND moment_before & 7 = 1) IS NOT TRUE)
    UNION ALL
    SELECT
        customer_id AS unit_hash,
        NULL AS unit_key,
        NULL AS began,
        occurred_at AS counts_from,
        604800000000 AS longest,
        moment,
        step_number,
        source,
        device
    FROM known_events
    WHERE step_number IS NOT NULL AND customer_id IS NOT NULL
),

-- Read from the last event to the first, the smallest moment so far is that of the next event.
next_events AS (
    SELECT
        *,
        min(moment) FILTER (WHERE step_number = 1) OVER backwards AS view_moment,
        min(moment) FILTER (WHERE step_number = 2) OVER backwards AS add_moment,
        min(moment) FILTER (WHERE step_number = 3) OVER backwards AS checkout_moment,
        min(moment) FILTER (WHERE step_number = 4) OVER backwards AS order_moment
    FROM unit_events
    WINDOW backwards AS (PARTITION BY unit_hash, began, unit_key ORDER BY moment DESC ROWS UNBOUNDED PRECEDING)
),

-- After the next checkout: the next order, and the next step that a strict order may not have before it. The later a
-- checkout, the later is what follows it; least() passes over nulls: what never comes is no hindrance.
after_checkouts AS (
    SELECT
        *,
        min(order_moment) FILTER (WHERE step_number = 3) OVER backwards AS checkout_order,
        min(least(view_moment, add_moment)) FILTER (WHERE step_number = 3) OVER backwards AS checkout_other
    FROM next_events
    WHERE step_number < 4
    WINDOW backwards AS (PARTITION BY unit_hash, began, unit_key ORDER BY moment DESC ROWS UNBOUNDED PRECEDING)
),

-- After the next product added: the same about the next checkout, and about the order after that.
after_adds AS (
    SELECT
        *,
        min(checkout_moment) FILTER (WHERE step_number = 2) OVER backwards AS add_checkout,
        min(least(view_moment, order_moment)) FILTER (WHERE step_number = 2) OVER backwards AS add_other,
        min(checkout_order) FILTER (WHERE step_number = 2) OVER backwards AS add_checkout_order,
        min(checkout_other) FILTER (WHERE step_number = 2) OVER backwards AS add_checkout_other
    FROM after_checkouts
    WHERE step_number < 3
    WINDOW backwards AS (PARTITION BY unit_hash, began, unit_key ORDER BY moment DESC ROWS UNBOUNDED PRECEDING)
),

-- From here on times since the view.
attempts AS (
    SELECT
        unit_hash,
        unit_key,
        began,
        moment,
        source,
        device,
        (counts_from AT TIME ZONE (SELECT analytics.time_zone()))::DATE AS day_on,
        (add_moment >> 3) - (moment >> 3) AS to_add,
        (add_checkout >> 3) - (moment >> 3) AS to_checkout,
        (add_checkout_order >> 3) - (moment >> 3) AS to_order,
        (date_part('epoch', counts_from) * 1000000)::BIGINT + longest - (moment >> 3) AS to_end,
        CASE
            WHEN add_moment > least(checkout_moment, order_moment) THEN 1
            WHEN add_checkout > add_other THEN 2
            WHEN add_checkout_order > add_checkout_other THEN 3
            ELSE 4
        END AS strict_step
    FROM after_adds
    WHERE
        step_number = 1
        AND counts_from >= (SELECT analytics.from_instant())
        AND counts_from < (SELECT analytics.until_instant())
),

ordered_attempts AS (
    SELECT
        attempts.*,
        orders.is_strict,
        least(
            CASE
                WHEN attempts.to_order <= attempts.to_end THEN 4
                WHEN attempts.to_checkout <= attempts.to_end THEN 3
                WHEN attempts.to_add <= attempts.to_end THEN 2
                ELSE 1
            END,
            CASE WHEN orders.is_strict THEN attempts.strict_step END
        ) AS step_number
    FROM attempts
    CROSS JOIN unnest(ARRAY[FALSE, TRUE]) AS orders (is_strict)
    WHERE attempts.to_end >= 0
),

best_attempts AS (
    SELECT DISTINCT ON (unit_hash, began, unit_key, day_on, is_strict) *
    FROM ordered_attempts
    ORDER BY
        unit_hash ASC, began ASC, unit_key ASC, day_on ASC, is_strict ASC, step_number DESC, moment ASC,
        source ASC, device ASC
),

counts AS (
    SELECT
        day_on,
        source,
        device,
        CASE WHEN began IS NULL THEN 'customer' ELSE 'session' END AS funnel_kind,
        CASE WHEN is_strict THEN 'strict' ELSE 'loose' END AS order_kind,
        count(*) AS count_1,
        count(*) FILTER (WHERE step_number >= 2) AS count_2,
        count(*) FILTER (WHERE step_number >= 3) AS count_3,
        count(*) FILTER (WHERE step_number >= 4) AS count_4,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY to_add) FILTER (WHERE step_number >= 2) AS median_2,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY to_checkout - to_add) FILTER (WHERE step_number >= 3) AS median_3,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY to_order - to_checkout) FILTER (WHERE step_number >= 4) AS median_4,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY to_checkout) FILTER (WHERE step_number >= 3) AS median_to_3,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY to_order) FILTER (WHERE step_number >= 4) AS median_to_4
    FROM best_attempts
    GROUP BY day_on, funnel_kind, order_kind, source, device
)

SELECT
    counts.day_on,
    counts.funnel_kind,
    counts.order_kind,
    counts.source,
    counts.device,
    steps.step_number,
    steps.step,
    figures.entered_count,
    figures.from_previous / 1000000 AS median_seconds_from_previous,
    figures.from_first / 1000000 AS median_seconds_from_first,
    figures.entered_count::DOUBLE PRECISION / nullif(figures.previous_count, 0)::DOUBLE PRECISION AS conversion_share,
    (figures.entered_count - figures.next_count)::DOUBLE PRECISION / nullif(figures.entered_count, 0)::DOUBLE PRECISION
        AS drop_off_share,
    figures.entered_count::DOUBLE PRECISION / counts.count_1::DOUBLE PRECISION AS overall_conversion_share
FROM counts
CROSS JOIN
    LATERAL (
        VALUES
        (1, counts.count_1, NULL, counts.count_2, NULL, NULL),
        (2, counts.count_2, counts.count_1, counts.count_3, counts.median_2, counts.median_2),
        (3, counts.count_3, counts.count_2, counts.count_4, counts.median_3, counts.median_to_3),
        (4, counts.count_4, counts.count_3, NULL, counts.median_4, counts.median_to_4)
    ) AS figures (step_number, entered_count, previous_count, next_count, from_previous, from_first)
INNER JOIN steps ON figures.step_number = steps.step_number
