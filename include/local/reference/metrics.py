"""The page of the metrics."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from prometheus_client.metrics_core import Metric

from include.ingestion.metrics_families import families
from include.ingestion.metrics_readings import (
    OUTCOMES,
    Circuit,
    ExpectationTotals,
    ModelMeasurement,
    OpenRows,
    Readings,
    RequestTotals,
    SchemaChanges,
    StepTotals,
)
from include.local.reference.markdown import code, codes, page, table
from include.serving.metrics import ApiMetrics
from include.sources.request_log import BUCKET_SECONDS

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_ONE_OF_EACH = Readings(
    steps=(
        StepTotals(
            step="upsert", entity="orders", receipts=0, seconds=0.0, received=0, rows=[0] * len(OUTCOMES), deleted=0,
            last_written_at=_LONG_AGO, newest_window_end=_LONG_AGO, newest_version_at=_LONG_AGO,
        ),
    ),
    requests=(
        RequestTotals(
            host="", source="", status="", request_count=0, retry_count=0, seconds_total=0.0,
            bucket_counts=[0] * (len(BUCKET_SECONDS) + 1),
        ),
    ),
    circuits=(Circuit(host="", state="closed", failure_count=0),),
    open_rows=(OpenRows(entity="", rule="", rows=0),),
    expectations=(
        ExpectationTotals(
            entity="", expectation="", column="", severity="", checks=0, failures=0, is_holding=True
        ),
    ),
    schema_changes=(SchemaChanges(entity="", change="", fields=0),),
    measurements=(ModelMeasurement(subject="", metric="", value=0.0, is_alert=False),),
)  # fmt: skip
"""A platform on which each metric has something to say, so that it names its labels."""


def metrics_page(mapping: Any) -> str:
    """:param mapping: the content of `deploy/statsd/mapping.yaml`."""
    airflow = table(
        ("metric", "says", "of Airflow's"),
        (
            (code(each["name"].replace("$1", "*")), each["help"], code(each["match"]))
            for each in mapping["mappings"]
            if each.get("action") != "drop"
        ),
    )
    return page(
        "Metrics",
        "What Prometheus reads. [How to watch the platform](../monitoring.md) says what to make of them.",
        f"## The platform\n\n{_table(families(_ONE_OF_EACH, now=_LONG_AGO))}",
        f"## The API\n\n{_table(_api())}",
        f"## Airflow\n\nFrom its StatsD, as `deploy/statsd/mapping.yaml` names them.\n\n{airflow}",
    )


def _api() -> Iterable[Metric]:
    metrics = ApiMetrics()
    metrics.note_request("", 200, 0.0)
    metrics.note_model(name="", version="", model_id="")
    return metrics.registry.collect()


def _table(metrics: Iterable[Metric]) -> str:
    return table(
        ("metric", "kind", "labels", "says"),
        ((code(_name(each)), each.type, codes(_labels(each)), each.documentation) for each in metrics),
    )


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(metric: Metric) -> list[str]:
    return sorted({label for sample in metric.samples for label in sample.labels} - {"le"})
