"""The first sentence of the day: is all well, and if not, what is to be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from dashboard import words
from dashboard.pages.today_runs import LastRun
from dashboard.pages.today_warehouse import Freshness, Gap
from include.features.report import ViewReport

Grade = Literal["good", "warn", "bad"]
IN_THE_NIGHT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    :param anchor: id of the part of the page that tells more.
    """

    grade: Grade
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings, the worst first."""

    findings: Sequence[Finding]

    @property
    def grade(self) -> Grade:
        """That of the worst finding."""
        return self.findings[0].grade if self.findings else "good"

    @property
    def title(self) -> str:
        """In a few words."""
        return {
            "good": "Last night worked.",
            "warn": "Last night worked, but there is something to look at.",
            "bad": "Something needs you.",
        }[self.grade]


def judge(
    *,
    runs: Sequence[LastRun],
    gaps: Sequence[Gap],
    rejections: Sequence[dict[str, Any]],
    tables: Sequence[Freshness],
    views: Sequence[ViewReport],
    marts: Sequence[dict[str, Any]],
    failed_checks: Sequence[dict[str, Any]],
    now: datetime,
) -> Verdict:
    """What stands out of what was read."""
    findings = [
        *_of_runs(runs, now),
        *(
            Finding("bad", f"{', '.join(gap.entities)}: {_days(gap.days)} never loaded, from {_from(gap)}.", "missing")
            for gap in gaps
        ),
        *(
            Finding("bad", f"{check['entity']}: {check['expectation']} did not hold.", "rejected")
            for check in failed_checks
            if check["severity"] == "critical"
        ),
    ]
    if recent := sum(each["recent_count"] for each in rejections):
        findings.append(Finding("warn", f"{words.number(recent)} rows were rejected in the last day.", "rejected"))
    if late := [each.table for each in tables if each.is_late(now)]:
        findings.append(Finding("warn", f"Not written last night: {_listed(late)}.", "freshness"))
    if stale := [each for each in views if each.coverage is None or each.coverage.missing or each.preview.stale]:
        names = _listed([each.view.name for each in stale])
        findings.append(Finding("warn", f"Features with missing or stale snapshots: {names}.", "features"))
    if waiting := [each["mart"] for each in marts if each["stale_day_count"]]:
        findings.append(Finding("warn", f"Marts that have not followed changed facts: {_listed(waiting)}.", "marts"))
    return Verdict(sorted(findings, key=lambda each: each.grade != "bad"))


def _of_runs(runs: Sequence[LastRun], now: datetime) -> list[Finding]:
    findings = [
        Finding("bad", f"The last run of {run.dag_id} failed{_tasks(run)}.", "runs")
        for run in runs
        if run.state == "failed"
    ]
    if runs and not any(run.started_at and now - run.started_at <= IN_THE_NIGHT for run in runs):
        told = "every DAG is paused" if all(run.is_paused for run in runs) else "see that the scheduler runs"
        findings.append(Finding("warn", f"No DAG has run in the last day: {told}.", "runs"))
    return findings


def _tasks(run: LastRun) -> str:
    return f" at {', '.join(task.task_id for task in run.tasks)}" if run.tasks else ""


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{words.number(count)} days"


def _from(gap: Gap) -> str:
    return f"{words.day(gap.window.start)} to {words.day(gap.last_day)}"


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
