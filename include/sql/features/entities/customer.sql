-- One row per customer that anything is known of.
SELECT customer_id FROM shop.customers
UNION
SELECT customer_id FROM shop.orders
WHERE customer_id IS NOT NULL
UNION
SELECT customer_id FROM shop.refunds
WHERE customer_id IS NOT NULL
UNION
SELECT customer_id FROM shop.events
WHERE customer_id IS NOT NULL
