"""What can stop a batch between landing and warehouse."""

from __future__ import annotations


class QualityFailed(RuntimeError):
    """A critical expectation over a batch does not hold. Nothing of the batch was loaded."""


class LandingDamaged(RuntimeError):
    """A landed file is missing or is not what was written."""


class LandingNotWritable(OSError):
    """The folder of landing is full, read-only or not a folder. No batch appeared."""


class NotValidated(RuntimeError):
    """A batch was to be loaded that has not passed validation. Nothing was loaded."""
