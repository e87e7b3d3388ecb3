"""The desk that every notebook works at: a warehouse to ask, a place to try things out, charts without a network.

The warehouse is the one of `make demo` and `make up`, or that whose connection string REGULARS_WAREHOUSE_DSN holds.
Nothing that a notebook does is kept: questions are asked read-only, and an experiment is always taken back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
from psycopg import Connection
from psycopg.types.numeric import FloatLoader

CHECKOUT = Path(__file__).resolve().parents[1]
if str(CHECKOUT) not in sys.path:
    sys.path.insert(0, str(CHECKOUT))

from include.warehouse.connection import connect_warehouse  # noqa: E402

WAREHOUSE = "REGULARS_WAREHOUSE_DSN"

# A picture is seen alike in VS Code, in JupyterLab and on a code host, without an extension and without a network.
alt.renderers.enable("svg")
pd.options.display.max_colwidth = 100


@alt.theme.register("desk", enable=True)
def _theme() -> alt.theme.ThemeConfig:
    """Altair's own, with room left and right: words are wider where the reader has another font than the renderer."""
    view = {"continuousWidth": 300, "continuousHeight": 300}
    return {"config": {"view": view, "padding": {"left": 25, "right": 35, "top": 5, "bottom": 5}}}


class NoWarehouse(RuntimeError):
    """There is no warehouse to ask."""


@cache
def warehouse_dsn() -> str:
    """The connection string of the warehouse; Postgres of the embedded stack is started if it does not run.

    :raises NoWarehouse: neither the variable nor `make dsn` gives one.
    """
    if given := os.environ.get(WAREHOUSE):
        return given
    told = subprocess.run(["make", "-s", "dsn"], cwd=CHECKOUT, capture_output=True, text=True)  # noqa: S607
    if told.returncode != 0:
        raise NoWarehouse(
            f"`make -s dsn` ended with code {told.returncode}: {(told.stderr or told.stdout).strip()[-500:]}\n"
            f"Run `make demo` once, or put the connection string of a warehouse into {WAREHOUSE}."
        )
    return told.stdout.strip().splitlines()[-1]


def ask(query: str, *parameters: Any) -> pd.DataFrame:
    """The answer to a question in SQL. Amounts come as 64-bit floats: good to look at, not to keep books by.

    :param query: with `%s` for each parameter.
    """
    cursor = _reader().execute(query, parameters or None)  # type: ignore[arg-type]
    return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])


def data_until() -> pd.Timestamp:
    """The midnight (UTC) up to which orders were loaded, by the receipts.

    :raises NoWarehouse: nothing was loaded yet.
    """
    loaded = ask("SELECT max(window_end) AS until FROM ops.receipts WHERE step = 'upsert' AND entity = 'orders'")
    if loaded["until"].isna().all():
        raise NoWarehouse("Nothing was loaded into this warehouse yet. Run `make demo` once.")
    return pd.Timestamp(loaded["until"][0]).floor("D")


def experiment() -> Connection:
    """A connection on which anything may be tried: nobody else sees it, and it is gone when the connection closes.

    It is closed for you after a quarter of an hour without a statement, since others wait for what it has locked.
    """
    conn = connect_warehouse(warehouse_dsn())
    conn.execute("SET LOCAL idle_in_transaction_session_timeout = '15min'")
    return conn


@cache
def _reader() -> Connection:
    conn = connect_warehouse(warehouse_dsn())
    conn.autocommit = True
    conn.execute("SET default_transaction_read_only = on")
    conn.adapters.register_loader("numeric", FloatLoader)
    return conn
