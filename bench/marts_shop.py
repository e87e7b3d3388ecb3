"""A shop of any number of order lines for the benchmark of the marts: the same one every time, made in the database.

Facts come in the order of their time, as loads bring them, so numbers and places on disk follow it. Per order there are
four lines and one session on average. Few products make most lines, some are bought together, and few customers place
most orders; weeks go up and down, prices change, and a dearer product is bought in smaller numbers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from psycopg import Connection

START = datetime(2024, 1, 15, tzinfo=UTC)
"""A Monday."""
DAYS = 728
"""Two years in whole weeks."""
UNTIL = START + timedelta(days=DAYS)
LINES_PER_ORDER = 4
LINES_PER_CUSTOMER = 40
PRODUCTS = 2_000
DAYS_PER_PRICE = 60
FACTS = (
    "shop.products", "shop.product_versions", "shop.orders", "shop.order_lines", "shop.refunds", "shop.refund_lines",
    "shop.events", "signals.weather_daily", "signals.stock_prices_daily",
)  # fmt: skip

_PROVENANCE = "'bench', '2024-01-15Z', '00000000-0000-0000-0000-000000000000'::uuid, '2024-01-15Z', '2024-01-15Z'"

# chance: 0 to 1, the same each time, from a number and what it is for. moment: when an order or a session is, the more
# of them are in the middle of the week. owner: whose it is; customers join over time, the first ones buy most often.
# price: of a product in one of its spans of time.
_FUNCTIONS = (
    """
    CREATE FUNCTION pg_temp.chance(number bigint, what integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(number, what) & 1048575) / 1048576.0::double precision
    """,
    f"""
    CREATE FUNCTION pg_temp.moment(number bigint, orders bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '{START.isoformat()}'::timestamptz + interval '1 day' * (
        {DAYS} * ((number - 0.5::double precision) / orders)
        - 0.4 * sin(2 * pi() / 7 * {DAYS} * ((number - 0.5::double precision) / orders))
    )
    """,
    """
    CREATE FUNCTION pg_temp.owner(number bigint, what integer, orders bigint, customers bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1 + floor(
        customers * least(0.1 + 0.9 * number / orders::double precision, 1)
        * power(pg_temp.chance(number, what), 1.5)
    )::bigint
    """,
    """
    CREATE FUNCTION pg_temp.price(product bigint, span bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (5 + product %% 60) * (0.8 + 0.4 * pg_temp.chance(product * 1000 + span, 3))
    """,
)
_CATALOGUE = (
    f"""
    INSERT INTO shop.customers
    SELECT number, 'c' || number || '@example.com', 'a', 'b', 'GB', '2024-01-15Z', true, {_PROVENANCE}
    FROM generate_series(1, %(customers)s) AS number
    """,
    f"""
    INSERT INTO shop.products
    SELECT
        number, 'sku-' || number, 'product ' || number, round(pg_temp.price(number, 12)::numeric, 2), 'GBP',
        jsonb_build_array('category ' || number %% 20), '{{}}', 'instock', true, '2024-01-15Z', {_PROVENANCE}
    FROM generate_series(1, {PRODUCTS}) AS number
    """,
    f"""
    INSERT INTO shop.product_versions
    SELECT
        product_id, CASE WHEN span = 0 THEN '-infinity' ELSE '{START.isoformat()}'::timestamptz
        + make_interval(days => span * {DAYS_PER_PRICE}) END,
        name, round(pg_temp.price(product_id, span)::numeric, 2), currency, categories
    FROM shop.products CROSS JOIN generate_series(0, 12) AS span
    """,
    f"""
    INSERT INTO signals.weather_daily (
        location, weather_on, latitude, longitude, temperature_max_celsius, temperature_min_celsius, precipitation_mm,
        wind_speed_max_kmh, source, source_updated_at, content_digest, first_seen_at, ingested_at, country
    )
    SELECT
        location, day::date, 51, 0, 20 * pg_temp.chance(day::date - '2000-01-01'::date, 30), 1,
        5 * pg_temp.chance(day::date - '2000-01-01'::date, 31), 30 * pg_temp.chance(day::date - '2000-01-01'::date, 34),
        {_PROVENANCE}, country
    FROM generate_series('2023-12-01Z'::timestamptz, '2026-01-31Z', interval '1 day') AS day
    CROSS JOIN (VALUES ('London', 'GB'), ('Berlin', 'DE'), ('elsewhere', NULL)) AS places (location, country)
    """,
    f"""
    INSERT INTO signals.stock_prices_daily
    SELECT
        'SHOP', day::date, 1, 2, 1, round((1 + pg_temp.chance(day::date - '2000-01-01'::date, 32))::numeric, 4), 'USD',
        100 + floor(1000 * pg_temp.chance(day::date - '2000-01-01'::date, 33))::bigint, {_PROVENANCE}
    FROM generate_series('2023-12-01Z'::timestamptz, '2026-01-31Z', interval '1 day') AS day
    WHERE extract(ISODOW FROM day) < 6
    """,
)
# OFFSET 0 has what a subquery says computed once, and not again wherever it is named; series come in order as they are.
# A quarter of the lines after the first are of the first one's family of four products.
_LINES = f"""
INSERT INTO shop.order_lines
SELECT
    order_id, line_id, kind, CASE WHEN kind = 'product' THEN product_id END, NULL, 'p', quantity, unit_price,
    quantity * unit_price, {_PROVENANCE}
FROM generate_series(%(first)s::bigint, %(last)s) AS order_id
CROSS JOIN LATERAL (
    SELECT
        pg_temp.moment(order_id, %(orders)s) AS at,
        floor({PRODUCTS} * power(pg_temp.chance(order_id, 4), 3))::bigint AS favourite
    OFFSET 0
) AS orders
CROSS JOIN LATERAL generate_series(
    1, 1 + floor({2 * LINES_PER_ORDER - 1} * pg_temp.chance(order_id, 5))::integer
) AS line_id
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN pg_temp.chance(order_id * 8 + line_id, 6) < 0.05 THEN 'shipping' ELSE 'product' END AS kind,
        1 + CASE
            WHEN line_id = 1 THEN favourite
            WHEN pg_temp.chance(order_id * 8 + line_id, 7) < 0.25
                THEN favourite / 4 * 4 + floor(4 * pg_temp.chance(order_id * 8 + line_id, 8))::bigint
            ELSE floor({PRODUCTS} * power(pg_temp.chance(order_id * 8 + line_id, 9), 3))::bigint
        END AS product_id
    OFFSET 0
) AS bought
CROSS JOIN LATERAL (
    SELECT pg_temp.price(
        product_id, extract(DAY FROM at - '{START.isoformat()}'::timestamptz)::bigint / {DAYS_PER_PRICE}
    ) AS price
    OFFSET 0
) AS prices
CROSS JOIN LATERAL (
    SELECT
        1 + floor(
            2 * pg_temp.chance(order_id * 8 + line_id, 10) * power((5 + product_id %% 60) / price, 2)
        )::bigint AS quantity,
        round(price::numeric, 2) AS unit_price
    OFFSET 0
) AS sales
WHERE at < %(until)s
"""
_ORDERS = f"""
INSERT INTO shop.orders
SELECT
    order_id, order_id::text,
    CASE
        WHEN pg_temp.chance(order_id, 11) >= 0.03
            THEN pg_temp.owner(order_id, 12, %(orders)s, %(customers)s)
    END,
    'completed', 'GBP', total_amount, 0, 5, 2, (ARRAY['GB', 'GB', 'DE', 'FR'])[1 + order_id %% 4],
    at - interval '5 minutes', CASE WHEN pg_temp.chance(order_id, 13) >= 0.02 THEN at END, at + interval '1 day', NULL,
    {_PROVENANCE}
FROM (
    SELECT order_id, sum(total_amount) + 5 AS total_amount, pg_temp.moment(order_id, %(orders)s) AS at
    FROM shop.order_lines WHERE order_id BETWEEN %(first)s AND %(last)s GROUP BY order_id
) AS totals
ORDER BY totals.order_id
"""
_REFUNDS = f"""
INSERT INTO shop.refunds
SELECT
    orders.order_id, orders.order_id, CASE WHEN orders.order_id %% 200 = 0 THEN orders.customer_id END,
    order_lines.total_amount, 'GBP', NULL, orders.paid_at + interval '9 days', {_PROVENANCE}
FROM shop.orders
INNER JOIN shop.order_lines ON orders.order_id = order_lines.order_id AND order_lines.line_id = 1
WHERE
    orders.order_id %% 20 = 0 AND orders.paid_at >= %(from)s - interval '9 days'
    AND orders.paid_at < %(until)s - interval '9 days'
ORDER BY orders.order_id
"""
_REFUND_LINES = f"""
INSERT INTO shop.refund_lines
SELECT
    refunds.refund_id, order_lines.line_id, order_lines.kind, order_lines.product_id, NULL, 'p', order_lines.quantity,
    order_lines.total_amount, {_PROVENANCE}
FROM shop.refunds
INNER JOIN shop.order_lines ON refunds.order_id = order_lines.order_id AND order_lines.line_id = 1
WHERE refunds.refunded_at >= %(from)s
"""
# A session views up to three products; two in five go on to add one, and so on to the order.
_EVENTS = f"""
INSERT INTO shop.events
SELECT
    'e' || lpad(number::text, 10, '0') || place,
    CASE
        WHEN place <= views THEN 'Product Viewed'
        ELSE (ARRAY['Product Added', 'Checkout Started', 'Order Completed'])[place - views]
    END,
    CASE
        WHEN pg_temp.chance(number, 16) < 0.7 THEN pg_temp.owner(number, 17, %(orders)s, %(customers)s)
    END,
    'v' || pg_temp.owner(number, 17, %(orders)s, %(customers)s),
    CASE
        WHEN place <= views + 1
            THEN 1 + floor({PRODUCTS} * power(pg_temp.chance(number * 8 + place, 18), 3))::bigint
    END,
    NULL, jsonb_build_object('context', context), occurred_at, {_PROVENANCE}
FROM generate_series(%(first)s::bigint, %(last)s) AS number
CROSS JOIN LATERAL (
    SELECT
        pg_temp.moment(number, %(orders)s) AS at,
        1 + floor(3 * pg_temp.chance(number, 14))::integer AS views,
        CASE
            WHEN pg_temp.chance(number, 15) < 0.2 THEN 3
            WHEN pg_temp.chance(number, 15) < 0.25 THEN 2
            WHEN pg_temp.chance(number, 15) < 0.4 THEN 1
            ELSE 0
        END AS steps,
        jsonb_build_object(
            'page', jsonb_build_object('path', '/'),
            'campaign', CASE
                WHEN number %% 7 < 4 THEN '{{}}'::jsonb
                ELSE jsonb_build_object('source', (ARRAY['newsletter', 'google', 'instagram'])[number %% 7 - 3])
            END,
            'device', jsonb_build_object('type', (ARRAY['mobile', 'mobile', 'desktop', 'tablet'])[1 + number / 7 %% 4]),
            'sessionId', CASE WHEN number %% 20 > 0 THEN 's' || number END
        ) AS context
    OFFSET 0
) AS sessions
CROSS JOIN LATERAL generate_series(1, views + steps) AS place
CROSS JOIN LATERAL (
    SELECT at + interval '1 second' * (60 * place + 50 * pg_temp.chance(number * 8 + place, 19)) AS occurred_at
    OFFSET 0
) AS instants
WHERE occurred_at < %(until)s
"""


def fill_shop(conn: Connection, *, lines: int) -> None:
    """Two years of facts up to `UNTIL`; nothing of them is noted as changed."""
    sizes = _sizes(lines) | {"first": 1, "last": lines // LINES_PER_ORDER, "from": START, "until": UNTIL}
    conn.execute("SET session_replication_role = replica")
    indices = _drop_indices(conn)
    for statement in (*_FUNCTIONS, *_CATALOGUE, _LINES, _ORDERS, _REFUNDS, _REFUND_LINES, _EVENTS):
        conn.execute(statement, sizes)
        if statement is _LINES or statement is _ORDERS:
            conn.execute("ANALYZE shop.order_lines")
    conn.execute("SET maintenance_work_mem = '1GB'")
    for index in indices:
        conn.execute(index)
    conn.execute("SET session_replication_role = origin")
    conn.commit()
    conn.autocommit = True
    conn.execute("VACUUM ANALYZE")
    conn.execute("CHECKPOINT")
    conn.autocommit = False


def load_next_day(conn: Connection, *, lines: int) -> datetime:
    """The facts of the day after `UNTIL`, noted as any load's are; on the connection that filled the shop.

    Returns the end of that day.
    """
    orders = lines // LINES_PER_ORDER
    until = UNTIL + timedelta(days=1)
    sizes = _sizes(lines) | {
        "first": orders + 1, "last": orders + 1 + orders * 3 // DAYS, "from": UNTIL, "until": until,
    }  # fmt: skip
    for statement in (_LINES, _ORDERS, _REFUNDS, _REFUND_LINES, _EVENTS):
        conn.execute(statement, sizes)
    conn.commit()
    return until


def _sizes(lines: int) -> dict[str, object]:
    return {"orders": lines // LINES_PER_ORDER, "customers": max(lines // LINES_PER_CUSTOMER, 10)}


def _drop_indices(conn: Connection) -> list[str]:
    """Those of the facts that are no keys: made at the end they are made sooner. Returns how they are made."""
    found = conn.execute(
        """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE
            indrelid = ANY (%s::regclass[])
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE pg_constraint.conindid = pg_index.indexrelid)
        """,
        (list(FACTS),),
    ).fetchall()
    for name, _ in found:
        conn.execute(f"DROP INDEX {name}")
    return [definition for _, definition in found]
