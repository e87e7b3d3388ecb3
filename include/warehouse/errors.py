"""What can go wrong in the books of the warehouse."""

from __future__ import annotations


class ReceiptDoesNotClose(RuntimeError):
    """A step's outcomes do not add up to what it received."""
