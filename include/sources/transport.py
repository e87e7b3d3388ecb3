"""One request over the wire: TLS verified, redirects kept within the origin, the body bounded.

No error that leaves here holds an address with its query, nor an exception of aiohttp that does: both may carry keys.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from include.sources.errors import CertificateNotTrusted, ContractBroken
from include.sources.limits import HttpLimits
from include.sources.retry import TryFailed

REDIRECTS = 5
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Reply:
    """What a host answered; the body is read only if the status is 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests of one client. `open` it first, `close` it last.

    Certificates are checked against the system's authorities, or those in the file that SSL_CERT_FILE names.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make ready to send; needs a running event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limits.concurrency, ssl=ssl.create_default_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "regulars"},
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """End all connections."""
        assert self._session is not None
        await self._session.close()

    async def ask(self, url: URL, *, headers: Mapping[str, str]) -> Reply:
        """GET one address, following redirects within its origin.

        :raises TryFailed: no answer in time, or none that may be taken.
        """
        failure: TryFailed
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                return await self._follow(url, headers)
        except TimeoutError:
            failure = TryFailed(
                f"was not answered within {self._limits.request_seconds:g} s", status="timeout", health="sick"
            )
        except aiohttp.ClientConnectorCertificateError as error:
            failure = _untrusted(url, error.certificate_error)
        except (aiohttp.ClientError, ConnectionError) as error:
            failure = TryFailed(f"failed with {type(error).__name__}", status="connection_error", health="sick")
        raise failure  # not where it was caught: aiohttp's own error would come along

    async def _follow(self, url: URL, headers: Mapping[str, str]) -> Reply:
        assert self._session is not None
        origin = url.origin()
        for _ in range(REDIRECTS + 1):
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status not in _REDIRECT_STATUSES:
                    body = await self._read(response) if response.status == 200 else b""
                    return Reply(response.status, response.headers, body)
                url = _target(url, response)
                if url.origin() != origin:
                    raise _contract_broken(
                        f"answered {response.status} and sends us to {url.origin()}, where our credentials must not go",
                        status=str(response.status),
                        mend="If it is meant to be there, write that address into the connection `{connection}`.",
                    )
        raise _contract_broken(f"was redirected more than {REDIRECTS} times", status="redirects")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        longest = self._limits.body_bytes
        chunks, size = [], response.content_length or 0
        if size <= longest:
            size = 0
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                size += len(chunk)
                if size > longest:
                    break
                chunks.append(chunk)
        if size > longest:
            raise _contract_broken(
                f"answered more than {longest:,} bytes",
                status="too_large",
                mend="Ask for less at a time, or raise `body_bytes` in the `limits` of the connection `{connection}`.",
            )
        return b"".join(chunks)


def _target(url: URL, response: aiohttp.ClientResponse) -> URL:
    try:
        return url.join(URL(response.headers["Location"]))
    except (KeyError, ValueError):
        status = str(response.status)
    raise _contract_broken(f"answered {status} without an address to go to", status=status)


def _contract_broken(
    what: str, *, status: str, mend: str = "Check that the connection `{connection}` names the right address."
) -> TryFailed:
    return TryFailed(what, status=status, health="up", error=ContractBroken, mend=mend, is_final=True)


def _untrusted(url: URL, error: Exception) -> TryFailed:
    reason = getattr(error, "verify_message", None) or type(error).__name__
    return TryFailed(
        f"was not sent: the certificate of {url.host} is not trusted ({reason})",
        status="untrusted_certificate",
        health="unknown",
        error=CertificateNotTrusted,
        mend="If the address of the connection `{connection}` is right and a private authority signed the certificate, "
        "put that authority's certificate into a file and name it in SSL_CERT_FILE for every part of Airflow.",
        is_final=True,
    )
