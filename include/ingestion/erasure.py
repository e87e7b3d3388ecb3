"""Erasure: a customer's personal data out of landing and out of the warehouse.

Their rows stay, with ids, amounts and times, so that sums hold and every batch can be replayed; personal fields turn
null. Killed anywhere and run again it ends the same, because what tells which rows are theirs goes last: first the
tables of the warehouse, then landing, its customers after its orders and those after its refunds, and the account in
`shop.customers` at the very end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from include.ingestion.erased_files import files_without_person, is_page_of_files, rows_of_files
from include.ingestion.erased_rows import Pairs, readable_row, rows_in, without_person
from include.ingestion.erasure_in_warehouse import erase_account, erase_rows, follow_rows, known_in_warehouse
from include.ingestion.errors import LandingDamaged
from include.ingestion.landing import Landing
from include.ingestion.person import Person, number_of
from include.ingestion.rewriting import plan_rewrite, rewrite
from include.sources.source import Page

_LAST = ("refunds", "orders", "customers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure changed.

    :param pages: of landing; `rows`: raw rows on them.
    :param table_rows: of the warehouse.
    :param unfinished: batches without manifest, of runs under way or killed, into which nobody can look.
    """

    customer_id: int
    batches: int
    pages: int
    rows: int
    table_rows: int
    unfinished: int
    seconds: float

    def __str__(self) -> str:
        """One line that can be grepped."""
        return (
            f"erase_customer customer_id={self.customer_id} batches={self.batches} pages={self.pages} "
            f"rows={self.rows} table_rows={self.table_rows} unfinished={self.unfinished} seconds={self.seconds:.2f}"
        )


def erase_customer(conn: Connection, landing: Landing, *, customer_id: int, now: datetime) -> Erased:
    """Take a customer's personal data out of landing and the warehouse.

    :param now: written into the manifests as `erased_at`, UTC.
    :raises LandingDamaged: some batches could not be read; the others are done, the account is not.
    :raises LandingNotWritable: a batch could not be changed; run it again.
    :raises LandingUnreachable: the store does not answer; run it again.
    """
    started = time.monotonic()
    batches = list(landing.batches())
    person = _known_in_landing(landing, batches, known_in_warehouse(conn, customer_id))
    table_rows = erase_rows(conn, person)
    conn.commit()
    changed = pages = rows = 0
    damaged = []
    for batch in sorted(batches, key=_order):
        try:
            pages_here, rows_here, followed = _erase_in_batch(conn, landing, batch, person, now=now)
        except LandingDamaged as error:
            damaged.append(str(error))
            continue
        changed, pages = changed + (pages_here > 0), pages + pages_here
        rows, table_rows = rows + rows_here, table_rows + followed
    if damaged:
        raise LandingDamaged(
            f"{len(damaged)} batches may still hold personal data of customer {customer_id}, because they are damaged: "
            f"{' '.join(damaged)} The other {len(batches) - len(damaged)} are done, the account in shop.customers is "
            "not. Remove those batches from landing, then run this again."
        )
    table_rows += erase_account(conn, person)
    conn.commit()
    return Erased(
        customer_id=customer_id,
        batches=changed,
        pages=pages,
        rows=rows,
        table_rows=table_rows,
        unfinished=sum(1 for _ in landing.folders()) - sum(1 for _ in landing.batches()),
        seconds=time.monotonic() - started,
    )


def _erase_in_batch(
    conn: Connection, landing: Landing, batch: str, person: Person, *, now: datetime
) -> tuple[int, int, int]:
    """Pages, raw rows and rows of quarantine that changed."""
    entity = _entity(batch)
    pairs: list[tuple[bytes, bytes, Mapping[str, Any]]] = []

    def change(page: Page) -> bytes:
        return _without_person(page.body, entity, person)[0]

    def change_and_tell(page: Page) -> bytes:
        body, changed = _without_person(page.body, entity, person)
        pairs.extend((before, after, page.context) for before, after in changed)
        return body

    plan = plan_rewrite(landing, batch, change_and_tell)
    if not plan.checksums:
        return 0, 0, 0
    with conn.transaction():
        followed = follow_rows(conn, pairs, person=person)
    rewrite(landing, plan, change, now=now)
    return len(plan.checksums), len(pairs), followed


def _without_person(body: bytes, entity: str, person: Person) -> tuple[bytes, Pairs]:
    if is_page_of_files(body):
        return files_without_person(body, person), []
    return without_person(body, entity, person)


def _known_in_landing(landing: Landing, batches: list[str], person: Person) -> Person:
    """The customer as landing knows them besides: earlier addresses and names, orders as a guest, browsers."""
    for wanted in ("customers", "orders", "events"):
        for batch in batches:
            if _entity(batch) == wanted:
                person = _known_in_batch(landing, batch, wanted, person)
    return person


def _known_in_batch(landing: Landing, batch: str, entity: str, person: Person) -> Person:
    try:
        for _, page in landing.pages(batch):
            if not person.may_be_on(entity, page.body):
                continue
            for row in _readable_rows(page.body, entity):
                if not person.owns(entity, row):
                    continue
                if entity == "customers":
                    person = person.with_more(
                        emails=[_text(row, "email")], names=[_text(row, "first_name"), _text(row, "last_name")]
                    )
                elif entity == "orders":
                    person = person.with_more(order_ids=[number_of(row.get("id")), number_of(row.get("order_id"))])
                else:
                    browsers = [_text(row, "anonymousId"), _text(row, "anonymous_id")]
                    person = person.with_more(anonymous_ids=browsers)
    except LandingDamaged:
        pass  # told when its rows are to be erased
    return person


def _readable_rows(body: bytes, entity: str) -> list[Mapping[str, Any]]:
    try:
        if is_page_of_files(body):
            return list(rows_of_files(body, entity))
        return [row for _, raw in rows_in(body) if (row := readable_row(raw)) is not None]
    except ValueError:
        return []


def _text(row: Mapping[str, Any], field: str) -> str | None:
    value = row.get(field)
    return value if isinstance(value, str) else None


def _entity(batch: str) -> str:
    return batch.split("/")[1]


def _order(batch: str) -> tuple[int, str]:
    entity = _entity(batch)
    return (_LAST.index(entity) + 1 if entity in _LAST else 0, batch)
