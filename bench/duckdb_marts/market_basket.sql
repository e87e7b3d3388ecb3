CREATE TEMP TABLE items AS
SELECT DISTINCT order_id, product_id
FROM shop.order_lines INNER JOIN shop.orders USING (order_id)
WHERE kind = 'product' AND product_id IS NOT NULL AND paid_at IS NOT NULL;

SET VARIABLE basket_count = (SELECT count(DISTINCT order_id) FROM items);
SET VARIABLE least_count = greatest(ceil(0.005 * getvariable('basket_count')), 1);

CREATE TEMP TABLE singles AS
SELECT product_id, count(*) AS order_count FROM items GROUP BY ALL HAVING order_count >= getvariable('least_count');

CREATE TEMP TABLE frequent_items AS
SELECT order_id, product_id FROM items SEMI JOIN singles USING (product_id);

CREATE TEMP TABLE pairs AS
SELECT firsts.product_id AS first_id, seconds.product_id AS second_id, count(*) AS order_count
FROM frequent_items AS firsts
INNER JOIN frequent_items AS seconds
    ON firsts.order_id = seconds.order_id AND firsts.product_id < seconds.product_id
GROUP BY ALL HAVING order_count >= getvariable('least_count');

CREATE TEMP TABLE paired_items AS
SELECT order_id, firsts.product_id AS first_id, seconds.product_id AS second_id
FROM frequent_items AS firsts
INNER JOIN frequent_items AS seconds USING (order_id)
SEMI JOIN pairs ON firsts.product_id = first_id AND seconds.product_id = second_id;

CREATE TEMP TABLE triples AS
SELECT firsts.first_id, firsts.second_id, seconds.second_id AS third_id, count(*) AS order_count
FROM paired_items AS firsts
INNER JOIN paired_items AS seconds ON firsts.order_id = seconds.order_id AND firsts.second_id = seconds.first_id
SEMI JOIN pairs ON firsts.first_id = pairs.first_id AND seconds.second_id = pairs.second_id
GROUP BY ALL HAVING order_count >= getvariable('least_count');

CREATE TABLE market_basket AS
WITH sets AS (
    SELECT [product_id] AS products, order_count FROM singles
    UNION ALL
    SELECT [first_id, second_id], order_count FROM pairs
    UNION ALL
    SELECT [first_id, second_id, third_id], order_count FROM triples
),

splits AS (
    SELECT products, order_count, [one] AS one, list_filter(products, lambda product: product <> one) AS rest
    FROM (SELECT products, order_count, unnest(products) AS one FROM sets WHERE len(products) > 1)
),

rules AS (
    SELECT products, order_count, one AS antecedent, rest AS consequent FROM splits
    UNION ALL
    SELECT products, order_count, rest, one FROM splits WHERE len(rest) > 1
)

SELECT
    antecedent,
    consequent,
    rules.products,
    len(rules.products) AS item_count,
    rules.order_count AS support_count,
    antecedents.order_count AS antecedent_count,
    consequents.order_count AS consequent_count,
    support_count / getvariable('basket_count') AS support_share,
    support_count / antecedent_count AS confidence,
    support_count / consequent_count AS reverse_confidence,
    confidence / consequent_share AS lift,
    (1 - consequent_share) / nullif(1 - confidence, 0) AS conviction,
    support_share - antecedent_count / getvariable('basket_count') * consequent_share AS leverage
FROM rules
INNER JOIN sets AS antecedents ON antecedent = antecedents.products
INNER JOIN sets AS consequents ON consequent = consequents.products
CROSS JOIN LATERAL (SELECT consequents.order_count / getvariable('basket_count') AS consequent_share)
