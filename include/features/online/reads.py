"""Features of given keys at an instant, from the online store, within milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import redis
import redis.asyncio
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.errors import UndefinedTable
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from include.entities.window import refuse_naive
from include.features.definitions.selection import Wanted
from include.features.definitions.service import FeatureService
from include.features.online import postgres as online_postgres
from include.features.online import redis_store
from include.features.online.request import OnlineRequest, request_of
from include.features.online.response import OnlineResponse
from include.features.registry import REGISTRY, Registry
from include.warehouse.connection import connect_warehouse


@dataclass(frozen=True, slots=True)
class _Prepared:
    request: OnlineRequest
    statement: bytes


def _prepare(conn: Connection, wanted: Wanted, registry: Registry) -> _Prepared:
    request = request_of(conn, wanted, registry=registry)
    return _Prepared(request, online_postgres.read_statement(request))


def _known_as(wanted: Wanted) -> Hashable:
    return wanted if isinstance(wanted, FeatureService | str) else tuple(wanted)


class OnlineFeatures:
    """Reads features for requests, from the warehouse or from Redis; one object serves many threads.

    The rules are those of `historical_features` with T = the request's instant: after each publication both give the
    same, bit for bit, for every T from the publication on, until the next build writes. For an earlier T a key whose
    newest row was not known by then is `not found`; what came later is never answered. On-demand features are computed
    by the code that computes them in history.

    :param source: the warehouse's connection string, or an open pool made by `online_pool`.
    :param redis_client: read rows from there; the warehouse then only says which versions the views have.
    """

    def __init__(
        self,
        source: ConnectionPool | str,
        *,
        registry: Registry = REGISTRY,
        redis_client: redis.Redis | None = None,
    ) -> None:
        self._owns_pool = isinstance(source, str)
        self._pool = online_postgres.online_pool(source) if isinstance(source, str) else source
        self._registry, self._redis = registry, redis_client
        self._prepared: dict[Hashable, _Prepared] = {}
        if redis_client is not None:
            redis_store.refuse_decoding(redis_client)

    def get_online_features(
        self, features: Wanted, entity_rows: Sequence[Mapping[str, Any]], *, at: datetime | None = None
    ) -> OnlineResponse:
        """The features of each entity row as known at `at`, all views from one moment of the store.

        :param features: a feature service or its name; or views and versions of views, `view`, `view:feature`,
            `view@2:feature`, and names of on-demand features.
        :param entity_rows: one mapping per row with the join keys of all views; duplicates are fine, None is nobody.
        :param at: the instant of the request; by default now.
        :raises NaiveTime: `at` has no time zone.
        :raises BadEntityRows: a row lacks a key or has one of another type; the text names the rows.
        :raises UnknownFeature, UnknownVersion: a feature is not registered, or its view was never built.
        """
        at = at or datetime.now(UTC)
        refuse_naive(at=at)
        try:
            return self._read(self._prepare(features), entity_rows, at=at)
        except UndefinedTable:  # The version was retired; perhaps the definition has another one by now.
            self._prepared.pop(_known_as(features), None)
            return self._read(self._prepare(features), entity_rows, at=at)

    def close(self) -> None:
        """Close the pool if this object opened it."""
        if self._owns_pool:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _prepare(self, features: Wanted) -> _Prepared:
        known_as = _known_as(features)
        prepared = self._prepared.get(known_as)
        if prepared is None:
            with self._pool.connection() as conn:
                prepared = self._prepared[known_as] = _prepare(conn, features, self._registry)
        return prepared

    def _read(self, prepared: _Prepared, entity_rows: Sequence[Mapping[str, Any]], *, at: datetime) -> OnlineResponse:
        request = prepared.request
        keys = request.keys_of(entity_rows)
        if not request.selections or not entity_rows:
            rows: list[tuple[Any, ...]] = [()] * len(entity_rows)
        elif self._redis is not None:
            rows = redis_store.read_rows(self._redis, request, keys, at=at)
        else:
            parameters = online_postgres.read_parameters(request, keys, at)
            rows = online_postgres.read_rows(self._pool, prepared.statement, parameters)
        return OnlineResponse(request, keys, rows, at=at)


class AsyncOnlineFeatures:
    """The same for asyncio; use it as `async with AsyncOnlineFeatures(...) as online`.

    :param source: the warehouse's connection string, or an open pool made by `async_online_pool`.
    """

    def __init__(
        self,
        source: AsyncConnectionPool | str,
        *,
        registry: Registry = REGISTRY,
        redis_client: redis.asyncio.Redis | None = None,
    ) -> None:
        self._owns_pool = isinstance(source, str)
        self._pool = online_postgres.async_online_pool(source) if isinstance(source, str) else source
        self._registry, self._redis = registry, redis_client
        self._prepared: dict[Hashable, _Prepared] = {}
        if redis_client is not None:
            redis_store.refuse_decoding(redis_client)

    async def get_online_features(
        self, features: Wanted, entity_rows: Sequence[Mapping[str, Any]], *, at: datetime | None = None
    ) -> OnlineResponse:
        """See `OnlineFeatures.get_online_features`."""
        at = at or datetime.now(UTC)
        refuse_naive(at=at)
        try:
            return await self._read(await self._prepare(features), entity_rows, at=at)
        except UndefinedTable:
            self._prepared.pop(_known_as(features), None)
            return await self._read(await self._prepare(features), entity_rows, at=at)

    async def __aenter__(self) -> Self:
        if self._owns_pool:
            await self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._owns_pool:
            await self._pool.close()

    async def _prepare(self, features: Wanted) -> _Prepared:
        known_as = _known_as(features)
        prepared = self._prepared.get(known_as)
        if prepared is None:
            async with self._pool.connection() as conn:
                dsn = make_conninfo(conn.info.dsn, password=conn.info.password)
            prepared = self._prepared[known_as] = await asyncio.to_thread(self._prepare_apart, dsn, features)
        return prepared

    def _prepare_apart(self, dsn: str, features: Wanted) -> _Prepared:
        with connect_warehouse(dsn) as conn:
            return _prepare(conn, features, self._registry)

    async def _read(
        self, prepared: _Prepared, entity_rows: Sequence[Mapping[str, Any]], *, at: datetime
    ) -> OnlineResponse:
        request = prepared.request
        keys = request.keys_of(entity_rows)
        if not request.selections or not entity_rows:
            rows: list[tuple[Any, ...]] = [()] * len(entity_rows)
        elif self._redis is not None:
            rows = await redis_store.read_rows_async(self._redis, request, keys, at=at)
        else:
            parameters = online_postgres.read_parameters(request, keys, at)
            rows = await online_postgres.read_rows_async(self._pool, prepared.statement, parameters)
        return OnlineResponse(request, keys, rows, at=at)
