"""One asynchronous HTTP client for all sources: bounded, patient with sick servers, and discreet."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NoReturn
from urllib.parse import urlencode

from tenacity import RetryCallState
from yarl import URL

from include.entities.window import Window
from include.sources.breaker import Breaker, CircuitHeld, Permit
from include.sources.errors import CircuitOpen, ContractBroken, CredentialsRejected, SettingRefused, SourceUnreachable
from include.sources.limits import HttpLimits
from include.sources.network import Network
from include.sources.rate import take_turn
from include.sources.retry import Health, TryFailed, failure_of, retry_after, retrying
from include.sources.settings import SourceSettings
from include.sources.source import Page
from include.sources.transport import Reply, Transport

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
"""How often the request log is written out and the circuit read again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer.

    :param request: path and query of what was asked, without credentials.
    :param received_at: when it had arrived, UTC.
    :param content: what `check` made of the body.
    :param repeated_rows: see `Page`.
    """

    request: str
    status: int
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime
    content: Any = None
    repeated_rows: int = 0

    def page(self, context: Mapping[str, Any] | None = None) -> Page:
        """The answer as a page of a source."""
        return Page(
            body=self.body,
            request=self.request,
            received_at=self.received_at,
            context=context or {},
            status=self.status,
            repeated_rows=self.repeated_rows,
        )


@dataclass(frozen=True, slots=True)
class _Question:
    """One GET: what may be told of it, and what is sent."""

    path: str
    request: str
    url: URL
    headers: Mapping[str, str]
    check: Callable[[bytes], Any] | None


class HttpClient:
    """Requests to one source. Use as an asynchronous context manager.

    :param window: named in errors, so that a person knows what to run again.
    :raises SettingRefused: the connection's address cannot be used.
    """

    def __init__(self, settings: SourceSettings, *, window: Window, network: Network, limits: HttpLimits) -> None:
        self._settings = settings
        self._window = window
        self._limits = limits
        self._requests = network.requests
        self._host = _host(settings)
        self._breaker = Breaker(self._host, network.circuits, limits=limits)
        self._transport = Transport(limits)
        self._gate = asyncio.Semaphore(limits.concurrency)
        self._answers = 0

    async def __aenter__(self) -> HttpClient:
        await self._breaker.refresh()
        self._deadline = asyncio.get_running_loop().time() + self._limits.task_seconds
        self._transport.open()
        self._housekeeping = asyncio.create_task(self._keep_house())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._housekeeping.cancel()
        await asyncio.gather(self._housekeeping, return_exceptions=True)
        await self._transport.close()
        await self._requests.flush()

    async def get(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        secret_params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        check: Callable[[bytes], Any] | None = None,
    ) -> Answer:
        """GET one resource, trying again while that can help.

        :param secret_params: sent like `params`, and told nobody.
        :param check: reads the body, or raises `ValueError` if it is not whole; that counts as a failed try.
        :raises SourceUnreachable: time-outs, broken connections, 429 or 5xx to the end of patience, or the task's
            time is over.
        :raises CircuitOpen: the host is being left alone.
        :raises CredentialsRejected: 401 or 403.
        :raises CertificateNotTrusted: the host's certificate is not signed by an authority that we trust.
        :raises ContractBroken: another status, a redirect to elsewhere, a body that is too long, or one that `check`
            refuses at every try.
        """
        question = _Question(
            path=path,
            request=f"{path}?{urlencode(params)}" if params else path,
            url=URL(self._settings.base_url + path).update_query({**params, **(secret_params or {})}),
            headers=headers or {},
            check=check,
        )
        try:
            async with asyncio.timeout_at(self._deadline):
                answer = await self._persist(question)
        except TimeoutError:
            self._fail_for_time(question)
        self._answers += 1
        return answer

    async def _persist(self, question: _Question) -> Answer:
        started = time.monotonic()
        tries = retrying(self._limits, before_sleep=self._note_retry(question))
        try:
            return await tries(self._try, question)
        except TryFailed as error:
            failure = error
        except CircuitHeld as held:
            raise CircuitOpen(
                f"GET {question.path} was not sent: {held} (window {self._window}). Nothing was loaded. "
                "Airflow tries again later; to try sooner, clear this task after that."
            ) from None
        count = tries.statistics["attempt_number"]
        raise failure.error(
            f"GET {question.path} {failure} ({count} {'try' if count == 1 else 'tries'} in "
            f"{time.monotonic() - started:.0f} s, window {self._window}). Nothing was loaded. "
            + failure.mend.format(connection=self._settings.name)
        )

    async def _try(self, question: _Question) -> Answer:
        async with self._gate:
            await take_turn(self._host, requests_per_second=self._limits.requests_per_second)
            permit = await self._breaker.admit()
            started = time.monotonic()
            try:
                reply = await self._transport.ask(question.url, headers=question.headers)
                _judge(reply)
                content = _read(reply, question.check)
            except TryFailed as failure:
                self._requests.record(self._key(failure.status), seconds=time.monotonic() - started)
                await self._tell_breaker(permit, failure)
                raise
            except BaseException:
                await self._breaker.abandoned(permit)
                raise
            self._requests.record(self._key("200"), seconds=time.monotonic() - started)
            await self._breaker.answered(permit)
        return Answer(question.request, reply.status, reply.body, reply.headers, datetime.now(UTC), content)

    async def _tell_breaker(self, permit: Permit, failure: TryFailed) -> None:
        if failure.health == "sick":
            await self._breaker.failed(permit, str(failure))
        elif failure.health == "up":
            await self._breaker.answered(permit)
        else:
            await self._breaker.abandoned(permit)

    def _key(self, status: str) -> tuple[str, str, str]:
        return self._host, self._settings.name, status

    def _note_retry(self, question: _Question) -> Callable[[RetryCallState], None]:
        def note(state: RetryCallState) -> None:
            failure = failure_of(state)
            assert failure is not None
            self._requests.record_retry(self._key(failure.status))
            log.warning(
                "retry source=%s path=%s attempt=%d wait_seconds=%.1f because=%r",
                self._settings.name, question.path, state.attempt_number,
                state.next_action.sleep if state.next_action else 0.0, str(failure),
            )  # fmt: skip

        return note

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._requests.flush()
            await self._breaker.refresh()

    def _fail_for_time(self, question: _Question) -> NoReturn:
        raise SourceUnreachable(
            f"The {self._limits.task_seconds:g} s that this task may ask {self._host} for are over: "
            f"{self._answers} requests were answered, GET {question.request} was not yet (window {self._window}). "
            "Nothing was loaded. Clear this task, cut the window, or raise `task_seconds` in the `limits` of the "
            f"connection `{self._settings.name}`."
        ) from None


def _host(settings: SourceSettings) -> str:
    """The host as circuits, limits and counts know it: name, and port where it is not the scheme's own."""
    try:
        url = URL(settings.base_url)
        host = url.host_port_subcomponent
    except ValueError:
        url, host = URL(), None
    if host is None or url.scheme not in ("http", "https") or url.user or url.password:
        raise SettingRefused(
            f"The address of the connection `{settings.name}` is not of the form https://host or http://host:port. "
            "Nothing was asked for. Correct it there; a user and a password belong into login and password."
        )
    return host


def _judge(reply: Reply) -> None:
    """:raises TryFailed: the answer is not the one that was asked for."""
    status = str(reply.status)
    if reply.status == 429 or reply.status >= 500:
        after = retry_after(reply.headers.get("Retry-After"))
        asking = "" if after is None else f" and asked us to wait {after:.0f} s"
        health: Health = "up" if reply.status == 429 else "sick"
        raise TryFailed(f"answered {status}{asking}", status=status, health=health, after=after)
    if reply.status in (401, 403):
        raise TryFailed(
            f"answered {status}: the source does not accept our credentials",
            status=status,
            health="up",
            error=CredentialsRejected,
            mend="Correct login and password of the connection `{connection}`.",
            is_final=True,
        )
    if reply.status != 200:
        raise TryFailed(
            f"answered {status}, where 200 was due",
            status=status,
            health="up",
            error=ContractBroken,
            mend="Check that the connection `{connection}` names the right address.",
            is_final=True,
        )


def _read(reply: Reply, check: Callable[[bytes], Any] | None) -> Any:
    """:raises TryFailed: the body is not whole."""
    try:
        return None if check is None else check(reply.body)
    except (ValueError, RecursionError) as error:
        raise TryFailed(
            f"answered a body that cannot be read ({error})",
            status="unreadable_body",
            health="up",
            error=ContractBroken,
        ) from error
