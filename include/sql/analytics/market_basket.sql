-- One row per rule: orders with the products of the antecedent have those of the consequent too. A pair of products
-- makes two rules, a triple six. Of all baskets, which are the paid orders with products, at least the share
-- analytics.least_support() must have all products of a rule.
-- The way: no set is in more baskets than any part of it (Agrawal and Srikant 1994), so pairs are made of frequent
-- products only and triples of frequent pairs only. The pairs of a small basket are few: they are made and counted.
-- Those of large baskets are many: there each product has one bit per basket, and the bits that two or three of them
-- have in common are counted (Zaki 2000). Baskets of up to 20 products are small.
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
    FROM (SELECT unnest(baskets_daily.products) AS product_id FROM analytics.baskets_daily) AS items
    GROUP BY items.product_id
    HAVING count(*) >= (SELECT totals.least_count FROM totals)
),

small_items AS MATERIALIZED (
    SELECT
        items.order_id,
        items.product_id
    FROM (
        SELECT
            baskets_daily.order_id,
            unnest(baskets_daily.products) AS product_id
        FROM analytics.baskets_daily
        WHERE cardinality(baskets_daily.products) BETWEEN 2 AND 20
    ) AS items
    INNER JOIN frequent ON items.product_id = frequent.product_id
),

large_baskets AS (
    SELECT
        products,
        row_number() OVER () AS basket_number
    FROM analytics.baskets_daily
    WHERE cardinality(products) > 20
),

large_total AS (
    SELECT count(*)::INTEGER AS basket_count
    FROM large_baskets
),

-- How many baskets each item comes after the one before it of the same product.
large_items AS (
    SELECT
        items.product_id,
        items.basket_number,
        items.basket_number - lag(items.basket_number, 1, 0::BIGINT) OVER (
            PARTITION BY items.product_id ORDER BY items.basket_number
        ) AS step
    FROM (SELECT basket_number, unnest(products) AS product_id FROM large_baskets) AS items  -- noqa: LT09
    INNER JOIN frequent ON items.product_id = frequent.product_id
),

bits AS MATERIALIZED (
    SELECT
        product_id,
        rpad(
            string_agg(lpad('1', step::INTEGER, '0'), '' ORDER BY basket_number),
            (SELECT large_total.basket_count FROM large_total),
            '0'
        )::VARBIT AS baskets
    FROM large_items
    GROUP BY product_id
),

pair_counts AS (
    SELECT
        firsts.product_id AS first_id,
        seconds.product_id AS second_id,
        count(*)::INTEGER AS order_count
    FROM small_items AS firsts
    INNER JOIN small_items AS seconds
        ON firsts.order_id = seconds.order_id AND firsts.product_id < seconds.product_id
    GROUP BY firsts.product_id, seconds.product_id
    UNION ALL
    SELECT
        firsts.product_id AS first_id,
        seconds.product_id AS second_id,
        bit_count(firsts.baskets & seconds.baskets)::INTEGER AS order_count
    FROM bits AS firsts
    INNER JOIN bits AS seconds ON firsts.product_id < seconds.product_id
),

pairs AS MATERIALIZED (
    SELECT
        first_id,
        second_id,
        sum(order_count) AS order_count
    FROM pair_counts
    GROUP BY first_id, second_id
    HAVING sum(order_count) >= (SELECT totals.least_count FROM totals)
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

-- Most frequent products are in no candidate, and their items are not looked at again.
candidate_items AS MATERIALIZED (
    SELECT
        small_items.order_id,
        small_items.product_id
    FROM small_items
    WHERE
        small_items.product_id IN (
            SELECT unnest(ARRAY[candidates.first_id, candidates.second_id, candidates.third_id]) AS product_id
            FROM candidates
            WHERE candidates.rest_count IS NOT NULL
        )
),

-- The frequent pairs of a small basket, those that begin with one product together.
small_pairs AS (
    SELECT
        firsts.order_id,
        pairs.first_id,
        array_agg(pairs.second_id ORDER BY pairs.second_id) AS second_ids
    FROM candidate_items AS firsts
    INNER JOIN candidate_items AS seconds
        ON firsts.order_id = seconds.order_id AND firsts.product_id < seconds.product_id
    INNER JOIN pairs ON firsts.product_id = pairs.first_id AND seconds.product_id = pairs.second_id
    GROUP BY firsts.order_id, pairs.first_id
    HAVING count(*) > 1
),

-- Those of small baskets are counted candidate or not: what is none is in fewer baskets than it must be anyway.
triple_counts AS (
    SELECT
        small_pairs.first_id,
        seconds.product_id AS second_id,
        thirds.product_id AS third_id,
        count(*)::INTEGER AS order_count
    FROM small_pairs
    CROSS JOIN LATERAL unnest(small_pairs.second_ids) WITH ORDINALITY AS seconds (product_id, place)
    CROSS JOIN LATERAL unnest(small_pairs.second_ids[seconds.place + 1:]) AS thirds (product_id)
    GROUP BY small_pairs.first_id, seconds.product_id, thirds.product_id
    UNION ALL
    SELECT
        candidates.first_id,
        candidates.second_id,
        candidates.third_id,
        bit_count(firsts.baskets & seconds.baskets & thirds.baskets)::INTEGER AS order_count
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
        sum(order_count) AS order_count,
        ARRAY[first_id, second_id, third_id] AS products
    FROM triple_counts
    GROUP BY first_id, second_id, third_id
    HAVING sum(order_count) >= (SELECT totals.least_count FROM totals)
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
