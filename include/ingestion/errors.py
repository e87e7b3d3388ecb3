"""What can stop a batch between landing and warehouse."""

from __future__ import annotations


class QualityFailed(RuntimeError):
    """A critical expectation over a batch does not hold. Nothing of the batch was loaded."""


class TooManyRejected(RuntimeError):
    """More of a window's rows were rejected than its entity allows. Nothing of the batch was loaded."""


class RequiredFieldVanished(RuntimeError):
    """A source no longer sends a field without which its rows cannot be read. Nothing of the batch was loaded."""


class StillRejected(RuntimeError):
    """A replay of quarantine left rows there. What passed is loaded."""


class LandingDamaged(RuntimeError):
    """A landed file is missing or is not what was written."""


class LandingNotWritable(OSError):
    """Landing's folder or bucket is full, read-only, not there, or does not let us in. No file appeared."""


class LandingUnreachable(RuntimeError):
    """Landing's folder or bucket does not answer, or does not let us read. Trying again may help."""


class NotValidated(RuntimeError):
    """A batch was to be loaded that has not passed validation. Nothing was loaded."""


class NothingLanded(RuntimeError):
    """Landing holds no batch of what was asked for. Nothing was loaded."""
