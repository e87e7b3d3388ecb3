"""What the tests of a new source need: a small HTTP server, a window, and the columns that its table lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg

from include.entities.entity import Entity
from include.entities.window import Window
from include.sources.settings import SourceSettings
from tests.http_server import QuietHandler, served_by
from tests.integration.test_entities import POSTGRES_TYPES, columns_in

WINDOW = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


@contextmanager
def serving(rows: Sequence[Any], headers: Mapping[str, str]) -> Iterator[SourceSettings]:
    """Settings of an API on this machine that answers every GET with the same rows as JSON.

    :param headers: `{rows}` in a value stands for the number of rows.
    """
    body = json.dumps(rows).encode()
    told = {name: value.replace("{rows}", str(len(rows))) for name, value in headers.items()}

    class Api(QuietHandler):
        def do_GET(self) -> None:
            self.say(body, {"Content-Type": "application/json", **told})

    with served_by(Api) as address:
        yield SourceSettings(name="new_api", base_url=address, login="key", password="secret")


def columns_to_add(conn: psycopg.Connection, entity: Entity) -> list[str]:
    """The lines of SQL for the columns that the record has and the table lacks, or has in another type."""
    found = columns_in(conn, entity)
    lines = []
    for name, kind in entity.columns.items():
        is_required = "None" not in str(entity.record.__annotations__[name])
        wanted = "jsonb" if name in entity.json_columns else POSTGRES_TYPES[kind]
        if found.get(name) != (wanted, is_required):
            short = wanted.replace("timestamp with time zone", "timestamptz")
            lines.append(f"    {name} {short}{' NOT NULL' if is_required else ''},")
    return lines
