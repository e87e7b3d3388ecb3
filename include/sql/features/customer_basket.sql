-- One row per customer and snapshot: what they buy, how much of it at once, at what discount, and what they give back.
-- Parameters: none; reads the relations `snapshots (snapshot_at)` and `entities (customer_id)`.
-- A customer has rows from the first snapshot after its first purchase on. A purchase is an order that was paid; its
-- lines are those of products. A fact at e is in the window of 365 days of snapshot t if e < t <= e + 365 days, which
-- are written as 8760 hours, so that no clock change counts. Each fact is given to the first snapshot that sees it and
-- taken away at the first one after its window, totals run over these changes, and each state is then spread over the
-- snapshots until the next one. Sums are exact, so that no order of adding matters.
WITH timeline AS (
    SELECT
        array_agg(snapshot_at ORDER BY snapshot_at) AS instants,
        max(snapshot_at) AS last_at,
        count(*)::INTEGER AS snapshot_count
    FROM snapshots
),

-- width_bucket counts the snapshots at or before an instant; the next one is the first that is strictly after it.
purchases AS (
    SELECT
        order_id,
        customer_id,
        paid_at,
        total_amount,
        discount_amount,
        (discount_amount > 0)::INTEGER AS discounted_order_count,
        width_bucket(paid_at, (SELECT timeline.instants FROM timeline)) + 1 AS entry_number,
        width_bucket(paid_at + INTERVAL '8760 hours', (SELECT timeline.instants FROM timeline)) + 1 AS exit_number,
        row_number() OVER (PARTITION BY customer_id ORDER BY paid_at, order_id)::INTEGER AS order_number
    FROM shop.orders
    WHERE
        customer_id IN (SELECT entities.customer_id FROM entities)
        AND paid_at < (SELECT timeline.last_at FROM timeline)
),

-- A product line, and what the customer had bought of its product before.
lines AS (
    SELECT
        purchases.order_id,
        purchases.customer_id,
        purchases.entry_number,
        purchases.exit_number,
        order_lines.product_id,
        order_lines.quantity,
        order_lines.total_amount,
        lag(purchases.order_id) OVER product_lines AS previous_order_id,
        sum(order_lines.quantity) OVER product_lines - order_lines.quantity AS units_before
    FROM purchases
    INNER JOIN shop.order_lines ON purchases.order_id = order_lines.order_id
    WHERE order_lines.kind = 'product'
    WINDOW product_lines AS (
        PARTITION BY purchases.customer_id, order_lines.product_id
        ORDER BY purchases.order_number
        ROWS UNBOUNDED PRECEDING
    )
),

-- A product counts once per order. Lines whose product is not known count as lines and units, but as no product.
-- With u units of a product before and q more, the square of the units grows by q * (2u + q).
baskets AS (
    SELECT
        order_id,
        count(*)::INTEGER AS line_count,
        sum(quantity)::BIGINT AS unit_count,
        sum(total_amount) AS goods_amount,
        (count(product_id) FILTER (WHERE previous_order_id IS DISTINCT FROM order_id))::INTEGER AS product_count,
        (count(product_id) FILTER (WHERE previous_order_id IS NULL))::INTEGER AS new_product_count,
        (sum(quantity) FILTER (WHERE product_id IS NOT NULL))::BIGINT AS product_unit_count,
        sum(quantity * (2 * units_before + quantity)) FILTER (WHERE product_id IS NOT NULL) AS product_unit_squares
    FROM lines
    GROUP BY order_id
),

-- A refund belongs to the customer it names, or else to that of its order.
refunds AS (
    SELECT
        customer_id,
        order_id,
        refunded_at,
        refund_amount
    FROM shop.refunds
    WHERE customer_id IN (SELECT entities.customer_id FROM entities)
    UNION ALL
    SELECT
        orders.customer_id,
        refunds.order_id,
        refunds.refunded_at,
        refunds.refund_amount
    FROM shop.orders
    INNER JOIN shop.refunds ON orders.order_id = refunds.order_id
    WHERE refunds.customer_id IS NULL AND orders.customer_id IN (SELECT entities.customer_id FROM entities)
),

-- A purchase is refunded from the first of its customer's refunds of it on.
refunded_purchases AS (
    SELECT
        purchases.customer_id,
        greatest(purchases.paid_at, min(refunds.refunded_at)) AS refunded_at
    FROM refunds
    INNER JOIN purchases ON refunds.order_id = purchases.order_id AND refunds.customer_id = purchases.customer_id
    GROUP BY purchases.customer_id, purchases.order_id, purchases.paid_at
),

refund_facts AS (
    SELECT
        customer_id,
        refunded_at,
        refund_amount,
        0 AS refunded_order_count
    FROM refunds
    UNION ALL
    SELECT
        customer_id,
        refunded_at,
        0 AS refund_amount,
        1 AS refunded_order_count
    FROM refunded_purchases
),

-- Each fact enters all time and its window at once, and leaves the window only.
moves (ever, in_365) AS (
    VALUES
    (1, 1),
    (0, -1)
),

purchase_moves AS (
    SELECT
        purchases.customer_id,
        CASE moves.ever WHEN 1 THEN purchases.entry_number ELSE purchases.exit_number END AS snapshot_number,
        sum(moves.ever)::INTEGER AS order_count,
        sum(moves.in_365)::INTEGER AS order_count_365,
        sum(purchases.discounted_order_count * moves.in_365)::INTEGER AS discounted_order_count_365,
        sum(purchases.discount_amount * moves.in_365) AS discount_amount_365,
        sum(purchases.total_amount * moves.in_365) AS paid_amount_365,
        sum(baskets.line_count * moves.in_365)::INTEGER AS line_count_365,
        sum(baskets.unit_count * moves.in_365)::BIGINT AS unit_count_365,
        sum(baskets.goods_amount * moves.in_365) AS goods_amount_365,
        sum(baskets.product_count * moves.ever)::INTEGER AS product_count,
        sum(baskets.product_count * moves.in_365)::INTEGER AS product_count_365,
        sum(baskets.new_product_count * moves.ever)::INTEGER AS new_product_count,
        sum(baskets.new_product_count * moves.in_365)::INTEGER AS new_product_count_365,
        (sum(baskets.product_unit_count) FILTER (WHERE moves.ever = 1))::BIGINT AS product_unit_count,
        sum(baskets.product_unit_squares) FILTER (WHERE moves.ever = 1) AS product_unit_squares
    FROM purchases
    LEFT JOIN baskets ON purchases.order_id = baskets.order_id
    CROSS JOIN moves
    GROUP BY purchases.customer_id, snapshot_number
),

refund_moves AS (
    SELECT
        refund_facts.customer_id,
        width_bucket(
            refund_facts.refunded_at + (1 - moves.ever) * INTERVAL '8760 hours',
            (SELECT timeline.instants FROM timeline)
        ) + 1 AS snapshot_number,
        sum(refund_facts.refund_amount * moves.in_365) AS refund_amount_365,
        sum(refund_facts.refunded_order_count * moves.ever)::INTEGER AS refunded_order_count
    FROM refund_facts
    CROSS JOIN moves
    GROUP BY refund_facts.customer_id, snapshot_number
),

-- What a product's categories were, from when until when. Other changes of a product are none here.
category_lists AS (
    SELECT
        product_id,
        categories,
        known_from,
        lag(categories) OVER (PARTITION BY product_id ORDER BY known_from) AS previous_categories
    FROM shop.product_versions
    WHERE product_id IN (SELECT lines.product_id FROM lines)
),

category_spans AS (
    SELECT
        product_id,
        categories,
        width_bucket(known_from, (SELECT timeline.instants FROM timeline)) + 1 AS entry_number,
        width_bucket(
            lead(known_from, 1, 'infinity') OVER (PARTITION BY product_id ORDER BY known_from),
            (SELECT timeline.instants FROM timeline)
        ) + 1 AS exit_number
    FROM category_lists
    WHERE categories IS DISTINCT FROM previous_categories
),

product_categories AS (
    SELECT DISTINCT
        category_spans.product_id,
        category_spans.entry_number,
        category_spans.exit_number,
        listed.category
    FROM category_spans
    CROSS JOIN LATERAL jsonb_array_elements_text(category_spans.categories) AS listed (category)
),

-- A line counts for a category while it is in the window and its product in the category.
category_spends AS (
    SELECT
        lines.customer_id,
        product_categories.category,
        lines.total_amount,
        greatest(lines.entry_number, product_categories.entry_number) AS entry_number,
        least(lines.exit_number, product_categories.exit_number) AS exit_number
    FROM lines
    INNER JOIN product_categories
        ON
            lines.product_id = product_categories.product_id
            AND lines.entry_number < product_categories.exit_number
            AND lines.exit_number > product_categories.entry_number
    WHERE lines.entry_number < lines.exit_number
),

category_moves AS (
    SELECT
        category_spends.customer_id,
        category_spends.category,
        CASE moves.ever WHEN 1 THEN category_spends.entry_number ELSE category_spends.exit_number END
            AS snapshot_number,
        sum(moves.in_365)::INTEGER AS line_count,
        sum(category_spends.total_amount * moves.in_365) AS amount
    FROM category_spends
    CROSS JOIN moves
    GROUP BY category_spends.customer_id, category_spends.category, snapshot_number
),

-- Points are the snapshots at which any of a customer's categories changes, numbered per customer.
numbered_moves AS (
    SELECT
        customer_id,
        category,
        snapshot_number,
        line_count,
        amount,
        dense_rank() OVER (PARTITION BY customer_id ORDER BY snapshot_number)::INTEGER AS point_number
    FROM category_moves
),

category_points AS (
    SELECT DISTINCT
        customer_id,
        snapshot_number,
        point_number
    FROM numbered_moves
),

-- Every line leaves its category again, if need be after the last snapshot: the last state has nothing in it.
category_states AS (
    SELECT
        customer_id,
        category,
        point_number AS first_point,
        lead(point_number) OVER category_changes - 1 AS last_point,
        sum(line_count) OVER category_changes AS line_count,
        sum(amount) OVER category_changes AS amount
    FROM numbered_moves
    WINDOW category_changes AS (PARTITION BY customer_id, category ORDER BY point_number)
),

-- Ranked once, not at each point: the greater amount first, of equal ones the first by name, byte by byte.
ranked_categories AS MATERIALIZED (
    SELECT
        customer_id,
        category,
        amount,
        first_point,
        last_point,
        row_number() OVER (
            PARTITION BY customer_id ORDER BY amount DESC, category COLLATE "C" ASC, first_point ASC
        ) AS category_rank
    FROM category_states
    WHERE line_count > 0
),

categories_at_points AS (
    SELECT
        customer_id,
        category_rank,
        generate_series(first_point, last_point) AS point_number
    FROM ranked_categories
),

points AS (
    SELECT
        customer_id,
        point_number,
        min(category_rank) AS category_rank,
        count(*) AS category_count
    FROM categories_at_points
    GROUP BY customer_id, point_number
),

favourites AS (
    SELECT
        points.customer_id,
        points.point_number,
        points.category_count,
        ranked_categories.category,
        ranked_categories.amount
    FROM points
    INNER JOIN ranked_categories
        ON points.customer_id = ranked_categories.customer_id AND points.category_rank = ranked_categories.category_rank
),

states AS (
    SELECT
        customer_id,
        snapshot_number AS first_number,
        lead(snapshot_number, 1, (SELECT timeline.snapshot_count + 1 FROM timeline)) OVER customer_changes
        - 1 AS last_number,
        max(category_points.point_number) OVER customer_changes AS point_number,
        sum(purchase_moves.order_count) OVER customer_changes AS order_count,
        sum(purchase_moves.order_count_365) OVER customer_changes AS order_count_365,
        sum(purchase_moves.discounted_order_count_365) OVER customer_changes AS discounted_order_count_365,
        sum(purchase_moves.discount_amount_365) OVER customer_changes AS discount_amount_365,
        sum(purchase_moves.paid_amount_365) OVER customer_changes AS paid_amount_365,
        sum(purchase_moves.line_count_365) OVER customer_changes AS line_count_365,
        sum(purchase_moves.unit_count_365) OVER customer_changes AS unit_count_365,
        sum(purchase_moves.goods_amount_365) OVER customer_changes AS goods_amount_365,
        sum(purchase_moves.product_count) OVER customer_changes AS product_count,
        sum(purchase_moves.product_count_365) OVER customer_changes AS product_count_365,
        sum(purchase_moves.new_product_count) OVER customer_changes AS new_product_count,
        sum(purchase_moves.new_product_count_365) OVER customer_changes AS new_product_count_365,
        sum(purchase_moves.product_unit_count) OVER customer_changes AS product_unit_count,
        sum(purchase_moves.product_unit_squares) OVER customer_changes AS product_unit_squares,
        sum(refund_moves.refund_amount_365) OVER customer_changes AS refund_amount_365,
        sum(refund_moves.refunded_order_count) OVER customer_changes AS refunded_order_count
    FROM purchase_moves
    FULL JOIN refund_moves USING (customer_id, snapshot_number)  -- noqa: ST07
    FULL JOIN category_points USING (customer_id, snapshot_number)  -- noqa: ST07
    WINDOW customer_changes AS (PARTITION BY customer_id ORDER BY snapshot_number)
),

-- Materialized, or the planner would compute these once per snapshot instead of once per state.
features AS MATERIALIZED (
    SELECT
        states.customer_id,
        states.first_number,
        states.last_number,
        favourites.category AS favourite_category_365d,
        coalesce(favourites.category_count, 0)::INTEGER AS distinct_category_count_365d,
        favourites.amount::DOUBLE PRECISION / nullif(states.goods_amount_365, 0)::DOUBLE PRECISION
            AS favourite_category_share_365d,
        coalesce(states.new_product_count, 0)::INTEGER AS distinct_product_count_ever,
        states.product_unit_squares::DOUBLE PRECISION
        / nullif(states.product_unit_count * states.product_unit_count, 0)::DOUBLE PRECISION
            AS product_concentration_ever,
        coalesce(states.unit_count_365, 0)::DOUBLE PRECISION / nullif(states.order_count_365, 0)::DOUBLE PRECISION
            AS units_per_order_365d,
        coalesce(states.line_count_365, 0)::DOUBLE PRECISION / nullif(states.order_count_365, 0)::DOUBLE PRECISION
            AS lines_per_order_365d,
        states.goods_amount_365::DOUBLE PRECISION / nullif(states.unit_count_365, 0)::DOUBLE PRECISION
            AS average_unit_price_365d,
        states.discounted_order_count_365::DOUBLE PRECISION / nullif(states.order_count_365, 0)::DOUBLE PRECISION
            AS discounted_order_share_365d,
        states.discount_amount_365::DOUBLE PRECISION
        / nullif(coalesce(states.goods_amount_365, 0) + states.discount_amount_365, 0)::DOUBLE PRECISION
            AS discount_share_365d,
        coalesce(states.refund_amount_365, 0)::DOUBLE PRECISION
        / nullif(states.paid_amount_365, 0)::DOUBLE PRECISION AS refunded_value_share_365d,
        coalesce(states.refunded_order_count, 0)::DOUBLE PRECISION / states.order_count::DOUBLE PRECISION
            AS refunded_order_share_ever,
        (states.product_count_365 - states.new_product_count_365)::DOUBLE PRECISION
        / nullif(states.product_count_365, 0)::DOUBLE PRECISION AS product_repeat_share_365d,
        (states.product_count - states.new_product_count)::DOUBLE PRECISION
        / nullif(states.product_count, 0)::DOUBLE PRECISION AS product_repeat_share_ever
    FROM states
    LEFT JOIN favourites
        ON states.customer_id = favourites.customer_id AND states.point_number = favourites.point_number
    WHERE states.order_count > 0 AND states.first_number <= states.last_number
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
    distinct_category_count_365d,
    favourite_category_365d,
    favourite_category_share_365d,
    distinct_product_count_ever,
    product_concentration_ever,
    units_per_order_365d,
    lines_per_order_365d,
    average_unit_price_365d,
    discounted_order_share_365d,
    discount_share_365d,
    refunded_value_share_365d,
    refunded_order_share_ever,
    product_repeat_share_365d,
    product_repeat_share_ever,
    (SELECT timeline.instants FROM timeline)[snapshot_number] AS snapshot_at
FROM spread
