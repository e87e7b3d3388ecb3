CREATE MACRO step_number(event_name) AS list_position(
    ['Product Viewed', 'Product Added', 'Checkout Started', 'Order Completed'], event_name
);

-- A moment is an instant in microseconds times 8 and the number of the step: steps of one instant are in their order.
CREATE TEMP TABLE visit_events AS
WITH read_events AS (
    SELECT
        coalesce(step_number(event_name), 0) AS step,
        epoch_us(occurred_at) * 8 + step AS moment,
        customer_id,
        anonymous_id,
        event_id,
        nullif(properties ->> '$.context.sessionId', '') AS session_id,
        CASE WHEN step = 1 THEN coalesce(nullif(properties ->> '$.context.campaign.source', ''), 'direct') END AS source,
        CASE WHEN step = 1 THEN coalesce(nullif(properties ->> '$.context.device.type', ''), 'unknown') END AS device
    FROM shop.events
)

SELECT
    *,
    coalesce(
        'session ' || session_id,
        'visitor ' || nullif(anonymous_id, ''),
        'customer ' || customer_id,
        'event ' || event_id
    ) AS visit
FROM read_events;

CREATE TEMP TABLE steps AS
WITH pauses AS (
    SELECT
        *,
        lag(moment) OVER (PARTITION BY visit ORDER BY moment) AS moment_before,
        CASE WHEN session_id IS NULL THEN 30 ELSE 24 * 60 END * 60000000::BIGINT AS longest_pause
    FROM visit_events
),

sessions AS (
    SELECT
        *,
        max(CASE WHEN moment // 8 - moment_before // 8 < longest_pause THEN NULL ELSE moment // 8 END) OVER (
            PARTITION BY visit ORDER BY moment ROWS UNBOUNDED PRECEDING
        ) AS began
    FROM pauses
)

SELECT 'session' AS funnel_kind, visit || began AS unit, began AS counts_from, moment, step, source, device
FROM sessions
WHERE step > 0 AND moment // 8 - began <= 24 * 3600000000
UNION ALL
SELECT 'customer', customer_id::VARCHAR, NULL, moment, step, source, device
FROM visit_events
WHERE step > 0 AND customer_id IS NOT NULL;

CREATE TABLE funnel_daily AS
WITH nexts AS (
    SELECT
        *,
        first_value(CASE WHEN step = 1 THEN moment END IGNORE NULLS) OVER onwards AS next_view,
        first_value(CASE WHEN step = 2 THEN moment END IGNORE NULLS) OVER onwards AS next_add,
        first_value(CASE WHEN step = 3 THEN moment END IGNORE NULLS) OVER onwards AS next_checkout,
        first_value(CASE WHEN step = 4 THEN moment END IGNORE NULLS) OVER onwards AS next_order
    FROM steps
    WINDOW onwards AS (
        PARTITION BY funnel_kind, unit ORDER BY moment ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    )
),

ways AS (
    SELECT
        views.funnel_kind,
        views.unit,
        views.moment,
        views.source,
        views.device,
        coalesce(views.counts_from, views.moment // 8) AS counts_from,
        CASE WHEN views.counts_from IS NULL THEN 7 ELSE 1 END * 24 * 3600000000::BIGINT AS longest,
        views.next_add // 8 - views.moment // 8 AS to_add,
        adds.next_checkout // 8 - views.moment // 8 AS to_checkout,
        checkouts.next_order // 8 - views.moment // 8 AS to_order,
        views.next_add <= least(views.next_add, views.next_checkout, views.next_order) AS adds_at_once,
        adds.next_checkout <= least(adds.next_checkout, adds.next_view, adds.next_order) AS checks_out_at_once,
        checkouts.next_order <= least(checkouts.next_order, checkouts.next_view, checkouts.next_add) AS orders_at_once
    FROM nexts AS views
    LEFT JOIN nexts AS adds
        ON views.funnel_kind = adds.funnel_kind AND views.unit = adds.unit AND views.next_add = adds.moment
    LEFT JOIN nexts AS checkouts
        ON
            views.funnel_kind = checkouts.funnel_kind
            AND views.unit = checkouts.unit
            AND adds.next_checkout = checkouts.moment
    WHERE views.step = 1
),

attempts AS (
    SELECT
        *,
        make_timestamp(counts_from)::DATE AS day_on,
        CASE
            WHEN (to_add <= longest AND (adds_at_once OR order_kind = 'loose')) IS NOT TRUE THEN 1
            WHEN (to_checkout <= longest AND (checks_out_at_once OR order_kind = 'loose')) IS NOT TRUE THEN 2
            WHEN (to_order <= longest AND (orders_at_once OR order_kind = 'loose')) IS NOT TRUE THEN 3
            ELSE 4
        END AS reached
    FROM ways, (VALUES ('loose'), ('strict')) AS kinds (order_kind)
),

best_attempts AS (
    SELECT
        funnel_kind,
        order_kind,
        unit,
        day_on,
        arg_max(
            {
                source: source, device: device, reached: reached, to_add: to_add, to_checkout: to_checkout,
                to_order: to_order
            },
            reached::HUGEINT * 1000000000000000000 - moment
        ) AS best
    FROM attempts
    GROUP BY ALL
),

counts AS (
    SELECT
        day_on,
        funnel_kind,
        order_kind,
        best.source AS source,
        best.device AS device,
        [
            count(*),
            count(*) FILTER (best.reached >= 2),
            count(*) FILTER (best.reached >= 3),
            count(*) FILTER (best.reached >= 4)
        ] AS entered,
        [
            NULL,
            median(best.to_add) FILTER (best.reached >= 2),
            median(best.to_checkout - best.to_add) FILTER (best.reached >= 3),
            median(best.to_order - best.to_checkout) FILTER (best.reached >= 4)
        ] AS from_previous,
        [
            NULL,
            median(best.to_add) FILTER (best.reached >= 2),
            median(best.to_checkout) FILTER (best.reached >= 3),
            median(best.to_order) FILTER (best.reached >= 4)
        ] AS from_first
    FROM best_attempts
    GROUP BY ALL
)

SELECT
    counts.* EXCLUDE (entered, from_previous, from_first),
    step_number,
    step,
    entered[step_number] AS entered_count,
    CASE WHEN step_number > 1 THEN entered[step_number] / nullif(entered[step_number - 1], 0) END AS conversion_share,
    CASE WHEN step_number < 4 THEN 1 - entered[step_number + 1] / nullif(entered[step_number], 0) END AS drop_off_share,
    entered[step_number] / entered[1] AS overall_conversion_share,
    from_previous[step_number] / 1000000 AS median_seconds_from_previous,
    from_first[step_number] / 1000000 AS median_seconds_from_first
FROM
    counts,
    (VALUES (1, 'Product Viewed'), (2, 'Product Added'), (3, 'Checkout Started'), (4, 'Order Completed'))
        AS steps (step_number, step)
