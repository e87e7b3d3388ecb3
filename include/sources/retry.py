"""When a failed try is worth another, and after how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_exponential_jitter

from include.sources.errors import SourceError, SourceUnreachable
from include.sources.limits import HttpLimits

Health = Literal["sick", "up", "unknown"]
LONGEST_WAIT_SECONDS = 30


class TryFailed(Exception):
    """One try that gave nothing of use.

    Its text says what happened, as the end of "GET /path ...", and holds no credentials.

    :param status: the HTTP status, or what happened instead, as the request log counts it.
    :param health: what it tells about the host.
    :param after: seconds that the server asked us to wait.
    :param error: what it becomes when no further try is made.
    :param mend: what a person can do then.
    :param is_final: another try would give the same.
    """

    def __init__(
        self,
        what: str,
        *,
        status: str,
        health: Health,
        after: float | None = None,
        error: type[SourceError] = SourceUnreachable,
        mend: str = "Check the connection `{connection}`, then clear this task.",
        is_final: bool = False,
    ) -> None:
        super().__init__(what)
        self.status = status
        self.health = health
        self.after = after
        self.error = error
        self.mend = mend
        self.is_final = is_final


def retrying(limits: HttpLimits, *, before_sleep: Callable[[RetryCallState], None]) -> AsyncRetrying:
    """Tries with exponential backoff and jitter, or as long apart as the server asks."""
    first = limits.first_wait_seconds
    backoff = wait_exponential_jitter(multiplier=first, max=LONGEST_WAIT_SECONDS, jitter=first)

    def wait(state: RetryCallState) -> float:
        error = failure_of(state)
        return max(error.after or 0.0 if error else 0.0, backoff(state))

    return AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, TryFailed) and not error.is_final),
        stop=stop_after_attempt(limits.attempts) | stop_before_delay(limits.patience_seconds),
        wait=wait,
        before_sleep=before_sleep,
        reraise=True,
    )


def failure_of(state: RetryCallState) -> TryFailed | None:
    """How the last try failed."""
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TryFailed) else None


def retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header in either of its forms (RFC 9110, section 10.2.3)."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
