"""One asynchronous HTTP client for all sources: bounded, patient with sick servers, and discreet."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_exponential_jitter

from include.entities.window import Window
from include.sources.errors import ContractBroken, CredentialsRejected, SourceUnreachable
from include.sources.settings import SourceSettings

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How hard a source may be asked.

    :param concurrency: requests under way at once.
    :param attempts: tries per request, the first included.
    :param request_seconds: time-out of one try.
    :param patience_seconds: no further try is begun this long after the first.
    :param first_wait_seconds: wait before the second try; doubles, with jitter. A server that asks for more gets it,
        unless that would be past the end of patience: then the request fails at once.
    """

    concurrency: int = 8
    attempts: int = 6
    request_seconds: float = 60.0
    patience_seconds: float = 300.0
    first_wait_seconds: float = 0.5


DEFAULT_LIMITS = HttpLimits()


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: its body, its headers, and when it had arrived (UTC)."""

    body: bytes
    headers: Mapping[str, str]
    received_at: datetime


class _Transient(Exception):
    """Worth another try. `after`: seconds that the server asked us to wait."""

    def __init__(self, what: str, *, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


class HttpClient:
    """Requests to one source. Use as an asynchronous context manager.

    :param window: named in errors, so that a person knows what to run again.
    """

    def __init__(self, settings: SourceSettings, *, window: Window, limits: HttpLimits = DEFAULT_LIMITS) -> None:
        self._settings = settings
        self._window = window
        self._limits = limits
        self._gate = asyncio.Semaphore(limits.concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpClient:
        timeout = aiohttp.ClientTimeout(total=self._limits.request_seconds)
        self._session = aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": "regulars"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def get(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        check: Callable[[bytes], Any] | None = None,
    ) -> Answer:
        """GET one resource, trying again while that can help.

        :param check: raises `ValueError` for a body that is not whole; that counts as a failed try.
        :raises SourceUnreachable: time-outs, broken connections, 429 or 5xx to the end of patience.
        :raises CredentialsRejected: 401 or 403.
        :raises ContractBroken: another status, a redirect, a body beyond `MAX_BYTES`, or one that `check`
            refuses at every try.
        """
        started = time.monotonic()
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Transient),
            stop=stop_after_attempt(self._limits.attempts) | stop_before_delay(self._limits.patience_seconds),
            wait=self._wait,
            before_sleep=self._say_retry(path),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    async with self._gate:
                        return await self._try(path, params=params, headers=headers, check=check)
        except _Transient as error:
            is_answer_unfit = isinstance(error.__cause__, ValueError | RecursionError)
            kind = ContractBroken if is_answer_unfit else SourceUnreachable
            tries = retrying.statistics["attempt_number"]
            raise kind(
                f"GET {path} {error} ({tries} {'try' if tries == 1 else 'tries'} in "
                f"{time.monotonic() - started:.0f} s, window {self._window}). Nothing was loaded. "
                f"Check the connection `{self._settings.name}`, then clear this task."
            ) from error
        raise AssertionError("tenacity ends with a value or an exception")

    async def _try(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None,
        check: Callable[[bytes], Any] | None,
    ) -> Answer:
        assert self._session is not None
        url = self._settings.base_url + path
        try:
            async with self._session.get(url, params=params, headers=headers, allow_redirects=False) as response:
                self._judge(path, response)
                body = await _read(response, path)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _Transient(f"failed with {type(error).__name__}") from error
        if check is not None:
            try:
                check(body)
            except (ValueError, RecursionError) as error:
                raise _Transient(f"answered a body that cannot be read ({error})") from error
        return Answer(body=body, headers=response.headers, received_at=datetime.now(UTC))

    def _judge(self, path: str, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status == 429 or status >= 500:
            after = _retry_after(response.headers.get("Retry-After"))
            asking = "" if after is None else f" and asked us to wait {after:.0f} s"
            raise _Transient(f"answered {status}{asking}", after=after)
        if status in (401, 403):
            raise CredentialsRejected(
                f"GET {path} answered {status}: the source does not accept our credentials (window {self._window}). "
                f"Nothing was loaded. Correct login and password of the connection `{self._settings.name}`."
            )
        if status != 200:
            raise ContractBroken(
                f"GET {path} answered {status}, where 200 was due (window {self._window}). Nothing was loaded. "
                f"Check that the connection `{self._settings.name}` names the right address."
            )

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.after if isinstance(error, _Transient) and error.after is not None else 0.0
        first = self._limits.first_wait_seconds
        return max(asked, wait_exponential_jitter(multiplier=first, max=30, jitter=first)(state))

    def _say_retry(self, path: str) -> Callable[[RetryCallState], None]:
        def say(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            seconds = state.next_action.sleep if state.next_action else 0.0
            log.warning(
                "retry source=%s path=%s attempt=%d wait_seconds=%.1f because=%r",
                self._settings.name, path, state.attempt_number, seconds, str(error),
            )  # fmt: skip

        return say


async def _read(response: aiohttp.ClientResponse, path: str) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(1 << 16):
        size += len(chunk)
        if size > MAX_BYTES:
            raise ContractBroken(
                f"GET {path} answered more than {MAX_BYTES:,} bytes. Nothing was loaded. Ask for smaller pages."
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header in either of its forms (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
