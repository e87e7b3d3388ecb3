"""The window: the one half-open UTC interval that every task is a function of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


class EmptyWindow(ValueError):
    """The interval holds no instant: its end is not after its start."""


class NaiveTime(ValueError):
    """A time without a time zone was given where an instant is needed."""


def refuse_naive(**instants: datetime) -> None:
    """:raises NaiveTime: one of the arguments has no time zone; the text names it."""
    for name, instant in instants.items():
        if instant.tzinfo is None:
            raise NaiveTime(f"`{name}` ({instant.isoformat()}) has no time zone. Give one, such as datetime.now(UTC).")


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open interval `[start, end)` in UTC.

    :param start: first instant inside; any time zone, kept as UTC.
    :param end: first instant after it.
    :raises NaiveTime: one of the two has no time zone.
    :raises EmptyWindow: `end` is not after `start`.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value.tzinfo is None:
                raise NaiveTime(
                    f"The window's {name} {value.isoformat()} has no time zone. "
                    f"Write it with one, for example {value.isoformat()}+00:00."
                )
            object.__setattr__(self, name, value.astimezone(UTC))
        if self.end <= self.start:
            raise EmptyWindow(
                f"The window {self} is empty: its end must be after its start. "
                "Give a later `end`; a single day D is start=D, end=D+1."
            )

    def __str__(self) -> str:
        return f"{_short(self.start)}/{_short(self.end)}"

    @property
    def folder(self) -> str:
        """The window as a folder or file name, for example `20110601T000000Z_20110602T000000Z`."""
        return f"{self.start:%Y%m%dT%H%M%SZ}_{self.end:%Y%m%dT%H%M%SZ}"

    def widened(self, *, back: timedelta) -> Window:
        """The same window, starting `back` earlier: a look-back for late data."""
        return Window(self.start - back, self.end)


def _short(instant: datetime) -> str:
    midnight = (instant.hour, instant.minute, instant.second, instant.microsecond) == (0, 0, 0, 0)
    return f"{instant:%Y-%m-%d}" if midnight else instant.isoformat().replace("+00:00", "Z")
