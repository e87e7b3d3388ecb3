"""Today: did last night work, what came in, what was rejected and why, what is missing or stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Request
from fastapi.responses import HTMLResponse

from dashboard import words
from dashboard.charts import Chart
from dashboard.pages import today_warehouse as facts
from dashboard.pages.today_runs import last_runs
from dashboard.pages.today_verdict import judge
from dashboard.shell import Page, WarehouseConnection, show
from include.entities.window import Window
from include.features.registry import FEATURE_VIEWS
from include.features.report import report_views

FEATURE_DAYS = 60

page = Page(name="today", title="Today", place=1)


@page.router.get("/today")
def today(request: Request, conn: WarehouseConnection, session: SessionDep, user: GetUserDep) -> HTMLResponse:
    """The state of the platform now; "last night" are the 24 hours before."""
    now = datetime.now(UTC)
    since, midnight = now - timedelta(days=1), now.replace(hour=0, minute=0, second=0, microsecond=0)
    until = facts.loaded_until(conn)
    told: dict[str, Any] = {
        "runs": last_runs(session, user),
        "gaps": facts.gaps(conn, until=midnight),
        "rejections": facts.rejections(conn, since=since),
        "tables": facts.freshness(conn),
        "views": _views(conn, until or midnight),
        "marts": facts.stale_marts(conn),
        "failed_checks": facts.failed_checks(conn, since=since),
    }
    return show(
        request, page, "today.html", now=now, until=until, verdict=judge(now=now, **told), **told,
        intake=facts.intake(conn, since=since), changes=facts.schema_changes(conn, since=since),
        chart=_intake_chart(facts.intake_by_day(conn, now=now)), feature_days=FEATURE_DAYS,
    )  # fmt: skip


def _views(conn: WarehouseConnection, until: datetime):
    end = until.replace(hour=0, minute=0, second=0, microsecond=0)
    return report_views(conn, FEATURE_VIEWS.values(), Window(end - timedelta(days=FEATURE_DAYS), end))


def _intake_chart(rows: list[dict[str, Any]]) -> Chart | None:
    """None if there is one day or none: a table says more then."""
    days = sorted({row["loaded_on"] for row in rows})
    if len(days) < 2:
        return None
    total = {day: sum(row["written_count"] for row in rows if row["loaded_on"] == day) for day in days}
    most = max(days, key=lambda day: total[day])
    return Chart(
        name="intake",
        title=f"Rows written in the last {facts.DAYS_OF_INTAKE} days",
        caption=f"Most were written on {words.day(most)}: {words.number(total[most])}. On the last day with a load, "
        f"{words.day(days[-1])}, there were {words.number(total[days[-1]])}.",
        columns={"loaded_on": "Loaded on", "entity": "Entity", "written_count": "New or changed rows"},
        rows=rows,
        spec={
            "height": 200,
            "mark": {"type": "bar", "tooltip": True},
            "encoding": {
                "x": {"field": "loaded_on", "type": "temporal", "timeUnit": "yearmonthdate", "title": None},
                "y": {"field": "written_count", "type": "quantitative", "title": "rows"},
                "color": {"field": "entity", "type": "nominal", "title": None},
            },
        },
    )
