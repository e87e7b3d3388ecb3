"""Stands around every request: bounds on its size and time, a line in the log, counts, and a form for every error."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import traceback

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.serving.metrics import NO_ROUTE, ApiMetrics
from include.serving.problems import RETRY_SECONDS, ProblemError, of_status
from include.serving.settings import ServingSettings

logger = logging.getLogger(__name__)


class _BodyTooLong(Exception):
    """More came than a body may have."""


class Guard:
    """ASGI middleware.

    Its line in the log has the path as documented, never as asked: customer ids are pseudonyms and stay out. For the
    same reason an unexpected error is told by its kind and place, without its text.
    """

    def __init__(self, app: ASGIApp, *, settings: ServingSettings, metrics: ApiMetrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, most_body_bytes=self._settings.most_body_bytes)
        started = time.perf_counter()
        self._at_once += 1
        try:
            await self._answer(exchange)
        finally:
            self._at_once -= 1
            self._note(exchange, time.perf_counter() - started)

    async def _answer(self, exchange: _Exchange) -> None:
        if status := exchange.excess(self._settings):
            await exchange.refuse(of_status(status, {"Connection": "close"}))
            return
        if self._at_once > self._settings.most_at_once:
            await exchange.refuse(
                ProblemError(
                    503, "overloaded", "Too many requests are at work. Ask again later.", retry_seconds=RETRY_SECONDS
                ).as_response()
            )
            return
        task = asyncio.ensure_future(self._app(exchange.scope, exchange.receive, exchange.send))
        try:
            await asyncio.wait({task}, timeout=self._settings.timeout_seconds)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            await exchange.refuse(
                ProblemError(504, "timed-out", "There was no answer in time. Ask again later.").as_response()
            )
        elif (error := task.exception()) is not None:
            await self._answer_error(exchange, error)

    async def _answer_error(self, exchange: _Exchange, error: BaseException) -> None:
        if isinstance(error, _BodyTooLong) or exchange.is_body_too_long:
            await exchange.refuse(of_status(413, {"Connection": "close"}))
            return
        place = " < ".join(
            f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
            for frame in reversed(traceback.extract_tb(error.__traceback__)[-8:])
        )
        logger.error("request_failed request_id=%s error=%s at=%s", exchange.request_id, type(error).__name__, place)
        await exchange.refuse(of_status(500))

    def _note(self, exchange: _Exchange, seconds: float) -> None:
        route = getattr(exchange.scope.get("route"), "path", NO_ROUTE)
        self._metrics.note_request(route, exchange.status, seconds)
        logger.info(
            "request method=%s route=%s key=%s status=%d ms=%.1f request_id=%s",
            exchange.scope["method"] if exchange.scope["method"].isalpha() else "other", route,
            exchange.scope.get("regulars.key_name", "none"), exchange.status, seconds * 1000, exchange.request_id,
        )  # fmt: skip


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, most_body_bytes: int) -> None:
        self.scope = scope
        self.request_id = secrets.token_hex(8)
        self.status = 0
        self.is_body_too_long = False
        self._receive, self._send = receive, send
        self._left = most_body_bytes
        self._is_refused = False

    def excess(self, settings: ServingSettings) -> int | None:
        """The status for what is too long before anything of the body was read."""
        if len(self.scope.get("raw_path") or b"") + len(self.scope["query_string"]) > settings.most_target_bytes:
            return 414
        length = 0
        for name, value in self.scope["headers"]:
            length += len(name) + len(value)
            if name == b"content-length" and value.isdigit() and int(value) > settings.most_body_bytes:
                return 413
        return 431 if length > settings.most_header_bytes else None

    async def receive(self) -> Message:
        """A part of the body, as long as there are not too many."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_body_too_long = True
                raise _BodyTooLong
        return message

    async def send(self, message: Message) -> None:
        """A part of the route's answer; nothing more once the request was refused."""
        if self._is_refused:
            return
        if self.is_body_too_long:
            raise _BodyTooLong  # The framework took it for an unreadable body.
        await self._forward(message)

    async def refuse(self, response: Response) -> None:
        """Answer by a problem.

        :raises ConnectionAbortedError: an answer had begun. The connection ends with it, so the caller sees it broken.
        """
        if self.status:
            raise ConnectionAbortedError("The answer broke off after it had begun.")
        self._is_refused = True
        await response(self.scope, self.receive, self._forward)

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message.get("headers", []),
                (b"x-request-id", self.request_id.encode()),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
            ]
        await self._send(message)
