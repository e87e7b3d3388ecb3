"""Where a source is and how to get in, as a plain object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HTTP_KINDS = ("http", "https")
FILE_KINDS = ("file", "fs", "aws")
"""Types of connections: `fs` is what Airflow calls a folder, `aws` holds the key of an S3 bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Connection settings of one API, or of one folder of files. Printing them leaves out what may be secret.

    :param name: the connection's name; kept beside every row that came through it.
    :param base_url: scheme, host and port, without a trailing slash; or a folder, an absolute path or a URL.
    :param login: user or consumer key.
    :param password: secret, token or API key.
    :param extra: what only this kind of source needs, such as places or symbols; and its `limits`.
    :param kind: the connection's type, such as `http` or `file`.
    """

    name: str
    base_url: str
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kind: str = "http"
