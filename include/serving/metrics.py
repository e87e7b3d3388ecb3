"""What the API counts about itself, for Prometheus. Per process: counts end with it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
NO_ROUTE = "none"
"""The route of what fits no path: whatever callers think up does not become a label."""


class ApiMetrics:
    """All metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "regulars_api_requests", "Requests that were answered, by path as documented, and status.",
            ["route", "status"], registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "regulars_api_request_seconds", "Time from a request to its answer.",
            ["route"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._model = Gauge(
            "regulars_api_model_info", "1 for the champion that scores now.",
            ["model", "version", "model_id"], registry=self.registry,
        )  # fmt: skip
        self._model_failures = Counter(
            "regulars_api_model_failures", "Times that the registry or a champion in it could not be taken up.",
            registry=self.registry,
        )  # fmt: skip
        self._score_age = Gauge(
            "regulars_api_score_age_seconds", "Age of the oldest features under the newest score that was given.",
            registry=self.registry,
        )  # fmt: skip

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """One request and its answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def note_model(self, *, name: str, version: str, model_id: str) -> None:
        """Another champion scores from now on."""
        self._model.clear()
        self._model.labels(name, version, model_id).set(1)

    def note_model_failure(self) -> None:
        """The registry did not answer, or its champion could not be loaded."""
        self._model_failures.inc()

    def note_score(self, age_seconds: float) -> None:
        """A score was given, on features of this age."""
        self._score_age.set(age_seconds)

    def as_text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
