"""What an event says of a person is left behind where events are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PERSONAL = frozenset(
    {"ip", "traits", "email", "phone", "userAgent", "firstName", "first_name", "lastName", "last_name"}
)


def without_personal_data(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of an event without personal fields, in themselves and in their `context`."""
    kept = {name: value for name, value in properties.items() if name not in _PERSONAL}
    if isinstance(kept.get("context"), dict):
        kept["context"] = {name: value for name, value in kept["context"].items() if name not in _PERSONAL}
    return kept
