-- One row per customer and snapshot: what they did on the site before it, visit by visit, by the events that name them.
-- Parameters: none; reads the relations `snapshots (snapshot_at)` and `entities (customer_id)`.
-- A customer has rows from the first snapshot after its first event on.
-- A session ends after 30 minutes without an event of the customer: an event 30 minutes or more after the one before it
-- begins the next session. It is in the window of W days of snapshot t if it began at s with s < t <= s + W, and is
-- judged by its events before t, also where it goes on after t. Whether an event begins a session depends on the one
-- before it alone, so nothing that comes later moves a beginning.
-- A session has a cart from its first Product Added or Checkout Started on, and its cart is abandoned until there is an
-- Order Completed at that instant or after it. It has converted from its first Order Completed on.
-- Each fact is given to the first snapshot that sees it and taken away from the first one after its window; totals run
-- over these changes, and each state is then spread over the snapshots until the next one. Windows are told in hours,
-- so that a day has 24 of them in any time zone.
WITH timeline AS (
    SELECT
        array_agg(snapshot_at ORDER BY snapshot_at) AS instants,
        array_agg((extract(EPOCH FROM snapshot_at) * 1000000)::BIGINT ORDER BY snapshot_at) AS microseconds,
        min(snapshot_at) - INTERVAL '2160 hours' - INTERVAL '30 minutes' AS sessions_from,
        min(snapshot_at) - INTERVAL '720 hours' AS views_from,
        max(snapshot_at) AS last_at,
        count(*)::INTEGER AS snapshot_count
    FROM snapshots
),

-- Every visit is felt for ever: by the time since the last one.
visit_changes AS (
    SELECT
        events.customer_id,
        width_bucket(events.occurred_at, timeline.instants) + 1 AS snapshot_number,
        max(events.occurred_at) AS last_visit_at
    FROM shop.events
    CROSS JOIN timeline
    WHERE
        events.customer_id IN (SELECT entities.customer_id FROM entities)
        AND events.occurred_at < timeline.last_at
    GROUP BY events.customer_id, snapshot_number
),

-- Half an hour more than the windows are long: what comes first in here may go on an older session, but what lies in
-- a window has the one before it in here, if that is of its session.
recent_events AS (
    SELECT
        events.customer_id,
        events.occurred_at,
        events.product_id,
        events.event_name = 'Product Viewed' AS is_view,
        events.event_name = 'Product Added' AS is_add,
        events.event_name = 'Checkout Started' AS is_checkout,
        events.event_name = 'Order Completed' AS is_order,
        CASE
            WHEN
                events.occurred_at - lag(events.occurred_at) OVER (
                    PARTITION BY events.customer_id ORDER BY events.occurred_at
                ) < INTERVAL '30 minutes'
                THEN NULL
            ELSE events.occurred_at
        END AS beginning_at
    FROM shop.events
    CROSS JOIN timeline
    WHERE
        events.customer_id IN (SELECT entities.customer_id FROM entities)
        AND events.occurred_at >= timeline.sessions_from
        AND events.occurred_at < timeline.last_at
),

session_events AS (
    SELECT
        customer_id,
        occurred_at,
        is_order,
        is_add OR is_checkout AS is_cart,
        max(beginning_at) OVER (PARTITION BY customer_id ORDER BY occurred_at) AS began_at
    FROM recent_events
),

sessions AS (
    SELECT
        customer_id,
        began_at,
        min(occurred_at) FILTER (WHERE is_cart) AS cart_at,
        min(occurred_at) FILTER (WHERE is_order) AS first_order_at,
        array_agg(occurred_at) FILTER (WHERE is_order) AS order_instants
    FROM session_events
    GROUP BY customer_id, began_at
),

-- When a session became what it is. Each step comes at its own instant and leaves a window with the session.
session_steps AS (
    SELECT
        sessions.customer_id,
        sessions.began_at,
        steps.reached_at,
        steps.is_session,
        steps.is_cart,
        steps.is_bought_cart,
        steps.is_conversion
    FROM sessions
    CROSS JOIN
        LATERAL (
            VALUES
            (sessions.began_at, 1, 0, 0, 0),
            (sessions.cart_at, 0, 1, 0, 0),
            (
                (
                    SELECT min(orders.instant)
                    FROM unnest(sessions.order_instants) AS orders (instant)
                    WHERE orders.instant >= sessions.cart_at
                ), 0, 0, 1, 0
            ),
            (sessions.first_order_at, 0, 0, 0, 1)
        ) AS steps (reached_at, is_session, is_cart, is_bought_cart, is_conversion)
    WHERE steps.reached_at IS NOT NULL
),

facts AS (
    SELECT
        customer_id,
        occurred_at AS counted_from,
        occurred_at AS reached_at,
        is_view::INTEGER AS is_view,
        is_add::INTEGER AS is_add,
        is_checkout::INTEGER AS is_checkout,
        is_order::INTEGER AS is_order,
        0 AS is_session,
        0 AS is_cart,
        0 AS is_bought_cart,
        0 AS is_conversion
    FROM recent_events
    WHERE is_view OR is_add OR is_checkout OR is_order
    UNION ALL
    SELECT
        customer_id,
        began_at AS counted_from,
        reached_at,
        0 AS is_view,
        0 AS is_add,
        0 AS is_checkout,
        0 AS is_order,
        is_session,
        is_cart,
        is_bought_cart,
        is_conversion
    FROM session_steps
),

-- width_bucket counts the snapshots at or before an instant; the next one is the first that is strictly after it.
-- Most facts of a customer between two snapshots come and go together. A step that a session reaches after it left the
-- window leaves as it comes.
fact_groups AS (
    SELECT
        facts.customer_id,
        width_bucket(facts.reached_at, timeline.instants) + 1 AS comes,
        width_bucket(greatest(facts.reached_at, facts.counted_from + INTERVAL '168 hours'), timeline.instants)
        + 1 AS leaves_7,
        width_bucket(greatest(facts.reached_at, facts.counted_from + INTERVAL '720 hours'), timeline.instants)
        + 1 AS leaves_30,
        width_bucket(greatest(facts.reached_at, facts.counted_from + INTERVAL '2160 hours'), timeline.instants)
        + 1 AS leaves_90,
        sum(facts.is_view)::INTEGER AS view_count,
        sum(facts.is_add)::INTEGER AS add_count,
        sum(facts.is_checkout)::INTEGER AS checkout_count,
        sum(facts.is_order)::INTEGER AS order_count,
        sum(facts.is_session)::INTEGER AS session_count,
        sum(facts.is_cart)::INTEGER AS cart_count,
        sum(facts.is_bought_cart)::INTEGER AS bought_cart_count,
        sum(facts.is_conversion)::INTEGER AS conversion_count
    FROM facts
    CROSS JOIN timeline
    GROUP BY facts.customer_id, comes, leaves_7, leaves_30, leaves_90
),

fact_moves AS (
    SELECT
        fact_groups.customer_id,
        moves.snapshot_number,
        sum(fact_groups.view_count * moves.in_7)::INTEGER AS view_count_7,
        sum(fact_groups.view_count * moves.in_30)::INTEGER AS view_count_30,
        sum(fact_groups.view_count * moves.in_90)::INTEGER AS view_count_90,
        sum(fact_groups.add_count * moves.in_7)::INTEGER AS add_count_7,
        sum(fact_groups.add_count * moves.in_30)::INTEGER AS add_count_30,
        sum(fact_groups.add_count * moves.in_90)::INTEGER AS add_count_90,
        sum(fact_groups.checkout_count * moves.in_7)::INTEGER AS checkout_count_7,
        sum(fact_groups.checkout_count * moves.in_30)::INTEGER AS checkout_count_30,
        sum(fact_groups.checkout_count * moves.in_90)::INTEGER AS checkout_count_90,
        sum(fact_groups.order_count * moves.in_7)::INTEGER AS order_count_7,
        sum(fact_groups.order_count * moves.in_30)::INTEGER AS order_count_30,
        sum(fact_groups.order_count * moves.in_90)::INTEGER AS order_count_90,
        sum(fact_groups.session_count * moves.in_30)::INTEGER AS session_count_30,
        sum(fact_groups.session_count * moves.in_90)::INTEGER AS session_count_90,
        sum(fact_groups.cart_count * moves.in_30)::INTEGER AS cart_count_30,
        sum(fact_groups.cart_count * moves.in_90)::INTEGER AS cart_count_90,
        sum(fact_groups.bought_cart_count * moves.in_30)::INTEGER AS bought_cart_count_30,
        sum(fact_groups.bought_cart_count * moves.in_90)::INTEGER AS bought_cart_count_90,
        sum(fact_groups.conversion_count * moves.in_30)::INTEGER AS conversion_count_30,
        sum(fact_groups.conversion_count * moves.in_90)::INTEGER AS conversion_count_90
    FROM fact_groups
    CROSS JOIN
        LATERAL (
            VALUES
            (fact_groups.comes, 1, 1, 1),
            (fact_groups.leaves_7, -1, 0, 0),
            (fact_groups.leaves_30, 0, -1, 0),
            (fact_groups.leaves_90, 0, 0, -1)
        ) AS moves (snapshot_number, in_7, in_30, in_90)
    WHERE moves.snapshot_number <= (SELECT timeline.snapshot_count FROM timeline)
    GROUP BY fact_groups.customer_id, moves.snapshot_number
),

-- What one snapshot sees of a customer and a product is its last view before it.
product_views AS (
    SELECT
        recent_events.customer_id,
        recent_events.product_id,
        max(recent_events.occurred_at) AS viewed_at
    FROM recent_events
    CROSS JOIN timeline
    WHERE
        recent_events.is_view
        AND recent_events.product_id IS NOT NULL
        AND recent_events.occurred_at >= timeline.views_from
    GROUP BY
        recent_events.customer_id, recent_events.product_id,
        width_bucket(recent_events.occurred_at, timeline.instants)
),

-- A product counts from its view until it leaves the window or, if that is sooner, is viewed again.
product_spans AS (
    SELECT
        customer_id,
        viewed_at,
        least(
            viewed_at + INTERVAL '720 hours',
            lead(viewed_at) OVER (PARTITION BY customer_id, product_id ORDER BY viewed_at)
        ) AS left_at
    FROM product_views
),

product_moves AS (
    SELECT
        product_spans.customer_id,
        width_bucket(moves.moved_at, timeline.instants) + 1 AS snapshot_number,
        sum(moves.step)::INTEGER AS product_count
    FROM product_spans
    CROSS JOIN timeline
    CROSS JOIN LATERAL (VALUES (product_spans.viewed_at, 1), (product_spans.left_at, -1)) AS moves (moved_at, step)
    WHERE moves.moved_at < timeline.last_at
    GROUP BY product_spans.customer_id, snapshot_number
),

states AS (
    SELECT
        customer_id,
        snapshot_number AS first_number,
        lead(snapshot_number, 1, (SELECT timeline.snapshot_count + 1 FROM timeline)) OVER customer_changes
        - 1 AS last_number,
        max(visit_changes.last_visit_at) OVER customer_changes AS last_visit_at,
        sum(fact_moves.view_count_7) OVER customer_changes AS view_count_7,
        sum(fact_moves.view_count_30) OVER customer_changes AS view_count_30,
        sum(fact_moves.view_count_90) OVER customer_changes AS view_count_90,
        sum(fact_moves.add_count_7) OVER customer_changes AS add_count_7,
        sum(fact_moves.add_count_30) OVER customer_changes AS add_count_30,
        sum(fact_moves.add_count_90) OVER customer_changes AS add_count_90,
        sum(fact_moves.checkout_count_7) OVER customer_changes AS checkout_count_7,
        sum(fact_moves.checkout_count_30) OVER customer_changes AS checkout_count_30,
        sum(fact_moves.checkout_count_90) OVER customer_changes AS checkout_count_90,
        sum(fact_moves.order_count_7) OVER customer_changes AS order_count_7,
        sum(fact_moves.order_count_30) OVER customer_changes AS order_count_30,
        sum(fact_moves.order_count_90) OVER customer_changes AS order_count_90,
        sum(fact_moves.session_count_30) OVER customer_changes AS session_count_30,
        sum(fact_moves.session_count_90) OVER customer_changes AS session_count_90,
        sum(fact_moves.cart_count_30) OVER customer_changes AS cart_count_30,
        sum(fact_moves.cart_count_90) OVER customer_changes AS cart_count_90,
        sum(fact_moves.bought_cart_count_30) OVER customer_changes AS bought_cart_count_30,
        sum(fact_moves.bought_cart_count_90) OVER customer_changes AS bought_cart_count_90,
        sum(fact_moves.conversion_count_30) OVER customer_changes AS conversion_count_30,
        sum(fact_moves.conversion_count_90) OVER customer_changes AS conversion_count_90,
        sum(product_moves.product_count) OVER customer_changes AS product_count_30
    FROM visit_changes
    FULL JOIN fact_moves USING (customer_id, snapshot_number)  -- noqa: ST07
    FULL JOIN product_moves USING (customer_id, snapshot_number)  -- noqa: ST07
    WINDOW customer_changes AS (PARTITION BY customer_id ORDER BY snapshot_number)
),

-- Materialized, or the planner would compute these once per snapshot instead of once per state.
features AS MATERIALIZED (
    SELECT
        customer_id,
        first_number,
        last_number,
        (extract(EPOCH FROM last_visit_at) * 1000000)::BIGINT AS last_visit_microseconds,
        coalesce(view_count_7, 0)::INTEGER AS product_viewed_count_7d,
        coalesce(view_count_30, 0)::INTEGER AS product_viewed_count_30d,
        coalesce(view_count_90, 0)::INTEGER AS product_viewed_count_90d,
        coalesce(add_count_7, 0)::INTEGER AS product_added_count_7d,
        coalesce(add_count_30, 0)::INTEGER AS product_added_count_30d,
        coalesce(add_count_90, 0)::INTEGER AS product_added_count_90d,
        coalesce(checkout_count_7, 0)::INTEGER AS checkout_started_count_7d,
        coalesce(checkout_count_30, 0)::INTEGER AS checkout_started_count_30d,
        coalesce(checkout_count_90, 0)::INTEGER AS checkout_started_count_90d,
        coalesce(order_count_7, 0)::INTEGER AS order_completed_count_7d,
        coalesce(order_count_30, 0)::INTEGER AS order_completed_count_30d,
        coalesce(order_count_90, 0)::INTEGER AS order_completed_count_90d,
        coalesce(session_count_30, 0)::INTEGER AS session_count_30d,
        coalesce(session_count_90, 0)::INTEGER AS session_count_90d,
        (cart_count_30 - bought_cart_count_30)::DOUBLE PRECISION
        / nullif(cart_count_30, 0)::DOUBLE PRECISION AS cart_abandonment_share_30d,
        (cart_count_90 - bought_cart_count_90)::DOUBLE PRECISION
        / nullif(cart_count_90, 0)::DOUBLE PRECISION AS cart_abandonment_share_90d,
        conversion_count_30::DOUBLE PRECISION
        / nullif(session_count_30, 0)::DOUBLE PRECISION AS session_conversion_share_30d,
        conversion_count_90::DOUBLE PRECISION
        / nullif(session_count_90, 0)::DOUBLE PRECISION AS session_conversion_share_90d,
        coalesce(product_count_30, 0)::INTEGER AS distinct_viewed_product_count_30d
    FROM states
    WHERE last_visit_at IS NOT NULL
),

-- The newest snapshot first, as history keeps them.
spread AS (
    SELECT
        features.*,
        generate_series(features.last_number, features.first_number, -1) AS snapshot_number
    FROM features
    ORDER BY features.customer_id ASC, features.first_number DESC
)

SELECT
    customer_id,
    product_viewed_count_7d,
    product_viewed_count_30d,
    product_viewed_count_90d,
    product_added_count_7d,
    product_added_count_30d,
    product_added_count_90d,
    checkout_started_count_7d,
    checkout_started_count_30d,
    checkout_started_count_90d,
    order_completed_count_7d,
    order_completed_count_30d,
    order_completed_count_90d,
    session_count_30d,
    session_count_90d,
    cart_abandonment_share_30d,
    cart_abandonment_share_90d,
    session_conversion_share_30d,
    session_conversion_share_90d,
    distinct_viewed_product_count_30d,
    (SELECT timeline.instants FROM timeline)[snapshot_number] AS snapshot_at,
    ((SELECT timeline.microseconds FROM timeline)[snapshot_number] - last_visit_microseconds)::DOUBLE PRECISION
    / 86400000000 AS days_since_last_visit
FROM spread
