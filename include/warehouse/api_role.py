"""What the API's own role may do in the warehouse: read what it answers with."""

from __future__ import annotations

from psycopg import Connection

API_ROLE = "warehouse_api"

# Of customers and products it needs to know whether there is one, and no more. Feature views and models get tables when
# they are first built, so those to come are readable too.
_GRANTS = """
GRANT USAGE ON SCHEMA features, ml, serving, shop TO warehouse_api;
GRANT SELECT ON ALL TABLES IN SCHEMA features, ml TO warehouse_api;
ALTER DEFAULT PRIVILEGES IN SCHEMA features, ml GRANT SELECT ON TABLES TO warehouse_api;
GRANT SELECT ON serving.api_keys TO warehouse_api;
GRANT SELECT (customer_id) ON shop.customers, shop.orders TO warehouse_api;
GRANT SELECT (product_id) ON shop.products TO warehouse_api;
"""


def grant_to_api(conn: Connection) -> None:
    """Let the role `warehouse_api` read what the API answers with, and nothing else; without that role nothing happens.

    Safe to call again at any time by the owner of the tables, after `migrate`.
    """
    if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (API_ROLE,)).rowcount:
        conn.execute(_GRANTS)
