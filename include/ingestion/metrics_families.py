"""The metrics themselves: names, help texts and labels, made from readings of the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from include.entities.registry import ENTITIES
from include.ingestion.metrics_readings import OUTCOMES, Readings, StepTotals
from include.sources.request_log import BUCKET_SECONDS

CIRCUIT_STATES = ("closed", "open", "half_open")
SCHEMA_CHANGES = ("added", "missing", "retyped")


def families(readings: Readings, *, now: datetime) -> Iterator[Metric]:
    """Every metric of the platform.

    A counter that has not counted yet is there with 0, so that its first increase is seen as one.

    :param now: what ages and lags are measured to, UTC.
    """
    yield from _steps(readings)
    yield from _ages(readings, now=now)
    yield from _requests(readings)
    yield from _circuits(readings)
    yield from _quality(readings)
    yield from _schema_changes(readings)
    yield from _measurements(readings)


def known_steps() -> list[tuple[str, str]]:
    """(step, entity) of every task of ingestion."""
    steps = []
    for entity in ENTITIES.values():
        names = [entity.name, *([entity.child.name] if entity.child else [])]
        steps += [("extract", entity.name), *((step, name) for step in ("validate", "upsert") for name in names)]
    return steps


def _steps(readings: Readings) -> Iterator[Metric]:
    totals = {(each.step, each.entity): each for each in readings.steps}
    labels = ("step", "entity")
    receipts = CounterMetricFamily("regulars_receipts", "Receipts written: steps that ended well.", labels=labels)
    seconds = CounterMetricFamily("regulars_step_seconds", "Seconds that these steps took.", labels=labels)
    received = CounterMetricFamily("regulars_rows_received", "Rows that a step was given.", labels=labels)
    rows = CounterMetricFamily(
        "regulars_rows", "What became of them; the outcomes add up to what was received.", labels=(*labels, "outcome")
    )
    deleted = CounterMetricFamily(
        "regulars_rows_deleted",
        "Lines that the newest version of their parent no longer has, deleted; outside the sum of outcomes.",
        labels=labels,
    )
    last = GaugeMetricFamily(
        "regulars_last_receipt_timestamp_seconds", "When the newest receipt was written, Unix time.", labels=labels
    )
    for key in sorted({*totals, *known_steps()}):
        each = totals.get(key)
        receipts.add_metric(key, each.receipts if each else 0)
        seconds.add_metric(key, each.seconds if each else 0)
        received.add_metric(key, each.received if each else 0)
        deleted.add_metric(key, each.deleted if each else 0)
        for position, outcome in enumerate(OUTCOMES):
            rows.add_metric((*key, outcome), each.rows[position] if each else 0)
        if each:
            last.add_metric(key, each.last_written_at.timestamp())
    yield from (receipts, seconds, received, rows, deleted, last)


def _ages(readings: Readings, *, now: datetime) -> Iterator[Metric]:
    watermark = GaugeMetricFamily(
        "regulars_watermark_age_seconds",
        "Since the newest version that was taken in of an entity; its source's clock says when that was.",
        labels=("entity",),
    )
    window = GaugeMetricFamily(
        "regulars_window_lag_seconds", "Since the end of the newest window that was loaded.", labels=("entity",)
    )
    for each in _loads(readings):
        window.add_metric((each.entity,), (now - each.newest_window_end).total_seconds())
        if each.newest_version_at is not None:
            watermark.add_metric((each.entity,), (now - each.newest_version_at).total_seconds())
    yield from (watermark, window)


def _loads(readings: Readings) -> list[StepTotals]:
    """Of what is extracted; lines come and go with their parents."""
    return [each for each in readings.steps if each.step == "upsert" and each.entity in ENTITIES]


def _requests(readings: Readings) -> Iterator[Metric]:
    labels = ("host", "source", "status")
    requests = CounterMetricFamily(
        "regulars_http_requests", "Requests to a source's host by HTTP status or what happened instead.", labels=labels
    )
    retries = CounterMetricFamily(
        "regulars_http_retries", "How many of them were followed by another try.", labels=labels
    )
    duration = HistogramMetricFamily(
        "regulars_http_request_duration_seconds", "From asking to the last byte.", labels=labels
    )
    bounds = [*map(str, BUCKET_SECONDS), "+Inf"]
    for each in readings.requests:
        key = (each.host, each.source, each.status)
        requests.add_metric(key, each.request_count)
        retries.add_metric(key, each.retry_count)
        buckets = list(zip(bounds, accumulate(each.bucket_counts), strict=True))
        duration.add_metric(key, buckets=buckets, sum_value=each.seconds_total)
    yield from (requests, retries, duration)


def _circuits(readings: Readings) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "regulars_circuit_state", "1 for the state that the breaker of a host is in.", labels=("host", "state")
    )
    failures = GaugeMetricFamily(
        "regulars_circuit_failures", "Failures in a row that the breaker of a host has seen.", labels=("host",)
    )
    for each in readings.circuits:
        failures.add_metric((each.host,), each.failure_count)
        for name in CIRCUIT_STATES:
            state.add_metric((each.host, name), float(each.state == name))
    yield from (state, failures)


def _quality(readings: Readings) -> Iterator[Metric]:
    open_rows = GaugeMetricFamily(
        "regulars_quarantine_rows", "Rejected rows that nobody has resolved yet.", labels=("entity", "rule")
    )
    for waiting in readings.open_rows:
        open_rows.add_metric((waiting.entity, waiting.rule), waiting.rows)
    labels = ("entity", "expectation", "column", "severity")
    checks = CounterMetricFamily("regulars_expectation_checks", "Batches looked at.", labels=labels)
    failures = CounterMetricFamily("regulars_expectation_failures", "Batches that failed it.", labels=labels)
    holds = GaugeMetricFamily(
        "regulars_expectation_holds", "Whether the newest batch of the entity met it.", labels=labels
    )
    for each in readings.expectations:
        key = (each.entity, each.expectation, each.column, each.severity)
        checks.add_metric(key, each.checks)
        failures.add_metric(key, each.failures)
        if each.is_holding is not None:
            holds.add_metric(key, float(each.is_holding))
    yield from (open_rows, checks, failures, holds)


def _schema_changes(readings: Readings) -> Iterator[Metric]:
    seen = {(each.entity, each.change): each.fields for each in readings.schema_changes}
    changes = CounterMetricFamily(
        "regulars_schema_changes", "Fields that a source has added, left out or retyped.", labels=("entity", "change")
    )
    for key in sorted({*seen, *((entity, change) for entity in ENTITIES for change in SCHEMA_CHANGES)}):
        changes.add_metric(key, seen.get(key, 0))
    yield changes


def _measurements(readings: Readings) -> Iterator[Metric]:
    labels = ("subject", "metric")
    values = GaugeMetricFamily(
        "regulars_model_measurement", "Scores and inputs beside training, and scores beside reality.", labels=labels
    )
    alerts = GaugeMetricFamily("regulars_model_alert", "1 if that is past its threshold.", labels=labels)
    for each in readings.measurements:
        values.add_metric((each.subject, each.metric), each.value)
        alerts.add_metric((each.subject, each.metric), float(each.is_alert))
    yield from (values, alerts)
