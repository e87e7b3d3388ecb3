"""An HTTP server that answers as the APIs do, with rows or bodies given byte by byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs

from include.entities.entity import Entity, RejectionLimit
from include.sources.factory import SOURCES
from include.sources.settings import SourceSettings
from include.sources.source import Source
from tests.http_server import QuietHandler, served_by
from tests.integration.ingestion_shop import IMPATIENT

PLACE = {"name": "London", "latitude": 51.5, "longitude": -0.12}
EXTRA = {
    "weather_daily": {"locations": [PLACE]},
    "stock_prices_daily": {"symbols": ["AMZN"], "currency": "USD"},
}
LISTS = ("customers", "products", "orders", "refunds")


@dataclass
class CannedApi:
    """What is answered for one entity.

    :param rows: raw rows of a list, paged as the shop pages them, or the lines of an export.
    :param body: instead of them, the whole body, with `headers`.
    """

    base_url: str = ""
    rows: Sequence[bytes] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def source(self, entity: str) -> Source:
        """The source of an entity that reads from here, and loads what is good however little that is."""
        name, build = SOURCES[entity]
        settings = SourceSettings(
            name=name, base_url=self.base_url, login="k", password="s", extra=EXTRA.get(entity, {})
        )
        source = build(settings, limits=replace(IMPATIENT, attempts=2))  # type: ignore[call-arg]
        source.entity = judged_row_by_row(source.entity)
        return source

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of one answer."""
        if path.endswith("/currencies/current"):
            return b'{"code":"EUR"}', {}
        if self.body is not None:
            total = str(len(self.rows) or 1)
            return self.body, {"X-WP-Total": total, "X-WP-TotalPages": "1", **self.headers}
        if path == "/v1/export/events":
            is_first = query["start"] < "2024-03-05"
            return b"".join(line + b"\n" for line in self.rows) if is_first else b"", {}
        first, size = int(query.get("offset", 0)), int(query["per_page"])
        chosen = self.rows[first : first + size]
        return b"[" + b",".join(chosen) + b"]", {"X-WP-Total": str(len(self.rows))}


def judged_row_by_row(entity: Entity) -> Entity:
    """Without what is said of a batch as a whole: nearly every row is to be rejected here, and what is left is odd."""
    child = judged_row_by_row(entity.child) if entity.child else None
    return replace(entity, rejection_limit=RejectionLimit(share=1.0), expectations=(), child=child)


@contextmanager
def canned_api() -> Iterator[CannedApi]:
    """A server as long as the block lasts."""
    api = CannedApi()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            api.asked.append(self.path)
            body, headers = api.answer(path, {name: values[0] for name, values in parse_qs(query).items()})
            self.say(body, headers)

    with served_by(Handler) as address:
        api.base_url = address
        yield api
