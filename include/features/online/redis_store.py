"""The online store in Redis: one hash per version of a view, one field per key.

A publication is seen whole. Its rows are written beside those that readers see, marked with the build that they belong
to, in as many steps as it takes; then one MULTI names that build for all views at once, and readers, who ask for it
together with the rows, take the new ones. What a publication that died left behind is never seen before the next one
is through. Per key two rows are kept at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from psycopg import Connection, sql

from include.features.definitions.versions import ViewVersion
from include.features.online.newest import newest_rows
from include.features.online.redis_rows import field_of, packed, sent, unpacked
from include.features.online.request import Keys, OnlineRequest
from include.features.online.store import Published, Pushed

_BUILDS, _INSTANTS = "regulars:published_builds", "regulars:published_at"
"""Hashes by version: the newest build that readers see, and when it was published."""
_MERGE = (Path(__file__).parent / "redis_store.lua").read_text()
_ROWS_AT_ONCE = 500
"""So many rows are merged in one step; other clients of Redis wait for it, one or two milliseconds."""
_PUSHED_SINCE = """
    SELECT DISTINCT ON ({keys}) * FROM {history}
    WHERE event_time IN (
        SELECT event_time FROM features.built_snapshots
        WHERE view_name = {name} AND version = {version} AND is_partial AND built_at >= {since} - INTERVAL '1 day'
    )
    ORDER BY {keys}, event_time DESC, available_time DESC, seq DESC
"""


class RedisOnline:
    """An online store in Redis.

    :param client: one that gives bytes (not `decode_responses`).
    """

    name = "redis"

    def __init__(self, client: redis.Redis) -> None:
        refuse_decoding(client)
        self._client = client
        self._merge = client.register_script(_MERGE)

    def publish(self, conn: Connection, versions: Sequence[ViewVersion], *, now: datetime) -> list[Published]:
        """See `OnlineStore.publish`. How far it has come is kept in Redis, so that an empty Redis is filled anew."""
        conn.execute("SET LOCAL work_mem = '128MB'")
        done = [self._send(conn, version) for version in versions]
        with self._client.pipeline(transaction=True) as pipeline:
            for version, published in zip(versions, done, strict=True):
                pipeline.hset(_BUILDS, str(version), str(published.through_seq))
                pipeline.hset(_INSTANTS, str(version), now.isoformat())
            pipeline.execute()
        return done

    def push(self, conn: Connection, pushed: Pushed) -> None:
        """See `OnlineStore.push`."""
        rows: list[tuple[int, bytes, bytes]] = []
        for number, (version, instant) in enumerate(pushed, 1):
            query = sql.SQL("SELECT * FROM {} WHERE event_time = {}").format(version.history, sql.Literal(instant))
            rows += [(number, *row) for row in _packed_rows(conn, version, query)]
        if rows:
            versions = [version for version, _ in pushed]
            self._merge_rows(versions, [""] * len(versions), rows)

    def _send(self, conn: Connection, version: ViewVersion) -> Published:
        """Write what is new beside what readers see."""
        last = conn.execute(
            "SELECT last_seq FROM features.view_versions WHERE view_name = %s AND version = %s",
            (version.view.name, version.version),
        ).fetchone()
        last_seq = last[0] if last else 0
        after_seq = int(self._kept(_BUILDS, version) or 0)
        instant = self._kept(_INSTANTS, version)
        published_at = datetime.fromisoformat(instant) if instant else None
        received = inserted = updated = 0
        for query in self._news(conn, version, last_seq=last_seq, after_seq=after_seq, published_at=published_at):
            for rows in _chunks(_packed_rows(conn, version, query), _ROWS_AT_ONCE):
                news = self._merge_rows([version], [str(last_seq)], [(1, *row) for row in rows])
                received, inserted, updated = received + len(rows), inserted + news[0], updated + news[1]
        return Published(received, inserted, updated, last_seq)

    def _news(
        self, conn: Connection, version: ViewVersion, *, last_seq: int, after_seq: int, published_at: datetime | None
    ) -> Iterator[sql.Composed]:
        """What was built since, and what was pushed since: a push that died may not have come here."""
        if last_seq > after_seq:
            yield newest_rows(conn, version, after_seq=after_seq, published_at=published_at)
        yield sql.SQL(_PUSHED_SINCE).format(
            keys=version.keys,
            history=version.history,
            name=sql.Literal(version.view.name),
            version=sql.Literal(version.version),
            since=sql.SQL("{}::timestamptz").format(sql.Literal(published_at or "-infinity")),
        )

    def _kept(self, name: str, version: ViewVersion) -> str | None:
        value: Any = self._client.hget(name, str(version))
        return None if value is None else value.decode()

    def _merge_rows(
        self, versions: Sequence[ViewVersion], builds: Sequence[str], rows: Sequence[tuple[int, bytes, bytes]]
    ) -> list[int]:
        return self._merge(
            keys=[_BUILDS, *map(_rows_of, versions)],
            args=[*map(str, versions), *builds, sent(rows)],
        )


def _rows_of(version: ViewVersion) -> str:
    """The name of the hash of a version's rows."""
    return f"regulars:online:{version}"


def refuse_decoding(client: Any) -> None:
    """:raises ValueError: the client turns bytes into text, which rows are not."""
    if client.connection_pool.connection_kwargs.get("decode_responses"):
        raise ValueError("The online store needs a Redis client that gives bytes. Make it without decode_responses.")


def ask(pipeline: Any, request: OnlineRequest, keys: Keys) -> None:
    """Put one reading of all views into a transaction: which builds are published, then the rows."""
    pipeline.hmget(_BUILDS, [str(selection.version) for selection in request.selections])
    for selection in request.selections:
        pipeline.hmget(_rows_of(selection.version), _fields(request, selection.view.entity.key_names, keys))


def answer(answers: Sequence[Sequence[bytes | None]], request: OnlineRequest, *, at: datetime) -> list[tuple[Any, ...]]:
    """One row per entity row, as `online_postgres.read_rows` gives it."""
    builds, *entries = answers
    views = []
    for selection, build, found in zip(request.selections, builds, entries, strict=True):
        visible = int(build or 0)
        views.append([unpacked(entry, selection, visible=visible, at=at) for entry in found])
    return [tuple(value for part in row for value in part) for row in zip(*views, strict=True)]


def read_rows(client: redis.Redis, request: OnlineRequest, keys: Keys, *, at: datetime) -> list[tuple[Any, ...]]:
    """One row per entity row: per view the event time of the row found (None: not found) and its features."""
    with client.pipeline(transaction=True) as pipeline:
        ask(pipeline, request, keys)
        return answer(pipeline.execute(), request, at=at)


async def read_rows_async(
    client: redis.asyncio.Redis, request: OnlineRequest, keys: Keys, *, at: datetime
) -> list[tuple[Any, ...]]:
    """See `read_rows`."""
    async with client.pipeline(transaction=True) as pipeline:
        ask(pipeline, request, keys)
        return answer(await pipeline.execute(), request, at=at)


def _fields(request: OnlineRequest, names: Sequence[str], keys: Keys) -> list[bytes]:
    """The fields of the entity rows; a row with a null key asks for a field that nobody has."""
    columns = [keys[name] for name in names]
    return [b"" if None in key else field_of(key) for key in zip(*columns, strict=True)]


def _packed_rows(conn: Connection, version: ViewVersion, query: sql.Composable) -> Iterator[tuple[bytes, bytes]]:
    """Field and row, streamed; money as decimal text."""
    columns = [
        sql.SQL("{}::text" if feature.type == "money" else "{}").format(sql.Identifier(feature.name))
        for feature in version.view.features
    ]
    streamed = sql.SQL(
        "SELECT event_time, available_time, seq, is_tombstone, {keys}, {columns} FROM ({query}) AS rows"
    ).format(keys=version.keys, columns=sql.SQL(", ").join(columns), query=query)
    key_count = len(version.view.entity.key_names)
    with closing(conn.cursor("rows_for_redis")) as cursor:
        cursor.itersize = 4 * _ROWS_AT_ONCE
        for event_time, available_time, seq, is_tombstone, *values in cursor.execute(streamed, binary=True):
            key, features = tuple(values[:key_count]), values[key_count:]
            yield field_of(key), packed(event_time, available_time, seq, is_tombstone=is_tombstone, features=features)


def _chunks(rows: Iterable[tuple[bytes, bytes]], size: int) -> Iterator[list[tuple[bytes, bytes]]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
