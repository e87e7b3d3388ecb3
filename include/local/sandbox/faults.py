"""Faults on demand: which request suffers what, decided by order and seed, so that every run can be repeated.

`POST /_sandbox/faults` takes one fault or a list of them, `DELETE` clears them, `GET` shows what is left of each and
how often it struck. A fault:

    {"kind": "rate_limit", "path": "/wp-json/wc/v3/orders", "skip": 2, "times": 1, "retry_after": 3}

hits requests whose path starts with `path`, after letting `skip` of them pass, at most `times` times (for ever
without it), each with `probability` drawn from `seed`. What each kind does, and its further fields, is told in
`damage.KINDS`.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.local.sandbox.answer import Answer
from include.local.sandbox.damage import KINDS, damage

_SECRETS = ("consumer_key", "consumer_secret", "apikey")


class BadFault(ValueError):
    """A fault that the sandbox does not know how to make."""


@dataclass
class Fault:
    """One fault with what is left of it."""

    kind: str
    path: str = "/"
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    struck: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def strikes(self, path: str) -> bool:
        """Whether this fault hits the next request for `path`; counts it."""
        if not path.startswith(self.path) or self.times == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.random.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        self.struck += 1
        return True


class Faults:
    """The faults in force, in the order in which they were asked for; the first that strikes wins.

    `last_answers` holds what was last answered on each path, undamaged.
    """

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.last_answers: dict[str, Answer] = {}

    def clear(self) -> None:
        """No more faults; what was answered before is forgotten."""
        self.active.clear()
        self.last_answers.clear()

    def add(self, wanted: dict[str, Any]) -> None:
        """Put a fault in force.

        :raises BadFault: unknown kind, field or value.
        """
        kind = wanted.get("kind")
        if kind not in KINDS:
            raise BadFault(f"There is no fault {kind!r}; there are {', '.join(KINDS)}.")
        common = {"path", "skip", "times", "probability", "seed"}
        unknown = set(wanted) - common - {"kind"} - set(KINDS[kind])
        if unknown:
            raise BadFault(f"{kind} has no {', '.join(sorted(unknown))}; it has {', '.join([*common, *KINDS[kind]])}.")
        options = {**KINDS[kind], **{name: wanted[name] for name in KINDS[kind] if name in wanted}}
        fault = Fault(kind=kind, options=options, **{name: wanted[name] for name in common if name in wanted})
        if not 0 <= fault.probability <= 1:
            raise BadFault(f"probability is {fault.probability}; it must be from 0 to 1.")
        self.active.append(fault)

    def strike(self, path: str) -> Fault | None:
        """The fault that hits the next request for `path`, if any."""
        return next((fault for fault in self.active if fault.strikes(path)), None)


class FaultControl:
    """The routes that set, show and clear faults."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[Route]:
        """Every route served, for a Starlette application."""
        return [Route("/_sandbox/faults", self._change, methods=["GET", "POST", "DELETE"])]

    async def _change(self, request: Request) -> Response:
        """Answers with the faults in force; DELETE with those that it ended, after which none of them strikes."""
        if request.method == "POST":
            wanted = await request.json()
            try:
                for fault in wanted if isinstance(wanted, list) else [wanted]:
                    self._faults.add(fault)
            except (BadFault, AttributeError, TypeError) as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        left = [
            {
                "kind": fault.kind,
                "path": fault.path,
                "times": fault.times,
                "skip": fault.skip,
                "struck": fault.struck,
            }
            for fault in self._faults.active
        ]
        if request.method == "DELETE":
            self._faults.clear()
        return JSONResponse(left)


class FaultInjection:
    """Answers API requests through `inner`, damaged by the faults in force, and logs every one of them.

    Requests to `/_sandbox` are neither damaged nor logged.

    :param edit: changes a record of a collection, for faults that do so while somebody reads.
    """

    def __init__(
        self,
        inner: ASGIApp,
        *,
        faults: Faults,
        log: deque[dict[str, Any]],
        edit: Callable[[str, Mapping[str, Any]], object],
        latency_seconds: float = 0.0,
    ) -> None:
        self._inner = inner
        self._faults = faults
        self._edit = edit
        self._log = log
        self._latency_seconds = latency_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await self._inner(scope, receive, send)
            return
        if self._latency_seconds:
            await asyncio.sleep(self._latency_seconds)
        path = scope["path"]
        fault = self._faults.strike(path)
        entry = {"method": scope["method"], "path": path, "query": _public_query(scope), "status": None, "fault": None}
        self._log.append(entry)
        if fault is not None and fault.kind == "edit_records":
            for change in fault.options["edits"]:
                self._edit(fault.options["collection"], change)
        answer = await self._ask(scope, receive)
        previous = self._faults.last_answers.get(path)
        if answer.status == 200:
            self._faults.last_answers[path] = answer
        if fault is not None:
            entry["fault"] = fault.kind
            answer = damage(answer, kind=fault.kind, options=fault.options, random=fault.random, previous=previous)
        entry["status"] = answer.status
        if answer.hold_seconds:
            await _hold(receive, seconds=answer.hold_seconds)
        await _send(answer, send)

    async def _ask(self, scope: Scope, receive: Receive) -> Answer:
        answer = Answer(status=500, headers={}, body=b"")

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")

        await self._inner(scope, receive, collect)
        answer.headers.pop("content-length", None)
        return answer


class _CutOff(Exception):
    """Raised after part of a body, so that the server closes the connection."""


async def _send(answer: Answer, send: Send) -> None:
    body = answer.body
    headers = {**answer.headers, "content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    if answer.sent_share < 1:
        await send(
            {"type": "http.response.body", "body": body[: int(len(body) * answer.sent_share)], "more_body": True}
        )
        raise _CutOff(f"{answer.sent_share:.0%} of the body sent")
    if answer.body_seconds:
        pieces = 20
        size = max(1, -(-len(body) // pieces))
        for first in range(0, len(body), size):
            await send({"type": "http.response.body", "body": body[first : first + size], "more_body": True})
            await asyncio.sleep(answer.body_seconds / pieces)
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.body", "body": body})


async def _hold(receive: Receive, *, seconds: float) -> None:
    """Wait, but no longer than the client does."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(gone(), timeout=seconds)
    except TimeoutError:
        return


def _public_query(scope: Scope) -> dict[str, str]:
    query = Request(scope).query_params
    return {name: value for name, value in query.items() if name not in _SECRETS}
