"""An HTTP answer of the sandbox before it is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Answer:
    """What will be sent, and how.

    :param hold_seconds: wait this long before the first byte.
    :param body_seconds: spread the body over this long.
    :param sent_share: share of the body that is sent before the connection is closed.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    hold_seconds: float = 0.0
    body_seconds: float = 0.0
    sent_share: float = 1.0
