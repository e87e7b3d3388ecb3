"""The keys in use, kept in memory and read anew every few seconds; who presents one, and may they."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
from fastapi import Request
from psycopg_pool import AsyncConnectionPool

from include.serving.keys import ApiKey, digest_of, parts_of
from include.serving.problems import ProblemError, warehouse_unavailable
from include.serving.rates import TokenBucket

logger = logging.getLogger(__name__)

_READ = """
SELECT key_id, name, secret_digest, scopes, requests_per_second, burst
FROM serving.api_keys
WHERE revoked_at IS NULL
"""
_NOBODY = digest_of("")
_LOOK_AGAIN_SECONDS = 1.0
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class _Holder:
    key: ApiKey
    bucket: TokenBucket


class KeyRing:
    """Checks keys without asking the warehouse for each request; a gone warehouse leaves the keys known last.

    :param refresh_seconds: how long a revoked key may still count.
    """

    def __init__(self, pool: AsyncConnectionPool, *, refresh_seconds: float) -> None:
        self._pool, self._refresh_seconds = pool, refresh_seconds
        self._holders: dict[str, _Holder] | None = None
        self._looked_again_at, self._looking = -math.inf, asyncio.Lock()
        self._is_well = True

    async def keep_fresh(self) -> None:
        """Read the keys anew for ever."""
        while True:
            await self._refresh()
            await asyncio.sleep(self._refresh_seconds)

    def needing(self, scope: str) -> Callable[[Request], Awaitable[None]]:
        """A dependency of routes: lets those pass whose key has the scope, as often as the key may.

        :raises ProblemError: 401, 403 or 429; 503 while the keys were never read, or for a key that is not known while
            they cannot be read.
        """

        async def let_pass(request: Request) -> None:
            holder = await self._holder_of(request.headers.get("authorization", ""))
            if holder is None:
                raise ProblemError(
                    401, "no-valid-key", "Send a key that is in use: Authorization: Bearer regulars_…",
                    challenge="Bearer",
                )  # fmt: skip
            request.scope["regulars.key_name"] = holder.key.name
            if scope not in holder.key.scopes:
                raise ProblemError(403, "scope-missing", f"This key lacks the scope {scope}.")
            if wait := holder.bucket.take():
                raise ProblemError(
                    429, "too-many-requests",
                    f"This key may ask {holder.key.requests_per_second:g} times a second. Ask again later.",
                    retry_seconds=math.ceil(wait),
                )  # fmt: skip

        return let_pass

    async def _holder_of(self, authorization: str) -> _Holder | None:
        """Whose key it is. The secret is compared in the same time however much of it is right."""
        if self._holders is None:
            await self._refresh()
        presented = authorization[len(_SCHEME) :] if authorization[: len(_SCHEME)].lower() == _SCHEME else ""
        parts = parts_of(presented.strip())
        if parts is None:
            return None
        key_id, secret = parts
        if key_id not in self._known:
            await self._look_again()
        holder = self._known.get(key_id)
        is_right = hmac.compare_digest(digest_of(secret), holder.key.secret_digest if holder else _NOBODY)
        return holder if is_right else None

    async def _look_again(self) -> None:
        """For a key that may have been made a moment ago; who asks meanwhile waits for the same reading.

        :raises ProblemError: the keys cannot be read, so that nobody can say whether the key is in use.
        """
        async with self._looking:
            now = time.monotonic()
            if now - self._looked_again_at > _LOOK_AGAIN_SECONDS:
                await self._refresh()
                self._looked_again_at = now
        if not self._is_well:
            raise warehouse_unavailable()

    @property
    def _known(self) -> dict[str, _Holder]:
        """:raises ProblemError: they were never read."""
        if self._holders is None:
            raise warehouse_unavailable()
        return self._holders

    async def _refresh(self) -> None:
        try:
            async with self._pool.connection() as conn:
                rows = await (await conn.execute(_READ)).fetchall()
        except (psycopg.Error, OSError) as error:
            if self._is_well:
                logger.error("keys is_read=0 error=%s", type(error).__name__)
            self._is_well = False
            return
        if not self._is_well:
            logger.info("keys is_read=1 count=%d", len(rows))
        self._is_well = True
        self._holders = {row[0]: self._holder(ApiKey(
            key_id=row[0], name=row[1], secret_digest=row[2], scopes=frozenset(row[3]), requests_per_second=row[4],
            burst=row[5],
        )) for row in rows}  # fmt: skip

    def _holder(self, key: ApiKey) -> _Holder:
        """With the bucket as it stands, if the key had one."""
        known = (self._holders or {}).get(key.key_id)
        if known is not None and known.key == key:
            return known
        return _Holder(key, TokenBucket(per_second=key.requests_per_second, burst=key.burst))
