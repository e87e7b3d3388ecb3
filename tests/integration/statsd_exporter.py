"""Stands in for the StatsD exporter, which no package here has: deploy/statsd/mapping.yaml over packets as they came.

Follows the exporter's own code in what the mapping uses: InfluxDB's tags become labels, globs match whole dotted words
in the file's order, regular expressions come after all globs, timers are seconds in histograms, and characters that a
name cannot have become underscores.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIServer

import yaml
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mapped:
    """What one packet becomes."""

    name: str
    labels: Labels
    kind: str
    value: float
    help: str


class StatsdExporter(Collector):
    """Metrics of the packets received so far."""

    def __init__(self, mapping: str) -> None:
        config = yaml.safe_load(mapping)
        self._rules: list[dict[str, Any]] = sorted(
            config["mappings"], key=lambda rule: rule.get("match_type") == "regex"
        )
        self._bounds: list[float] = config["defaults"]["histogram_options"]["buckets"]
        assert config["defaults"]["observer_type"] == "histogram"
        self._samples: dict[tuple[str, str, str], dict[Labels, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._lock = threading.Lock()

    def receive(self, packets: Iterable[str]) -> None:
        """Take lines as Airflow's StatsD client sends them."""
        with self._lock:
            for packet in packets:
                if mapped := self.map(packet):
                    self._samples[mapped.name, mapped.kind, mapped.help][mapped.labels].append(mapped.value)

    def map(self, packet: str) -> Mapped | None:
        """What a packet becomes; None when it is dropped."""
        head, _, rest = packet.partition(":")
        text, kind = rest.split("|")[:2]
        stat, *tags = head.split(",")
        labels = dict(tag.split("=", 1) for tag in tags)
        rule, captured = self._rule_for(stat)
        if rule.get("action") == "drop":
            return None
        labels |= {name: _filled(value, captured) for name, value in rule.get("labels", {}).items()}
        name = re.sub(r"[^a-zA-Z0-9_]", "_", _filled(rule["name"], captured))
        number = float(text) / 1000 if kind == "ms" else float(text)
        return Mapped(name, tuple(sorted(labels.items())), kind, number, rule["help"])

    def collect(self) -> Iterator[Metric]:
        """As the exporter shows them."""
        with self._lock:
            for (name, kind, text), series in self._samples.items():
                names = [label for label, _ in next(iter(series))]
                family: Any = {"c": CounterMetricFamily, "g": GaugeMetricFamily, "ms": HistogramMetricFamily}[kind](
                    name, text, labels=names
                )
                for labels, values in series.items():
                    key = [value for _, value in labels]
                    if kind == "ms":
                        counts = [(str(bound), sum(each <= bound for each in values)) for bound in self._bounds]
                        family.add_metric(key, buckets=[*counts, ("+Inf", len(values))], sum_value=sum(values))
                    else:
                        family.add_metric(key, sum(values) if kind == "c" else values[-1])
                yield family

    def serve(self) -> tuple[WSGIServer, str]:
        """Serve the metrics on a free port; gives the server, to shut down, and its address."""
        registry = CollectorRegistry()
        registry.register(self)
        server, _ = start_http_server(0, addr="127.0.0.1", registry=registry)
        return server, f"127.0.0.1:{server.server_port}"

    def _rule_for(self, stat: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        for rule in self._rules:
            pattern = rule["match"]
            if rule.get("match_type", "glob") == "glob":
                pattern = "^" + r"\.".join("([^.]*)" if word == "*" else re.escape(word) for word in pattern.split("."))
                pattern += "$"
            if found := re.search(pattern, stat):
                return rule, found.groups()
        raise AssertionError(f"no mapping for {stat}, not even one that drops it")


def _filled(template: str, captured: tuple[str, ...]) -> str:
    return re.sub(r"\$(\d)", lambda match: captured[int(match[1]) - 1], template)
