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
visit_events AS (
    SELECT
        steps.step_number,
        (date_part('epoch', events.occurred_at) * 1000000)::BIGINT * 8 + coalesce(steps.step_number, 0) AS moment,
        coalesce(
            'session ' || nullif(events.properties #>> '{context,sessionId}', ''),
            'visitor ' || nullif(events.anonymous_id, ''),
            'customer ' || events.customer_id,
            'event ' || events.event_id
        ) COLLATE "C" AS visit_key,  -- noqa: RF02
        nullif(events.properties #>> '{context,sessionId}', '') IS NOT NULL AS is_named,
        CASE WHEN steps.step_number = 1 THEN events.properties #>> '{context,campaign,source}' END AS source,
        CASE WHEN steps.step_number = 1 THEN events.properties #>> '{context,device,type}' END AS device
    FROM shop.events
    LEFT JOIN steps ON events.event_name = steps.step
    WHERE
        events.occurred_at >= analytics.from_instant() - INTERVAL '24 hours'
        AND events.occurred_at < analytics.until_instant() + INTERVAL '24 hours'
),

beginnings AS (
    SELECT
        *,
        CASE
            WHEN
                (moment >> 3) - (lag(moment) OVER visit >> 3)
                < CASE WHEN is_named THEN 86400000000 ELSE 1800000000 END
                THEN NULL
            ELSE moment >> 3
        END AS beginning
    FROM visit_events
    WINDOW visit AS (PARTITION BY visit_key ORDER BY moment)
),

session_events AS (
    SELECT
        *,
        max(beginning) OVER (PARTITION BY visit_key ORDER BY moment ROWS UNBOUNDED PRECEDING) AS began
    FROM beginnings
),

-- Whose steps they are: a session's, by its key and beginning, or a customer's.
unit_events AS (
    SELECT
        'session' AS funnel_kind,
        visit_key AS unit_key,
        began,
        moment,
        step_number,
        source,
        device,
        86400000000 AS longest
    FROM session_events
    WHERE
        step_number IS NOT NULL
        AND (moment >> 3) - began <= 86400000000
        AND TIMESTAMPTZ 'epoch' + began * INTERVAL '1 microsecond' >= analytics.from_instant()
        AND TIMESTAMPTZ 'epoch' + began * INTERVAL '1 microsecond' < analytics.until_instant()
    UNION ALL
    SELECT
        'customer' AS funnel_kind,
        events.customer_id::TEXT COLLATE "C" AS unit_key,  -- noqa: RF02
        NULL AS began,
        (date_part('epoch', events.occurred_at) * 1000000)::BIGINT * 8 + steps.step_number AS moment,
        steps.step_number,
        CASE WHEN steps.step_number = 1 THEN events.properties #>> '{context,campaign,source}' END AS source,
        CASE WHEN steps.step_number = 1 THEN events.properties #>> '{context,device,type}' END AS device,
        604800000000 AS longest
    FROM shop.events
    INNER JOIN steps ON events.event_name = steps.step
    WHERE
        events.customer_id IS NOT NULL
        AND events.occurred_at >= analytics.from_instant()
        AND events.occurred_at < analytics.until_instant() + INTERVAL '168 hours'
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
    WINDOW backwards AS (
        PARTITION BY funnel_kind, unit_key, began ORDER BY moment DESC ROWS UNBOUNDED PRECEDING
    )
),

-- What follows the next checkout: the later a checkout, the later is what follows it.
after_checkouts AS (
    SELECT
        *,
        min(view_moment) FILTER (WHERE step_number = 3) OVER backwards AS checkout_to_view,
        min(add_moment) FILTER (WHERE step_number = 3) OVER backwards AS checkout_to_add,
        min(order_moment) FILTER (WHERE step_number = 3) OVER backwards AS checkout_to_order
    FROM next_events
    WINDOW backwards AS (
        PARTITION BY funnel_kind, unit_key, began ORDER BY moment DESC ROWS UNBOUNDED PRECEDING
    )
),

-- What follows the next product added, and what follows the checkout after that.
after_adds AS (
    SELECT
        *,
        min(view_moment) FILTER (WHERE step_number = 2) OVER backwards AS add_to_view,
        min(checkout_moment) FILTER (WHERE step_number = 2) OVER backwards AS add_to_checkout,
        min(order_moment) FILTER (WHERE step_number = 2) OVER backwards AS add_to_order,
        min(checkout_to_view) FILTER (WHERE step_number = 2) OVER backwards AS add_checkout_to_view,
        min(checkout_to_add) FILTER (WHERE step_number = 2) OVER backwards AS add_checkout_to_add,
        min(checkout_to_order) FILTER (WHERE step_number = 2) OVER backwards AS add_checkout_to_order
    FROM after_checkouts
    WINDOW backwards AS (
        PARTITION BY funnel_kind, unit_key, began ORDER BY moment DESC ROWS UNBOUNDED PRECEDING
    )
),

-- From here on times since the view; least() passes over nulls: what never comes is no hindrance.
attempts AS (
    SELECT
        views.funnel_kind,
        views.unit_key,
        views.began,
        views.moment,
        views.longest,
        orders.order_kind,
        orders.may_add,
        orders.may_check_out,
        orders.may_order,
        coalesce(nullif(views.source, ''), 'direct') AS source,
        coalesce(nullif(views.device, ''), 'unknown') AS device,
        coalesce(views.began, views.moment >> 3) AS counts_from,
        (views.add_moment >> 3) - (views.moment >> 3) AS to_add,
        (views.add_to_checkout >> 3) - (views.moment >> 3) AS to_checkout,
        (views.add_checkout_to_order >> 3) - (views.moment >> 3) AS to_order
    FROM after_adds AS views
    CROSS JOIN
        LATERAL (
            VALUES
            ('loose', TRUE, TRUE, TRUE),
            (
                'strict',
                views.add_moment <= least(views.add_moment, views.checkout_moment, views.order_moment),
                views.add_to_checkout <= least(views.add_to_checkout, views.add_to_view, views.add_to_order),
                views.add_checkout_to_order
                <= least(views.add_checkout_to_order, views.add_checkout_to_view, views.add_checkout_to_add)
            )
        ) AS orders (order_kind, may_add, may_check_out, may_order)
    WHERE views.step_number = 1
),

dated_attempts AS (
    SELECT
        *,
        CASE
            WHEN (may_add AND to_add <= longest) IS NOT TRUE THEN 1
            WHEN (may_check_out AND to_checkout <= longest) IS NOT TRUE THEN 2
            WHEN (may_order AND to_order <= longest) IS NOT TRUE THEN 3
            ELSE 4
        END AS step_number,
        (
            (TIMESTAMPTZ 'epoch' + counts_from * INTERVAL '1 microsecond') AT TIME ZONE (SELECT analytics.time_zone())
        )::DATE AS day_on
    FROM attempts
    WHERE TIMESTAMPTZ 'epoch' + counts_from * INTERVAL '1 microsecond' < analytics.until_instant()
),

best_attempts AS (
    SELECT DISTINCT ON (funnel_kind, unit_key, began, day_on, order_kind) *
    FROM dated_attempts
    ORDER BY
        funnel_kind ASC, unit_key ASC, began ASC, day_on ASC, order_kind ASC, step_number DESC, moment ASC,
        source ASC, device ASC
),

counts AS (
    SELECT
        day_on,
        funnel_kind,
        order_kind,
        source,
        device,
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
