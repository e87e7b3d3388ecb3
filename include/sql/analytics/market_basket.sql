-- One row per rule: orders with the products of the antecedent have those of the consequent too. A pair of products
-- makes two rules, a triple six. Of all baskets, which are the paid orders with products, at least the share
-- analytics.least_support() must have all products of a rule.
-- The way (Agrawal and Srikant 1994): no set is in more baskets than any part of it. So pairs are made of frequent
-- products only, and triples of frequent pairs only.
WITH totals AS MATERIALIZED (
    SELECT
        sum(order_count) AS basket_count,
        greatest(ceil(analytics.least_support() * sum(order_count)), 1)::BIGINT AS least_count
    FROM analytics.baskets_daily
),

-- Numbered from the rarest on: what is in most baskets then begins few pairs.
frequent AS MATERIALIZED (
    SELECT
        items.product_id,
        sum(baskets.order_count)::BIGINT AS order_count,
        (row_number() OVER (ORDER BY sum(baskets.order_count), items.product_id))::INTEGER AS number
    FROM analytics.baskets_daily AS baskets
    CROSS JOIN LATERAL unnest(baskets.products) AS items (product_id)
    GROUP BY items.product_id
    HAVING sum(baskets.order_count) >= (SELECT totals.least_count FROM totals)
),

basket_items AS (
    SELECT
        baskets.basket_number,
        baskets.order_count,
        frequent.number
    FROM (
        SELECT
            order_count,
            products,
            row_number() OVER () AS basket_number
        FROM analytics.baskets_daily
        WHERE cardinality(products) > 1
    ) AS baskets
    CROSS JOIN LATERAL unnest(baskets.products) AS items (product_id)
    INNER JOIN frequent ON items.product_id = frequent.product_id
),

baskets AS MATERIALIZED (
    SELECT
        basket_number,
        order_count,
        array_agg(number ORDER BY number) AS numbers
    FROM basket_items
    GROUP BY basket_number, order_count
    HAVING count(*) > 1
),

pairs AS MATERIALIZED (
    SELECT
        firsts.number AS first_number,
        seconds.number AS second_number,
        sum(baskets.order_count)::BIGINT AS order_count
    FROM baskets
    CROSS JOIN LATERAL unnest(baskets.numbers) WITH ORDINALITY AS firsts (number, place)
    CROSS JOIN LATERAL unnest(baskets.numbers[firsts.place + 1:]) AS seconds (number)
    GROUP BY firsts.number, seconds.number
    HAVING sum(baskets.order_count) >= (SELECT totals.least_count FROM totals)
),

-- The frequent pairs of a basket, with all that begin with one product together.
basket_pairs AS (
    SELECT
        baskets.basket_number,
        baskets.order_count,
        pairs.first_number,
        array_agg(pairs.second_number ORDER BY pairs.second_number) AS second_numbers
    FROM baskets
    CROSS JOIN LATERAL unnest(baskets.numbers) WITH ORDINALITY AS firsts (number, place)
    CROSS JOIN LATERAL unnest(baskets.numbers[firsts.place + 1:]) AS seconds (number)
    INNER JOIN pairs ON firsts.number = pairs.first_number AND seconds.number = pairs.second_number
    WHERE cardinality(baskets.numbers) > 2
    GROUP BY baskets.basket_number, baskets.order_count, pairs.first_number
    HAVING count(*) > 1
),

triples AS (
    SELECT
        basket_pairs.first_number,
        pairs.first_number AS second_number,
        pairs.second_number AS third_number,
        sum(basket_pairs.order_count)::BIGINT AS order_count
    FROM basket_pairs
    CROSS JOIN LATERAL unnest(basket_pairs.second_numbers) WITH ORDINALITY AS seconds (number, place)
    CROSS JOIN LATERAL unnest(basket_pairs.second_numbers[seconds.place + 1:]) AS thirds (number)
    INNER JOIN pairs ON seconds.number = pairs.first_number AND thirds.number = pairs.second_number
    GROUP BY basket_pairs.first_number, pairs.first_number, pairs.second_number
    HAVING sum(basket_pairs.order_count) >= (SELECT totals.least_count FROM totals)
),

-- All sets by their products, the smallest number first.
sets AS MATERIALIZED (
    SELECT
        order_count,
        ARRAY[product_id] AS products
    FROM frequent
    UNION ALL
    SELECT
        pairs.order_count,
        ARRAY[
            least(firsts.product_id, seconds.product_id), greatest(firsts.product_id, seconds.product_id)
        ] AS products
    FROM pairs
    INNER JOIN frequent AS firsts ON pairs.first_number = firsts.number
    INNER JOIN frequent AS seconds ON pairs.second_number = seconds.number
    UNION ALL
    SELECT
        triples.order_count,
        sorted.products
    FROM triples
    CROSS JOIN LATERAL (
        SELECT array_agg(frequent.product_id ORDER BY frequent.product_id) AS products
        FROM frequent
        WHERE frequent.number IN (triples.first_number, triples.second_number, triples.third_number)
    ) AS sorted
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
