-- One row per day with paid orders, currency and country or category: what each of those orders was worth.
-- Of a country it is the order's total. Of a category it is what the order's product lines come to whose product was in
-- the category when the order was paid; a product of several categories counts in each, one of none or an unknown one
-- under the empty text. The values are in the order of order_id: any would do that is always the same.
-- Categories go by number (none has none) and orders by order_lines.order_id, so that one sort serves all that follows.
-- Bounds in a subquery are asked for once. Where orders are joined they are not, or their number could not be foreseen.
WITH category_names AS (
    SELECT DISTINCT listed.category
    FROM shop.product_versions
    CROSS JOIN LATERAL jsonb_array_elements_text(product_versions.categories) AS listed (category)
),

categories AS MATERIALIZED (
    SELECT
        category,
        row_number() OVER (ORDER BY category) AS category_number
    FROM category_names
),

category_changes AS (
    SELECT
        product_id,
        known_from,
        categories,
        lag(categories) OVER (PARTITION BY product_id ORDER BY known_from) AS previous_categories
    FROM shop.product_versions
),

category_spans AS (
    SELECT
        product_id,
        known_from,
        categories,
        lead(known_from, 1, 'infinity') OVER (PARTITION BY product_id ORDER BY known_from) AS known_until
    FROM category_changes
    WHERE categories IS DISTINCT FROM previous_categories
),

product_categories AS (
    SELECT
        category_spans.product_id,
        category_spans.known_from,
        category_spans.known_until,
        categories.category_number
    FROM category_spans
    INNER JOIN categories ON category_spans.categories ? categories.category
),

category_amounts AS (
    SELECT
        orders.currency,
        product_categories.category_number,
        order_lines.order_id,
        (orders.paid_at AT TIME ZONE (SELECT analytics.time_zone()))::DATE AS sold_on,
        sum(order_lines.total_amount) AS amount
    FROM shop.orders
    INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id
    LEFT JOIN product_categories
        ON
            order_lines.product_id = product_categories.product_id
            AND orders.paid_at >= product_categories.known_from
            AND orders.paid_at < product_categories.known_until
    WHERE
        orders.paid_at >= analytics.from_instant()
        AND orders.paid_at < analytics.until_instant()
        AND order_lines.kind = 'product'
    GROUP BY sold_on, orders.currency, product_categories.category_number, order_lines.order_id
),

category_days AS (
    SELECT
        sold_on,
        currency,
        category_number,
        array_agg(amount ORDER BY order_id) AS order_amounts
    FROM category_amounts
    GROUP BY sold_on, currency, category_number
)

SELECT
    (paid_at AT TIME ZONE (SELECT analytics.time_zone()))::DATE AS sold_on,
    currency,
    'country' AS scope,
    coalesce(country, '') AS scope_value,
    array_agg(total_amount ORDER BY order_id) AS order_amounts
FROM shop.orders
WHERE paid_at >= (SELECT analytics.from_instant()) AND paid_at < (SELECT analytics.until_instant())
GROUP BY sold_on, currency, scope_value
UNION ALL
SELECT
    category_days.sold_on,
    category_days.currency,
    'category' AS scope,
    coalesce(categories.category, '') AS scope_value,
    category_days.order_amounts
FROM category_days
LEFT JOIN categories ON category_days.category_number = categories.category_number
