"""What can go wrong between us and an API, told apart by what helps: waiting, or a person."""

from __future__ import annotations


class SourceError(RuntimeError):
    """An API did not give what was asked for. Nothing was loaded."""


class SourceUnreachable(SourceError):
    """The API is down, too slow or refusing for now: the same request may work later."""


class CircuitOpen(SourceUnreachable):
    """The host failed so often that it is left alone for a while; the request was not sent."""


class CredentialsRejected(SourceError):
    """The API knows us not, or lets us not: only a person can mend it."""


class CertificateNotTrusted(SourceError):
    """The host cannot prove that it is who it says; nothing was sent to it."""


class ContractBroken(SourceError):
    """The API answered something that its contract does not allow: retrying will not help."""


class SettingRefused(SourceError):
    """The connection says something that cannot be followed."""
