-- One row per day with paid orders, currency and kind of orders: what each of them was worth, ascending.
-- Of all orders and of those of a country it is the order's total. Of a category it is what the order's product lines
-- come to whose product was in the category when the order was paid; a product of several categories counts in each,
-- one of none or an unknown one under the empty text.
WITH purchases AS (
    SELECT
        order_id,
        currency,
        total_amount,
        paid_at,
        coalesce(country, '') AS country,
        (paid_at AT TIME ZONE (SELECT analytics.time_zone()))::DATE AS sold_on
    FROM shop.orders
    WHERE paid_at >= analytics.from_instant() AND paid_at < analytics.until_instant()
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
    SELECT DISTINCT
        category_spans.product_id,
        category_spans.known_from,
        category_spans.known_until,
        listed.category
    FROM category_spans
    CROSS JOIN LATERAL jsonb_array_elements_text(category_spans.categories) AS listed (category)
),

category_amounts AS (
    SELECT
        purchases.sold_on,
        purchases.currency,
        purchases.order_id,
        coalesce(product_categories.category, '') AS category,
        sum(order_lines.total_amount) AS amount
    FROM purchases
    INNER JOIN shop.order_lines ON purchases.order_id = order_lines.order_id AND order_lines.kind = 'product'
    LEFT JOIN product_categories
        ON
            order_lines.product_id = product_categories.product_id
            AND purchases.paid_at >= product_categories.known_from
            AND purchases.paid_at < product_categories.known_until
    GROUP BY purchases.order_id, purchases.sold_on, purchases.currency, category
)

SELECT
    sold_on,
    currency,
    'all' AS scope,
    '' AS scope_value,
    array_agg(total_amount ORDER BY total_amount) AS order_amounts
FROM purchases
GROUP BY sold_on, currency
UNION ALL
SELECT
    sold_on,
    currency,
    'country' AS scope,
    country AS scope_value,
    array_agg(total_amount ORDER BY total_amount) AS order_amounts
FROM purchases
GROUP BY sold_on, currency, country
UNION ALL
SELECT
    sold_on,
    currency,
    'category' AS scope,
    category AS scope_value,
    array_agg(amount ORDER BY amount) AS order_amounts
FROM category_amounts
GROUP BY sold_on, currency, category
