"""A host for tests of the HTTP client: real sockets, answers as the test says, and a record of who asked for what."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Host:
    """A host while it runs. Set `answer` to change what it says."""

    answer: Handler
    base_url: str = ""
    requests: list[web.Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.answer(request)


@asynccontextmanager
async def host(answer: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
    """Run a host on a free port as long as the block lasts."""
    running = Host(answer)
    application = web.Application()
    application.router.add_get("/{path:.*}", running.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    running.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield running
    finally:
        await runner.cleanup()


def says(status: int, body: str = "{}", **headers: str) -> Handler:
    """A handler that always answers the same; underscores in header names stand for hyphens."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def one_after_the_other(*answers: Handler) -> Handler:
    """Each answer once, the last for ever."""
    left = list(answers)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer
