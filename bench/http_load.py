"""Asks an HTTP server as many callers at once: `echo '{"port": …, "requests": […], …}' | python -m bench.http_load`.

Runs in a process of its own, so that the server has the other core for itself. Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

HOST = "127.0.0.1"


class Caller:
    """One connection that is kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Caller:
        return cls(*await asyncio.open_connection(HOST, port))

    async def ask(self, request: bytes) -> int:
        """The status of the answer, which is read whole."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await self._reader.readexactly(int(line.split(b":")[1]))
        return int(head[9:12])


def as_bytes(method: str, path: str, *, key: str = "", body: object = None) -> str:
    """A request as it goes over the wire."""
    content = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(content)}"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    lines += ["Content-Type: application/json"] if content else []
    return "\r\n".join([*lines, "", content])


async def measure(asked: dict) -> dict:
    """`callers` at once for `seconds`; with `per_second` all of them together send so many, else as many as they can.

    With `per_second` the time of a request counts from when it was due, so that a server that stalls cannot hide it.
    """
    requests = [each.encode() for each in asked["requests"]]
    callers = [await Caller.connect(asked["port"]) for _ in range(asked["callers"])]
    for number, caller in enumerate(callers):
        await caller.ask(requests[number % len(requests)])
    began = time.perf_counter() + 0.05
    end = began + asked["seconds"]
    pause = asked["callers"] / asked["per_second"] if asked.get("per_second") else None
    seconds: list[float] = []
    statuses: dict[int, int] = {}

    async def call(number: int, caller: Caller) -> None:
        due = began + (pause * number / len(callers) if pause else 0)
        place = number
        while due < end:
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            status = await caller.ask(requests[place % len(requests)])
            now = time.perf_counter()
            seconds.append(now - due)
            statuses[status] = statuses.get(status, 0) + 1
            place += len(callers)
            due = due + pause if pause else now

    await asyncio.gather(*(call(number, caller) for number, caller in enumerate(callers)))
    return {"seconds": seconds, "statuses": statuses, "took": time.perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(json.load(sys.stdin)))))
