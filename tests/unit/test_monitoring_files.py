"""The dashboard, its provisioning and the guide: whole, consistent with each other and with what /metrics has."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.ingestion.metrics_families import families
from include.ingestion.metrics_readings import Readings
from include.serving.metrics import ApiMetrics
from tests.unit.deployment_files import CHECKOUT, services
from tests.unit.monitoring_files import GRAFANA, GUIDE, MAPPING, Query, alerts, dashboard, panels, queries

METRIC = re.compile(r"\b(?:regulars|airflow)_[a-z_]+\b")
SHOWN_BY_THE_ENDPOINT_ITSELF = {"regulars_up", "regulars_scrape_seconds"}
HOME_DASHBOARD = "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
PARTS_OF_HISTOGRAMS = re.compile(r"_(bucket|sum|count)$")


def metrics_of_regulars() -> set[str]:
    """Names as Prometheus stores them, without the parts of histograms."""
    nothing = Readings(steps=[], requests=[], circuits=[], open_rows=[], expectations=[], schema_changes=[])
    found = list(families(nothing, now=datetime(2024, 6, 1, tzinfo=UTC)))
    found += list(ApiMetrics().registry.collect())
    return {each.name + ("_total" if each.type == "counter" else "") for each in found} | SHOWN_BY_THE_ENDPOINT_ITSELF


def metrics_of_airflow() -> set[str]:
    return {rule["name"] for rule in yaml.safe_load(MAPPING.read_text())["mappings"]}


def exists(metric: str) -> bool:
    plain = PARTS_OF_HISTOGRAMS.sub("", metric)
    if metric.startswith("regulars_"):
        return metric in metrics_of_regulars() or plain in metrics_of_regulars()
    return any(re.fullmatch(name.replace("$1", r"\w+"), plain) for name in metrics_of_airflow())


@pytest.mark.parametrize(
    "expression",
    [query.expression for query in queries()] + [rule["expr"] for rule in alerts()],
)
def test_every_metric_that_is_asked_for_exists(expression: str):
    asked = set(METRIC.findall(expression))
    assert {metric for metric in asked if not exists(metric)} == set()
    assert asked or expression.startswith(("up{", "ALERTS{"))


def test_the_guide_explains_every_metric_and_no_other():
    told = set(re.findall(r"^\| `(regulars_\w+)` \|", GUIDE.read_text(), flags=re.MULTILINE))
    assert told == metrics_of_regulars()


def test_panels_have_a_number_a_title_and_a_place_of_their_own():
    shown = list(panels())
    assert len({panel["id"] for panel in shown}) == len({panel["title"] for panel in shown}) == len(shown)
    for one, other in combinations([panel["gridPos"] for panel in shown], 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_above, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in shown)


def test_every_panel_says_what_it_shows_in_which_unit():
    for panel in panels():
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["targets"], panel["title"]


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.panel)
def test_a_query_with_several_series_names_them_apart(query: Query):
    grouped = re.search(r"by \(([\w, ]+)\)", query.expression)
    if grouped and query.legend:
        wanted = set(grouped[1].split(", ")) - {"le"}
        assert wanted == set(re.findall(r"\{\{(\w+)\}\}", query.legend))


def provisioned(kind: str) -> Any:
    [path] = (GRAFANA / "provisioning" / kind).glob("*.yaml")
    return yaml.safe_load(path.read_text())


def test_the_dashboard_asks_the_data_source_that_is_provisioned():
    [source] = provisioned("datasources")["datasources"]
    named = {panel["datasource"]["uid"] for panel in panels() if "datasource" in panel}
    named |= {target["datasource"]["uid"] for panel in panels() for target in panel.get("targets", [])}
    named |= {variable["datasource"]["uid"] for variable in dashboard()["templating"]["list"]}
    assert named == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    scraping = yaml.safe_load((CHECKOUT / "deploy" / "prometheus" / "prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == scraping["scrape_interval"]


def test_grafana_and_prometheus_find_their_files_where_they_are_mounted():
    mounts = {
        name: {Path(target): CHECKOUT / source for source, target, *_ in (m.split(":") for m in service["volumes"])}
        for name, service in services().items()
        if name in ("grafana", "prometheus", "statsd-exporter")
    }
    [provider] = provisioned("dashboards")["providers"]
    assert mounts["grafana"][Path(provider["options"]["path"])] == GRAFANA / "dashboards"
    asked = {
        "grafana": ["/etc/grafana/provisioning", services()["grafana"]["environment"][HOME_DASHBOARD]],
        "prometheus": _given("prometheus", "--config.file="),
        "statsd-exporter": _given("statsd-exporter", "--statsd.mapping-config="),
    }
    for name, paths in asked.items():
        assert paths
        for path in map(Path, paths):
            [(target, source)] = [(t, s) for t, s in mounts[name].items() if path.is_relative_to(t)]
            assert (source / path.relative_to(target)).exists(), f"{name} reads {path}, which is not in the checkout"


def _given(service: str, option: str) -> list[str]:
    return [word.removeprefix(option) for word in services()[service]["command"] if word.startswith(option)]


def test_airflow_sends_where_the_exporter_listens_in_a_form_that_it_understands():
    environment = services()["scheduler"]["environment"]
    assert environment["AIRFLOW__METRICS__STATSD_HOST"] in services()
    port = environment["AIRFLOW__METRICS__STATSD_PORT"]
    assert f"--statsd.listen-udp=:{port}" in services()["statsd-exporter"]["command"]
    environments = {name: service.get("environment", {}) for name, service in services().items()}
    senders = {name for name, given in environments.items() if "AIRFLOW__METRICS__STATSD_ON" in given}
    assert senders == {"init", "api-server", "scheduler", "dag-processor", "triggerer"}
