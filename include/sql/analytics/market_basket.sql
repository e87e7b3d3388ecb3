-- One row per rule: orders with the products of the antecedent have those of the consequent too. A pair of products
-- makes two rules, a triple six. Of all baskets, which are the paid orders with products, at least the share
-- analytics.least_support() must have all products of a rule.
-- The way: no set is in more baskets than any part of it (Agrawal and Srikant 1994), so pairs are made of frequent
-- products only and triples of frequent pairs only; each product has one bit per basket, and the bits that two or three
-- of them have in common are counted (Zaki 2000).
WITH totals AS MATERIALIZED (
    SELECT
        count(*) AS basket_count,
        greatest(ceil(analytics.least_support() * count(*)), 1)::BIGINT AS least_count
    FROM analytics.baskets_daily
),

frequent AS MATERIALIZED (
    SELECT
        items.product_id,
        count(*) AS order_count
    FROM analytics.baskets_daily
    CROSS JOIN LATERAL unnest(baskets_daily.products) AS items (product_id)
    GROUP BY items.product_id
    HAVING count(*) >= (SELECT totals.least_count FROM totals)
),

-- Baskets with one product have nothing in common with other products.
numbered_baskets AS (
    SELECT
        products,
        row_number() OVER () AS basket_number
    FROM analytics.baskets_daily
    WHERE cardinality(products) > 1
),

basket_items AS (
    SELECT
        items.product_id,
        numbered_baskets.basket_number,
        numbered_baskets.basket_number
        - lag(numbered_baskets.basket_number, 1, 0::BIGINT) OVER (
            PARTITION BY items.product_id ORDER BY numbered_baskets.basket_number
        ) AS step
    FROM numbered_baskets
    CROSS JOIN LATERAL unnest(numbered_baskets.products) AS items (product_id)
    INNER JOIN frequent ON items.product_id = frequent.product_id
),

bits AS MATERIALIZED (
    SELECT
        basket_items.product_id,
        rpad(
            string_agg(lpad('1', basket_items.step::INTEGER, '0'), '' ORDER BY basket_items.basket_number),
            (SELECT totals.basket_count FROM totals)::INTEGER,
            '0'
        )::VARBIT AS baskets
    FROM basket_items
    GROUP BY basket_items.product_id
),

pair_counts AS MATERIALIZED (
    SELECT
        firsts.product_id AS first_id,
        seconds.product_id AS second_id,
        bit_count(firsts.baskets & seconds.baskets) AS order_count
    FROM bits AS firsts
    INNER JOIN bits AS seconds ON firsts.product_id < seconds.product_id
),

pairs AS MATERIALIZED (
    SELECT
        first_id,
        second_id,
        order_count
    FROM pair_counts
    WHERE order_count >= (SELECT totals.least_count FROM totals)
),

-- Not by an inner join, of which the planner expects one row.
candidates AS MATERIALIZED (
    SELECT
        pairs.first_id,
        pairs.second_id,
        others.second_id AS third_id,
        rest.order_count AS rest_count
    FROM pairs
    INNER JOIN pairs AS others ON pairs.first_id = others.first_id AND pairs.second_id < others.second_id
    LEFT JOIN pairs AS rest ON pairs.second_id = rest.first_id AND others.second_id = rest.second_id
),

triple_counts AS MATERIALIZED (
    SELECT
        candidates.first_id,
        candidates.second_id,
        candidates.third_id,
        bit_count(firsts.baskets & seconds.baskets & thirds.baskets) AS order_count
    FROM candidates
    INNER JOIN bits AS firsts ON candidates.first_id = firsts.product_id
    INNER JOIN bits AS seconds ON candidates.second_id = seconds.product_id
    INNER JOIN bits AS thirds ON candidates.third_id = thirds.product_id
    WHERE candidates.rest_count IS NOT NULL
),

sets AS MATERIALIZED (
    SELECT
        order_count,
        ARRAY[product_id] AS products
    FROM frequent
    UNION ALL
    SELECT
        order_count,
        ARRAY[first_id, second_id] AS products
    FROM pairs
    UNION ALL
    SELECT
        order_count,
        ARRAY[first_id, second_id, third_id] AS products
    FROM triple_counts
    WHERE order_count >= (SELECT totals.least_count FROM totals)
),

one_and_rest AS (
    SELECT
        sets.products,
        sets.order_count,
        sets.products[places.place:places.place] AS one,
        sets.products[:places.place - 1] || sets.products[places.place + 1:] AS rest
    FROM sets
    CROSS JOIN LATERAL generate_series(1, cardinality(sets.products)) AS places (place)
    WHERE cardinality(sets.products) > 1
),

rules AS (
    SELECT
        products,
        order_count,
        one AS antecedent,
        rest AS consequent
    FROM one_and_rest
    UNION ALL
    SELECT
        products,
        order_count,
        rest AS antecedent,
        one AS consequent
    FROM one_and_rest
    WHERE cardinality(rest) > 1
),

-- Counts are exact in double precision, so each figure is rounded once or twice.
counted AS (
    SELECT
        rules.antecedent,
        rules.consequent,
        rules.products,
        rules.order_count::DOUBLE PRECISION AS both_count,
        antecedents.order_count::DOUBLE PRECISION AS antecedent_count,
        consequents.order_count::DOUBLE PRECISION AS consequent_count,
        totals.basket_count::DOUBLE PRECISION AS basket_count
    FROM rules
    INNER JOIN sets AS antecedents ON rules.antecedent = antecedents.products
    INNER JOIN sets AS consequents ON rules.consequent = consequents.products
    CROSS JOIN totals
)

SELECT
    antecedent,
    consequent,
    products,
    both_count::BIGINT AS support_count,
    antecedent_count::BIGINT AS antecedent_count,
    consequent_count::BIGINT AS consequent_count,
    cardinality(products) AS item_count,
    both_count / basket_count AS support_share,
    both_count / antecedent_count AS confidence,
    both_count / consequent_count AS reverse_confidence,
    both_count * basket_count / (antecedent_count * consequent_count) AS lift,
    antecedent_count * (basket_count - consequent_count)
    / nullif(basket_count * (antecedent_count - both_count), 0) AS conviction,
    (both_count * basket_count - antecedent_count * consequent_count) / (basket_count * basket_count) AS leverage
FROM counted
