-- One row per product and other product that are in the same orders more often than by chance, each pair both ways.
-- Parameters: none; reads the relation `basket_choices`, one row. since_at, until_at: orders paid in
-- [since_at, until_at). least_share, least_orders: a pair counts if it is in so large a share of the orders, and in so
-- many of them. kept: how many other products there are per product.
WITH order_products AS MATERIALIZED (
    SELECT
        orders.order_id,
        order_lines.product_id
    FROM basket_choices
    INNER JOIN shop.orders
        ON basket_choices.since_at <= orders.paid_at AND basket_choices.until_at > orders.paid_at
    INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
    WHERE
        order_lines.kind = 'product'
        AND order_lines.product_id IS NOT NULL
    GROUP BY orders.order_id, order_lines.product_id
),

order_total AS (
    SELECT count(*) AS order_count
    FROM (SELECT DISTINCT order_id FROM order_products) AS baskets
),

totals AS (
    SELECT
        order_total.order_count,
        greatest(ceil(basket_choices.least_share * order_total.order_count), basket_choices.least_orders)::BIGINT
            AS least_count
    FROM order_total
    CROSS JOIN basket_choices
),

-- No pair is in more orders than either of its products: what is too rare alone is left out before pairs are made.
frequent AS (
    SELECT
        product_id,
        count(*) AS order_count
    FROM order_products
    GROUP BY product_id
    HAVING count(*) >= (SELECT totals.least_count FROM totals)
),

baskets AS MATERIALIZED (
    SELECT
        order_products.order_id,
        order_products.product_id
    FROM order_products
    INNER JOIN frequent ON order_products.product_id = frequent.product_id
),

pairs AS MATERIALIZED (
    SELECT
        baskets.product_id,
        others.product_id AS other_product_id,
        count(*) AS order_count
    FROM baskets
    INNER JOIN baskets AS others ON baskets.order_id = others.order_id AND baskets.product_id < others.product_id
    GROUP BY baskets.product_id, others.product_id
    HAVING count(*) >= (SELECT totals.least_count FROM totals)
),

both_ways AS (
    SELECT
        product_id,
        other_product_id,
        order_count
    FROM pairs
    UNION ALL
    SELECT
        other_product_id AS product_id,
        product_id AS other_product_id,
        order_count
    FROM pairs
),

figures AS (
    SELECT
        both_ways.product_id,
        both_ways.other_product_id,
        both_ways.order_count,
        both_ways.order_count::DOUBLE PRECISION / totals.order_count AS support,
        both_ways.order_count::DOUBLE PRECISION / own.order_count AS confidence,
        both_ways.order_count::DOUBLE PRECISION / others.order_count AS reverse_confidence,
        both_ways.order_count::DOUBLE PRECISION * totals.order_count
        / (own.order_count::DOUBLE PRECISION * others.order_count) AS lift
    FROM both_ways
    INNER JOIN frequent AS own ON both_ways.product_id = own.product_id
    INNER JOIN frequent AS others ON both_ways.other_product_id = others.product_id
    INNER JOIN ml.recommendable_products ON both_ways.other_product_id = recommendable_products.product_id
    CROSS JOIN totals
),

ranked AS (
    SELECT
        product_id,
        other_product_id,
        order_count,
        support,
        confidence,
        reverse_confidence,
        lift,
        (row_number() OVER (
            PARTITION BY product_id ORDER BY confidence DESC, lift DESC, other_product_id ASC
        ))::INTEGER AS rank
    FROM figures
    WHERE lift > 1
)

SELECT
    product_id,
    other_product_id,
    rank,
    order_count,
    support,
    confidence,
    reverse_confidence,
    lift
FROM ranked
WHERE rank <= (SELECT basket_choices.kept FROM basket_choices)
