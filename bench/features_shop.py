"""A shop of any size for benchmarks of features: the same one every time, made inside the database."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from psycopg import Connection

FIRST_FACT = datetime(2024, 1, 1, tzinfo=UTC)
FIRST_SNAPSHOT = datetime(2025, 1, 1, tzinfo=UTC)
SNAPSHOTS = 365
NOW = FIRST_SNAPSHOT + timedelta(days=SNAPSHOTS + 1)
ORDERS_PER_CUSTOMER = 20
EVENTS_PER_ORDER = 2
PRODUCTS = 2_000
FULL_CUSTOMERS = 100_000
CUSTOMERS = int(os.environ.get("FEATURES_CUSTOMERS", "4000"))
"""How many customers the shop has; FEATURES_CUSTOMERS=100000 is the full size."""

# Chance that is the same each time: a number of 0 to 1 from a number and what it is for.
_CHANCE = """
CREATE FUNCTION pg_temp.chance(number bigint, what integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(number, what) & 1048575) / 1048576.0::double precision
"""
_PROVENANCE = "'bench', '2024-01-01Z', '00000000-0000-0000-0000-000000000000'::uuid, '2024-01-01Z', '2024-01-01Z'"
_FACTS = f"""
INSERT INTO shop.customers
SELECT number, 'c' || number || '@example.com', 'a', 'b', 'GB', '2024-01-01Z', true, {_PROVENANCE}
FROM generate_series(1, %(customers)s) AS number;

INSERT INTO shop.products
SELECT
    number, 'sku-' || number, 'product ' || number, 1 + number %% 90, 'GBP',
    jsonb_build_array('category ' || number %% 20), '{{}}', 'instock', true, '2024-01-01Z', {_PROVENANCE}
FROM generate_series(1, %(products)s) AS number;

INSERT INTO shop.product_versions
SELECT product_id, '-infinity', name, price, currency, categories FROM shop.products;

INSERT INTO shop.orders
SELECT
    number, number::text, 1 + floor(pg_temp.chance(number, 1) * %(customers)s)::bigint, 'completed', 'GBP',
    round((10 + 190 * pg_temp.chance(number, 2))::numeric, 2), round((10 * pg_temp.chance(number, 3))::numeric, 2),
    5, 2, (ARRAY['GB', 'DE', 'FR'])[1 + number %% 3], at - interval '5 minutes', at, at + interval '1 day', NULL,
    {_PROVENANCE}
FROM generate_series(1, %(orders)s) AS number
CROSS JOIN LATERAL (
    SELECT '2024-01-01Z'::timestamptz + interval '731 days' * pg_temp.chance(number, 4) AS at
) AS instants;

INSERT INTO shop.order_lines
SELECT
    orders.order_id, line, 'product', 1 + floor(pg_temp.chance(orders.order_id * 4 + line, 5) * %(products)s)::bigint,
    NULL, 'p', 1 + floor(pg_temp.chance(orders.order_id * 4 + line, 6) * 3)::bigint, 10, 10, {_PROVENANCE}
FROM shop.orders
CROSS JOIN LATERAL generate_series(1, 1 + floor(pg_temp.chance(orders.order_id, 7) * 3)::integer) AS line;

INSERT INTO shop.refunds
SELECT order_id, order_id, NULL, 5, 'GBP', NULL, paid_at + interval '9 days', {_PROVENANCE}
FROM shop.orders WHERE order_id %% 20 = 0;

INSERT INTO shop.refund_lines
SELECT
    refunds.refund_id, order_lines.line_id, 'product', order_lines.product_id, NULL, 'p', 1, 5, {_PROVENANCE}
FROM shop.refunds
INNER JOIN shop.order_lines ON refunds.order_id = order_lines.order_id AND order_lines.line_id = 1;

INSERT INTO shop.events
SELECT
    'e' || orders.order_id || '-' || number,
    (ARRAY['Product Viewed', 'Product Added', 'Checkout Started', 'Order Completed'])
        [1 + (orders.order_id + number) %% 4],
    orders.customer_id, NULL, 1 + orders.order_id %% %(products)s, NULL, '{{}}',
    orders.paid_at - number * interval '1 hour' * pg_temp.chance(orders.order_id * 8 + number, 8) * 30, {_PROVENANCE}
FROM shop.orders
CROSS JOIN LATERAL generate_series(1, %(events_per_order)s) AS number;

INSERT INTO signals.weather_daily (
    location, weather_on, latitude, longitude, temperature_max_celsius, temperature_min_celsius, precipitation_mm,
    wind_speed_max_kmh, source, source_updated_at, content_digest, first_seen_at, ingested_at, country
)
SELECT
    location, day::date, 51, 0, 20 * pg_temp.chance(day::date - '2000-01-01'::date, 9), 1, 2, 3, {_PROVENANCE}, country
FROM generate_series('2023-12-01Z'::timestamptz, '2026-01-02Z', interval '1 day') AS day
CROSS JOIN (VALUES ('London', 'GB'), ('Berlin', 'DE'), ('elsewhere', NULL)) AS places (location, country);
"""
_STOCKS = f"""
INSERT INTO signals.stock_prices_daily
SELECT 'SHOP', day::date, 1, 2, 1, 1 + pg_temp.chance(day::date - '2000-01-01'::date, 10), 'USD', 100, {_PROVENANCE}
FROM generate_series('2023-12-01Z'::timestamptz, '2026-01-02Z', interval '1 day') AS day
"""


def fill_shop(conn: Connection, *, customers: int) -> None:
    """Two years of facts, spread evenly over time and customers; nothing of it is noted as touched.

    Per customer 20 orders of one to three lines, one of them refunded, and 40 events.
    """
    sizes = {
        "customers": customers,
        "products": PRODUCTS,
        "orders": customers * ORDERS_PER_CUSTOMER,
        "events_per_order": EVENTS_PER_ORDER,
    }
    conn.execute("SET session_replication_role = replica")
    conn.execute(_CHANCE)
    for statement in (_FACTS + _STOCKS).split(";\n"):
        conn.execute(statement, sizes)
    conn.execute("SET session_replication_role = origin")
    conn.commit()
    conn.autocommit = True
    conn.execute("VACUUM ANALYZE")
    conn.autocommit = False


def add_late_orders(conn: Connection, *, count: int) -> None:
    """Orders of as many customers, each of an instant somewhere in the year of the snapshots; loads note them."""
    conn.execute(
        f"""
        INSERT INTO shop.orders
        SELECT
            1000000000 + number, 'late', number * 7, 'completed', 'GBP', 33, 0, 5, 2, 'GB', at, at, at, NULL,
            {_PROVENANCE}
        FROM generate_series(1, %(count)s) AS number
        CROSS JOIN LATERAL (
            SELECT %(first)s + interval '365 days' * (number - 0.5) / %(count)s AS at
        ) AS instants
        """,
        {"count": count, "first": FIRST_SNAPSHOT},
    )
    conn.commit()
