"""A small shop in landing with one customer who wants to be forgotten, and others who must not notice.

Ottilie is customer 7. She changed her e-mail address once, ordered as a guest too, and browsed before she logged
in; some of her rows are broken. Nothing of anybody else holds her names or addresses, but where it says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from include.entities.window import Window
from include.ingestion.landing import Landing, decompressed
from include.sources.source import Page
from tests.unit.source_pages import CONTEXT, body_of, row

NOW = datetime(2024, 3, 9, 4, 5, 6, tzinfo=UTC)
WINDOW = Window(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 8, tzinfo=UTC))
OTTILIE = 7
EMAIL, OLD_EMAIL = "Ottilie.Byron+shop@Example.com", "ottilie@old.example"
TRACES = (
    "ottilie.byron+shop@example.com", "ottilie.byron%2bshop%40example.com", "ottilie@old.example", "ottilie",
    "byron-king", "12 st james square", "+44 20 7946 0000", "203.0.113.7", "ottiliebyron",
)  # fmt: skip
"""What may stand nowhere afterwards, in lower case."""


def address(**more: Any) -> dict[str, Any]:
    return {
        "first_name": "Ottilie",
        "last_name": "Byron-King",
        "company": "",
        "address_1": "12 St James Square",
        "city": "London",
        "postcode": "SW1Y",
        "country": "GB",
        "phone": "+44 20 7946 0000",
        **more,
    }


def account(email: str, **more: Any) -> dict[str, Any]:
    return row(
        "customers",
        id=OTTILIE,
        email=email,
        first_name="Ottilie",
        last_name="Byron-King",
        username="ottiliebyron",
        billing=address(email=email),
        meta_data=[{"id": 1, "key": "signature", "value": "Ottilie BYRON-KING, countess"}],
        **more,
    )


def other(number: int, **more: Any) -> dict[str, Any]:
    name = {8: "Bob", 77: "Cleo"}[number]
    email = f"{name}@example.com"
    billing = {"country": "DE", "email": email, "first_name": name, "phone": "+49 30 1"}
    return row("customers", id=number, email=email, first_name=name, last_name="Stone", billing=billing, **more)


def order(number: int, customer: int, **more: Any) -> dict[str, Any]:
    return row("orders", id=number, number=str(number), customer_id=customer, **more)


def event(number: int, **more: Any) -> dict[str, Any]:
    return row("events", messageId=f"m-{number}", **more)


@dataclass(frozen=True)
class Rows:
    """Raw rows of one page, and which of them are Ottilie's or name her."""

    entity: str
    rows: list[Any]
    touched: frozenset[int]
    at: timedelta = timedelta(0)
    raw_lines: dict[int, bytes] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        if self.entity != "events":
            return body_of(self.entity, self.rows)
        lines = [self.raw_lines.get(place) or json.dumps(each).encode() for place, each in enumerate(self.rows)]
        return b"\n".join(lines) + b"\n"


PAGES = (
    Rows("customers", [other(8), account(OLD_EMAIL), other(77)], frozenset({1})),
    Rows(
        "customers",
        [
            account(EMAIL, date_modified_gmt="2024-03-04T03:04:05"),
            other(8),
            {**account(EMAIL), "id": "seven"},
            other(77),
        ],
        frozenset({0, 2}),
        at=timedelta(hours=1),
    ),
    Rows(
        "orders",
        [
            order(
                1001,
                OTTILIE,
                billing=address(email=EMAIL.upper()),
                shipping=address(),
                customer_note="Please ring, I am Ottilie",
                customer_ip_address="203.0.113.7",
                refunds=[{"id": 2001, "reason": "Ottilie did not like it", "total": "-9.95"}],
                meta_data=[{"id": 5, "key": "gift", "value": "for ottilie byron-king"}],
            ),
            order(1002, 0, billing=address(email=EMAIL.lower())),
            order(1003, 8, customer_note=f"a present from {EMAIL}"),
            order(1004, 77, billing={"country": "DE", "email": "cleo@example.com", "city": "Bonn"}),
            order(1005, 0, billing={"country": "DE", "email": "somebody@example.com", "phone": "1"}),
            {**order(1006, OTTILIE, billing=address(email=EMAIL), note="ask Ottilie"), "total": 24.85},
            order(1007, 0, billing=address(email=OLD_EMAIL)),
        ],
        frozenset({0, 1, 2, 5, 6}),
    ),
    Rows("orders", [order(1010, 8), order(1011, 77)], frozenset()),
    Rows(
        "refunds",
        [
            row("refunds", id=2001, reason="Ottilie did not like it"),
            row("refunds", id=2002, parent_id=1002, reason="byron-king: too small", meta_data=[]),
            row("refunds", id=2003, parent_id=1003, meta_data=[{"id": 1, "key": "_customer_user", "value": "77"}]),
        ],
        frozenset({0, 1}),
    ),
    Rows(
        "events",
        [
            event(1, context={"ip": "203.0.113.7", "traits": {"email": EMAIL, "name": "Ottilie", "age": 28}}),
            event(2, userId=None, context={"ip": "203.0.113.7"}, properties={"note": "hello Ottilie"}),
            event(3, userId="8", context={"ip": "198.51.100.1"}),
            event(4, userId=None, anonymousId="a-2", context={"ip": "198.51.100.2"}),
            event(
                5,
                userId=None,
                anonymousId="a-3",
                properties={"url": "/reset?email=Ottilie.Byron%2Bshop%40Example.com&page=2"},
            ),
            event(6, userId="77", anonymousId="a-4"),
            None,
            None,
        ],
        frozenset({0, 1, 4, 6, 7}),
        raw_lines={
            6: b'{"messageId": "m-7", "userId": "9", "note": "\\u006fttilie@old.example", "broken": \xff',
            7: b'{"messageId": "m-8", "context": {"traits": {"firstName": "Ottilie", "mail": "OTTILIE@OLD.EXAMPLE',
        },
    ),
)


def land(landing: Landing) -> list[tuple[str, Rows]]:
    """One batch per page."""
    batches = []
    for rows in PAGES:
        source = "event_export" if rows.entity == "events" else "shop_api"
        batch = landing.open_batch(source=source, entity=rows.entity, window=WINDOW, now=NOW + rows.at)
        page = Page(body=rows.body, request="/", received_at=NOW, context=CONTEXT.get(rows.entity, {}))
        batch.write(page, rows=len(rows.rows))
        batches.append((batch.close(), rows))
    return batches


def raw_rows(entity: str, body: bytes) -> list[bytes]:
    """The raw rows of a page, told without the code under test."""
    if entity == "events":
        return [line for line in body.split(b"\n") if line]
    return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]


def traces_in_landing(landing: Landing) -> list[str]:
    """Where in any file of landing, decompressed and with JSON escapes resolved, something of Ottilie is left."""
    found = []
    for path in landing.root.fs.find(landing.root.path, refresh=True):
        content = landing.root.fs.cat_file(path)
        content = decompressed(content) if path.endswith(".zst") else content
        text = content.decode("utf-8", errors="replace")
        for escape, character in (("\\u0040", "@"), ("\\u006f", "o"), ("\\u002b", "+")):
            text += text.replace(escape, character)
        found += [f"{trace} in {path}" for trace in TRACES if trace in text.lower()]
    return found


def traces_in_tables(conn: Any) -> list[str]:
    """Where in any table something of Ottilie is left."""
    tables = conn.execute(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    ).fetchall()
    assert len(tables) > 20
    found = []
    for (table,) in tables:
        for (text,) in conn.execute(f"SELECT lower(t::text) FROM {table} AS t"):
            found += [f"{trace} in {table}" for trace in TRACES if trace in text]
    conn.rollback()
    return found
