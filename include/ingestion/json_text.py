"""Changing single values of a JSON text and leaving every other byte as it is; of broken JSON, as far as it goes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

Change = Callable[[str | None, bool, str | None], str | None]
"""From the key that a value stands under, whether a key above it was entered, and its text (None: it is no text) to
the JSON that replaces it; None leaves it."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|$)|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)
_COLON = re.compile(r"\s*:")


def with_values_changed(text: str, change: Change, *, enters: frozenset[str]) -> str:
    """The text with the values for which `change` gives something else.

    :param enters: keys; whatever lies below one of them, at any depth, is told so to `change`.
    """
    pieces: list[str] = []
    done = 0
    above: list[tuple[str | None, bool, bool]] = []
    key: str | None = None
    is_inside = is_object = False
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "{[":
            above.append((key, is_inside, is_object))
            is_inside = is_inside or key in enters
            is_object = first == "{"
            key = None if is_object else key
        elif first in "}]":
            key, is_inside, is_object = above.pop() if above else (None, False, False)
        elif first == ",":
            key = None if is_object else key
        elif first == '"' and _COLON.match(text, token.end()):
            key = text_of(token[0])
        elif first != ":":
            value = text_of(token[0]) if first == '"' else None
            if (replaced := change(key, is_inside, value)) is not None:
                pieces += [text[done : token.start()], replaced]
                done = token.end()
    return "".join([*pieces, text[done:]])


def text_of(token: str) -> str:
    """What a JSON string says; of a broken one, the characters as they stand."""
    try:
        said = json.loads(token, strict=False)
    except ValueError:
        return token.strip('"')
    return said if isinstance(said, str) else token
