"""What sources over HTTP share beyond their settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from include.sources.circuit import CircuitStore, MemoryCircuits
from include.sources.request_log import MemoryRequestLog, RequestLog


@dataclass(frozen=True, slots=True)
class Network:
    """The state of every host, and the account of every request; in memory unless told otherwise."""

    circuits: CircuitStore = field(default_factory=MemoryCircuits)
    requests: RequestLog = field(default_factory=MemoryRequestLog)
