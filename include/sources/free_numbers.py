"""Numbers in JSON whose fields nobody has named a type for: kept exactly, or not at all."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

_SURE = 15
"""Every decimal of so many digits survives the way through a double."""


def exact_float(text: str) -> float:
    """The double that stands for exactly this number when it is written again; a `float_hook` of msgspec.

    :raises ValueError: there is none.
    """
    value = float(text)
    if len(text) <= _SURE and "e" not in text and "E" not in text:
        return value
    try:
        if math.isfinite(value) and Decimal(text) == Decimal(repr(value)):
            return value
    except InvalidOperation:  # an exponent beyond everything
        pass
    raise ValueError(f"the number {text[:40]} cannot be kept exactly")
