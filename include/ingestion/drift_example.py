"""An example of a value that nobody expected, fit to be shown: nobody knows yet whether it is about a person."""

from __future__ import annotations

import re

import msgspec

from include.ingestion.person import PERSONAL
from include.ingestion.personal_data import masked
from include.ingestion.quarantine import storable

HIDDEN = "(personal data, see landing)"
LONGEST = 80
_PERSONAL_NAMES = {re.sub(r"[^a-z]", "", name.lower()) for name in PERSONAL} | {"shipping", "billing"}
_PERSONAL_WORDS = re.compile(
    r"e-?mail|phone|mobile|fax|address|street|birth|(^|_)age$|gender|passport|iban|card|ssn|tax_?(id|number)|vat|"
    r"(first|last|full|nick|user|sur|sender|recipient|customer|contact)_?name|note|comment|message|greeting|(^|_)ip$|"
    r"agent|latitude|longitude|device",
    re.IGNORECASE,
)
_LOOKS_PERSONAL = re.compile(
    r"@|\+?\d[\d ()/.-]{6,}\d\b|\b\d{1,3}(\.\d{1,3}){3}\b|[0-9a-f]{1,4}(:[0-9a-f]{0,4}){3,}", re.I
)
_ANYTHING = msgspec.json.Decoder()


def example_of(path: str, raw: bytes) -> str:
    """A short form of the value of a field.

    Values of fields that sound personal, and texts that look it, are hidden; objects and lists show what they are made
    of, and no value.

    :param raw: JSON; it may be cut off.
    """
    if any(_is_personal(name) for name in re.split(r"\[\]\.|\.", path)):
        return HIDDEN
    try:
        value = _ANYTHING.decode(raw)
    except (ValueError, RecursionError):
        return "(long or broken)"
    if isinstance(value, dict):
        names = ", ".join(sorted(value))
        return HIDDEN if _LOOKS_PERSONAL.search(names) else _cut(f"object of {names or 'nothing'}")
    if isinstance(value, list):
        return f"list of {len(value)}"
    if isinstance(value, str) and (_LOOKS_PERSONAL.search(value) or value.count(" ") >= 3) and not _is_time(value):
        return HIDDEN
    return _cut(raw.decode(errors="backslashreplace"))


def _is_personal(name: str) -> bool:
    return re.sub(r"[^a-z]", "", name.lower()) in _PERSONAL_NAMES or _PERSONAL_WORDS.search(name) is not None


def _is_time(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?", text) is not None


def _cut(text: str) -> str:
    text = storable(masked(text))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
