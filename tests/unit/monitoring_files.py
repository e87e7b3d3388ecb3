"""Reads the files of the monitoring: alert rules, the dashboard's queries, the StatsD mapping."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.unit.deployment_files import CHECKOUT

PROMETHEUS = CHECKOUT / "deploy" / "prometheus"
ALERTS = PROMETHEUS / "alerts.yaml"
GRAFANA = CHECKOUT / "deploy" / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "regulars.json"
MAPPING = CHECKOUT / "deploy" / "statsd" / "mapping.yaml"
GUIDE = CHECKOUT / "docs" / "monitoring.md"


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return json.loads(DASHBOARD.read_text())


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the dashboard.

    :param legend: the labels that a series is named by, as `{{label}}`.
    """

    panel: str
    expression: str
    legend: str


def queries() -> list[Query]:
    """Every query of every panel."""
    return [
        Query(panel["title"], target["expr"], target.get("legendFormat", ""))
        for panel in panels()
        for target in panel.get("targets", [])
    ]


def panels() -> Iterator[dict[str, Any]]:
    """Every panel, rows included."""
    yield from dashboard()["panels"]
