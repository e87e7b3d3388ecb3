"""`make up`, `make down`, `make dsn`."""

from __future__ import annotations

import sys

from include.local.airflow_settings import ADMIN
from include.local.databases import ensure_warehouse
from include.local.places import Places
from include.local.postgres import PostgresServer
from include.local.progress import Progress
from include.local.shop import Shop, last_shop
from include.local.stack import start_stack, stop_airflow_and_sandbox
from include.local.turns import end_other_command, my_turn


def up(*, places: Places, shop: Shop, progress: Progress) -> None:
    """Start everything, leave it running, and say where it is.

    :raises LocalStackError: a part does not come up; what had been started is stopped again.
    """
    with my_turn(places, command="make up"):
        stack = start_stack(places=places, shop=shop, progress=progress, is_open=True)
    start, end = stack.health["start"], stack.health["end"]
    progress.plain()
    progress.plain(f"Airflow    {stack.api.url}")
    progress.plain(f"user       {ADMIN}")
    progress.plain(f"password   {stack.keys.admin_password}")
    progress.plain(f"warehouse  {shop.database}    (make dsn prints its connection string)")
    progress.plain(f"metrics    {stack.metrics_url}")
    progress.plain(f"API        {stack.api_url}")
    if stack.api_key:
        progress.plain(f"API-key    {stack.api_key}")
        progress.plain('           (shown this once; make api-keys DO="create NAME --scope churn:read" makes another)')
    progress.plain(f"sandbox    a shop from {start} to {end}")
    progress.plain()
    progress.plain("All DAGs are paused and ready to trigger, for example with")
    progress.plain(f"  start {start}   end {end}")
    progress.plain("make down stops all of it.")


def down(*, places: Places, progress: Progress) -> None:
    """Stop what was started here: a command at work, Airflow, the sandbox, Postgres.

    :raises LocalStackError: something does not end.
    """
    if not places.home.is_dir():
        progress.say("nothing was started here")
        return
    command = end_other_command(places)
    with my_turn(places, command="make down"):
        stopped = [command] if command else []
        stopped += stop_airflow_and_sandbox(places)
        server = PostgresServer(places.postgres)
        if server.is_running:
            server.stop()
            stopped.append("postgres")
    progress.say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running here")


def dsn(*, places: Places) -> str:
    """The connection string of the warehouse used last; Postgres is started when it is down.

    :raises LocalStackError: Postgres does not start.
    """
    server = PostgresServer(places.postgres)
    if not server.is_running:
        Progress(stream=sys.stderr).say("Postgres was down; starting it (make down stops it)")
        server.start()
    database = last_shop(places.shop).database
    ensure_warehouse(server, database)
    return server.dsn(database)
