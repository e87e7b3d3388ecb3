"""How hard a source may be asked, and how long we wait for it; set in the connection's extra."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

import msgspec

from include.sources.errors import SettingRefused
from include.sources.settings import SourceSettings

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Limits of one connection, in its extra under `limits`.

    :param requests_per_second: to the host, by everything in this process; None is as fast as it answers.
    :param concurrency: requests under way at once.
    :param attempts: tries per request, the first included.
    :param request_seconds: time-out of one try, redirects and body included.
    :param patience_seconds: no further try is begun this long after the first.
    :param first_wait_seconds: wait before the second try; doubles, with jitter. A server that asks for more gets it,
        unless that would be past the end of patience: then the request fails at once.
    :param task_seconds: no request is begun or awaited this long after the first.
    :param body_bytes: the longest answer taken, after decompression.
    :param circuit_failures: so many failed tries in a row, over all processes, open the host's circuit.
    :param circuit_seconds: how long an open circuit stays so before one request tries the host again.
    """

    requests_per_second: Seconds | None = None
    concurrency: Count = 8
    attempts: Count = 6
    request_seconds: Seconds = 60.0
    patience_seconds: Seconds = 300.0
    first_wait_seconds: Seconds = 0.5
    task_seconds: Seconds = 4 * 3600.0
    body_bytes: Count = 64 * 1024 * 1024
    circuit_failures: Count = 20
    circuit_seconds: Seconds = 60.0


def limits_of(settings: SourceSettings) -> HttpLimits:
    """The limits that a connection's extra sets, the usual ones for the rest.

    :raises SettingRefused: a limit that there is not, or a value that makes no sense.
    """
    given = settings.extra.get("limits", {})
    known = [field.name for field in fields(HttpLimits)]
    unknown = sorted(set(given) - set(known)) if isinstance(given, dict) else []
    if unknown:
        wrong = f"names {', '.join(unknown)}; there are {', '.join(known)}"
    else:
        try:
            return msgspec.convert(given, HttpLimits)
        except msgspec.ValidationError as error:
            wrong = f"cannot be read: {error}"
    raise SettingRefused(
        f"`limits` in the extra of the connection `{settings.name}` {wrong}. Nothing was asked for. Correct it there."
    )
