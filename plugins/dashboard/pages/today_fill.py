"""Fill a gap: a form for the days that are missing, filled in, which Airflow's own API carries out.

Airflow's UI opens its trigger and backfill form by a button alone and not by an address, and its backfill form always
begins empty. This one sends what that one would send, with the user's own permissions.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.models.dag import DagModel
from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from dashboard.pages import today
from dashboard.shell import BadQuestion, show

DAGS = ("shop_to_features", "market_signals")
ONE_DAY = timedelta(days=1)
Way = Literal["range", "daily"]


@today.page.router.get("/today/fill")
def fill(
    request: Request,
    session: SessionDep,
    dag_id: str = DAGS[0],
    start: Annotated[date | None, Query(description="first day, UTC")] = None,
    end: Annotated[date | None, Query(description="last day, UTC; included")] = None,
) -> HTMLResponse:
    """The form. Nothing is started by opening it."""
    if dag_id not in DAGS:
        raise BadQuestion(f"No gap is filled by {dag_id!r}. Choose one of {' and '.join(DAGS)}.")
    yesterday = datetime.now(UTC).date() - ONE_DAY
    last = end or yesterday
    first = start or last
    if first > last:
        raise BadQuestion(f"The first day {first} is after the last day {last}. Exchange the two.")
    dag = session.get(DagModel, dag_id)
    return show(
        request, today.page, "today_fill.html", dags=DAGS, dag_id=dag_id, first=first, last=last, yesterday=yesterday,
        is_paused=dag is None or bool(dag.is_paused), is_known=dag is not None,
        commands={"range": shlex.join(range_command(dag_id, first, last)),
                  "daily": shlex.join(daily_command(dag_id, first, last))},
    )  # fmt: skip


def range_command(dag_id: str, first: date, last: date) -> Sequence[str]:
    """One run over whole days, both included."""
    conf = f'{{"start": "{first}T00:00:00Z", "end": "{last + ONE_DAY}T00:00:00Z"}}'
    return ["airflow", "dags", "trigger", dag_id, "--conf", conf]


def daily_command(dag_id: str, first: date, last: date) -> Sequence[str]:
    """One run for each day, both included, in order."""
    return [
        "airflow", "backfill", "create", "--dag-id", dag_id, "--from-date", str(first), "--to-date", str(last),
        "--max-active-runs", "1",
    ]  # fmt: skip
