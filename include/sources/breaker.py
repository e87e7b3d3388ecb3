"""Lets requests to one host through, or not, by what the host's circuit says.

On the good path nothing is read or written: a closed circuit is known, and refreshed about every second by the
client. Sick is a host that does not answer (time-out, broken connection) or answers 5xx. Any other answer, be it 404,
429 or nonsense, shows a host that is up; it closes the circuit or counts failures anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from include.sources import circuit as steps
from include.sources.circuit import Circuit, CircuitStore, Step
from include.sources.limits import HttpLimits

log = logging.getLogger(__name__)

LEASE_MARGIN = timedelta(seconds=30)
"""How much longer than a try may take its probe is waited for, before another is granted."""


class CircuitHeld(Exception):
    """The host must not be asked now; holds its circuit."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__(circuit.host)
        self.circuit = circuit

    def __str__(self) -> str:
        circuit = self.circuit
        return (
            f"{circuit.host} is left alone since {_second(circuit.opened_at)}, after {circuit.failure_count} failed "
            f"tries in a row (the last one {circuit.reason}); one request may try it after {_second(circuit.probe_at)}"
        )


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request, to be ended by telling the breaker what came of it.

    :param probe: names the probe that the request is; None for an ordinary request.
    """

    probe: datetime | None = None


class Breaker:
    """The circuit breaker of one host, as one client sees it.

    :param now: tells the time.
    """

    def __init__(
        self,
        host: str,
        store: CircuitStore,
        *,
        limits: HttpLimits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._host = host
        self._store = store
        self._failures = limits.circuit_failures
        self._rest = timedelta(seconds=limits.circuit_seconds)
        self._lease = timedelta(seconds=limits.request_seconds) + LEASE_MARGIN
        self._now = now
        self._known = Circuit(host=host)

    async def refresh(self) -> None:
        """Learn what other processes have found out."""
        self._known = await self._store.read(self._host)

    async def admit(self) -> Permit:
        """Leave to send a request.

        :raises CircuitHeld: the circuit is open, or another request is trying the host.
        """
        if self._known.state == "closed":
            return Permit()
        now = self._now()
        before, after = await self._change(partial(steps.probing, now=now, lease=self._lease), now=now)
        if after.state == "closed":
            return Permit()
        if after == before:
            raise CircuitHeld(after)
        return Permit(after.probe_at)

    async def answered(self, permit: Permit) -> None:
        """The host answered the request, whatever it said."""
        if permit.probe is not None:
            await self._change(partial(steps.probe_answered, probe=permit.probe), now=self._now())
        elif self._known.failure_count and self._known.state == "closed":
            await self._change(steps.answered, now=self._now())

    async def failed(self, permit: Permit, reason: str) -> None:
        """The host did not answer, or only to say that it is sick."""
        now = self._now()
        if permit.probe is not None:
            step: Step = partial(steps.probe_failed, probe=permit.probe, now=now, reason=reason, rest=self._rest)
        else:
            step = partial(steps.failed, now=now, reason=reason, failures=self._failures, rest=self._rest)
        await self._change(step, now=now)

    async def abandoned(self, permit: Permit) -> None:
        """The request ended without telling anything about the host."""
        if permit.probe is not None:
            now = self._now()
            await self._change(partial(steps.probe_abandoned, probe=permit.probe, now=now), now=now)

    async def _change(self, step: Step, *, now: datetime) -> tuple[Circuit, Circuit]:
        before, after = await self._store.change(self._host, step, now=now)
        self._known = after
        if (before.state, before.probe_at) != (after.state, after.probe_at):
            log.warning("circuit host=%s state=%s because=%r", after.host, after.state, _why(after))
        return before, after


def _why(circuit: Circuit) -> str:
    if circuit.state == "closed":
        return "the host answers again"
    if circuit.state == "half_open":
        return f"one request tries the host, given up at {_second(circuit.probe_at)}"
    return f"{circuit.failure_count} failed tries in a row, the last one {circuit.reason}"


def _second(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}" if instant else "never"
