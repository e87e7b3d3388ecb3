-- One row per product of the catalogue, or that was sold.
SELECT product_id FROM shop.products
UNION
SELECT product_id FROM shop.order_lines
WHERE product_id IS NOT NULL
