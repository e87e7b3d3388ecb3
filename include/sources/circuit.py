"""The circuit of a host: closed while it answers, open when it is sick, half open while one request tries it again.

Its state is shared by every process that asks the host, through a store. What may follow what stands here, as
functions from one circuit to the next; a store only has to apply such a function as one atomic change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What is known of one host. Instants are in UTC.

    :param failure_count: tries that failed since the host last answered.
    :param opened_at: since when it is not asked; None while closed.
    :param probe_at: when the next try may be granted: the end of the rest while open, the end of the running
        try's lease while half open. It also names the running try, since no two of them have the same.
    :param reason: what the last failure was.
    """

    host: str
    state: State = "closed"
    failure_count: int = 0
    opened_at: datetime | None = None
    probe_at: datetime | None = None
    reason: str | None = None


Step = Callable[[Circuit], Circuit]


class CircuitStore(Protocol):
    """Keeps the circuits of all hosts, for every process. Never raises: one that has lost its database uses what
    this process knows, and says so."""

    async def read(self, host: str) -> Circuit:
        """The circuit of a host; closed for one that was never in trouble."""
        ...

    async def change(self, host: str, step: Step, *, now: datetime) -> tuple[Circuit, Circuit]:
        """Apply `step` as one atomic change.

        :param now: the instant of the change.
        :returns: the circuit before and after.
        """
        ...


class MemoryCircuits:
    """Circuits of one process; safe to use from several threads."""

    def __init__(self) -> None:
        self._circuits: dict[str, Circuit] = {}
        self._lock = threading.Lock()

    async def read(self, host: str) -> Circuit:
        """The circuit of a host; closed for one that was never in trouble."""
        return self._circuits.get(host, Circuit(host=host))

    async def change(self, host: str, step: Step, *, now: datetime) -> tuple[Circuit, Circuit]:
        """Apply `step` as one atomic change; gives the circuit before and after."""
        with self._lock:
            before = self._circuits.get(host, Circuit(host=host))
            after = self._circuits[host] = step(before)
        return before, after

    def keep(self, circuit: Circuit) -> None:
        """Take over what another store knows."""
        with self._lock:
            self._circuits[circuit.host] = circuit


def failed(circuit: Circuit, *, now: datetime, reason: str, failures: int, rest: timedelta) -> Circuit:
    """After an ordinary try that failed: the `failures`th in a row opens a closed circuit for `rest`."""
    if circuit.state != "closed":
        return circuit
    counted = replace(circuit, failure_count=circuit.failure_count + 1, reason=reason)
    return _opened(counted, now=now, rest=rest) if counted.failure_count >= failures else counted


def answered(circuit: Circuit) -> Circuit:
    """After an ordinary try that was answered: failures are counted anew. An open circuit waits for its probe."""
    return Circuit(host=circuit.host) if circuit.state == "closed" else circuit


def probing(circuit: Circuit, *, now: datetime, lease: timedelta) -> Circuit:
    """Grant a probe if the rest, or the lease of a probe that never came back, is over; else the same circuit."""
    if circuit.state == "closed" or circuit.probe_at is None or now < circuit.probe_at:
        return circuit
    return replace(circuit, state="half_open", probe_at=now + lease)


def probe_failed(circuit: Circuit, probe: datetime | None, *, now: datetime, reason: str, rest: timedelta) -> Circuit:
    """After the probe that was granted as `probe` failed: open for another `rest`."""
    if not _is_running(circuit, probe):
        return circuit
    counted = replace(circuit, failure_count=circuit.failure_count + 1, reason=reason)
    return _opened(counted, now=now, rest=rest)


def probe_answered(circuit: Circuit, probe: datetime | None) -> Circuit:
    """After the probe that was granted as `probe` was answered: closed."""
    return Circuit(host=circuit.host) if _is_running(circuit, probe) else circuit


def probe_abandoned(circuit: Circuit, probe: datetime | None, *, now: datetime) -> Circuit:
    """After the probe that was granted as `probe` was given up unanswered: open, and the next may be granted now."""
    return replace(circuit, state="open", probe_at=now) if _is_running(circuit, probe) else circuit


def _opened(circuit: Circuit, *, now: datetime, rest: timedelta) -> Circuit:
    return replace(circuit, state="open", opened_at=now, probe_at=now + rest)


def _is_running(circuit: Circuit, probe: datetime | None) -> bool:
    return circuit.state == "half_open" and circuit.probe_at == probe
