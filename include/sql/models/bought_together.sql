-- One row per product and other product that are in the same orders more often than by chance, each pair both ways.
-- Parameters: none; reads the relation `basket_choices`, one row. since_at, until_at: orders paid in
-- [since_at, until_at). least_share, least_orders: a pair counts if it is in so large a share of the orders, and in so
-- many of them. largest: orders with more products are left out, they say little and cost the square of their length.
-- kept: how many other products there are per product.
WITH order_products AS MATERIALIZED (
    SELECT
        orders.order_id,
        order_lines.product_id,
        count(*) OVER (PARTITION BY orders.order_id) AS product_count
    FROM basket_choices
    INNER JOIN shop.orders
        ON basket_choices.since_at <= orders.paid_at AND basket_choices.until_at > orders.paid_at
    INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
    WHERE
        order_lines.kind = 'product'
        AND order_lines.product_id IS NOT NULL
    GROUP BY orders.order_id, order_lines.product_id
),

small_orders AS MATERIALIZED (
    SELECT
        order_id,
        product_id
    FROM order_products
    WHERE product_count <= (SELECT basket_choices.largest FROM basket_choices)
),

order_total AS (
    SELECT count(*) AS order_count
    FROM (SELECT DISTINCT order_id FROM small_orders) AS counted
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
frequent AS MATERIALIZED (
    SELECT
        product_id,
        count(*) AS order_count,
        row_number() OVER (ORDER BY product_id) - 1 AS number,
        count(*) OVER () AS product_count
    FROM small_orders
    GROUP BY product_id
    HAVING count(*) >= (SELECT totals.least_count FROM totals)
),

baskets AS MATERIALIZED (
    SELECT
        small_orders.order_id,
        frequent.number,
        frequent.number * frequent.product_count AS first_number
    FROM small_orders
    INNER JOIN frequent ON small_orders.product_id = frequent.product_id
),

-- One number stands for both products of a pair, which halves the work of counting.
pair_numbers AS (
    SELECT
        baskets.first_number + others.number AS pair_number,
        count(*) AS order_count
    FROM baskets
    INNER JOIN baskets AS others ON baskets.order_id = others.order_id AND baskets.number < others.number
    GROUP BY pair_number
    HAVING count(*) >= (SELECT totals.least_count FROM totals)
),

numbers_of_pairs AS (
    SELECT
        order_count,
        pair_number / (SELECT count(*) FROM frequent) AS first_number,
        pair_number % (SELECT count(*) FROM frequent) AS second_number
    FROM pair_numbers
),

pairs AS MATERIALIZED (
    SELECT
        firsts.product_id,
        seconds.product_id AS other_product_id,
        numbers_of_pairs.order_count
    FROM numbers_of_pairs
    INNER JOIN frequent AS firsts ON numbers_of_pairs.first_number = firsts.number
    INNER JOIN frequent AS seconds ON numbers_of_pairs.second_number = seconds.number
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
