"""A customer's personal data in the warehouse: what is known of them, and taking it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import Connection, sql

from include.ingestion.erased_rows import erased_row, readable_row
from include.ingestion.person import ERASED, Person
from include.ingestion.quarantine import payload_digest, readable, row_digest

NO_DIGEST = "00000000-0000-0000-0000-000000000000"
"""Below every digest, so that the same version read again without personal data takes the row's place."""


def known_in_warehouse(conn: Connection, customer_id: int) -> Person:
    """The customer as `shop` knows them."""
    person = Person(customer_id=customer_id)
    account = "SELECT email, first_name, last_name FROM shop.customers WHERE customer_id = %s"
    for email, *names in conn.execute(account, (customer_id,)):
        person = person.with_more(emails=[email], names=names)
    orders = conn.execute("SELECT order_id FROM shop.orders WHERE customer_id = %s", (customer_id,))
    browsers = conn.execute("SELECT DISTINCT anonymous_id FROM shop.events WHERE customer_id = %s", (customer_id,))
    return person.with_more(order_ids=[key for (key,) in orders], anonymous_ids=[key for (key,) in browsers])


def follow_rows(conn: Connection, pairs: Iterable[tuple[bytes, bytes, Mapping[str, Any]]], *, person: Person) -> int:
    """Let quarantine hold of its rows what landing holds of them now, and know them by it.

    :param pairs: raw rows before and after, and what their page says beside them.
    :returns: rows of quarantine that changed.
    """
    by_digest = {row_digest(before, context): (before, after, context) for before, after, context in pairs}
    found = conn.execute(
        "SELECT entity, payload_digest, row_digest, occurrence, payload, reason FROM quarantine.rejected_rows"
        " WHERE row_digest = ANY(%s::uuid[]) ORDER BY 1, 2, 3, 4",
        (list(by_digest),),
    ).fetchall()
    for *key, payload, reason in found:
        entity, digest, row, _ = key
        before, after, context = by_digest[row.hex]
        is_whole = digest.hex == payload_digest(before)
        is_theirs = _owns(person, entity, before.decode("utf-8", errors="replace"))
        conn.execute(
            """
            UPDATE quarantine.rejected_rows AS moved
            SET payload = %(payload)s, reason = %(reason)s, payload_digest = %(new_digest)s, row_digest = %(new_row)s,
                occurrence = (
                    SELECT coalesce(max(taken.occurrence), 0) + 1
                    FROM quarantine.rejected_rows AS taken
                    WHERE (taken.entity, taken.payload_digest, taken.row_digest)
                        = (moved.entity, %(new_digest)s::uuid, %(new_row)s::uuid)
                )
            WHERE (moved.entity, moved.payload_digest, moved.row_digest, moved.occurrence)
                = (%(entity)s, %(digest)s, %(row)s, %(occurrence)s)
            """,
            {
                **dict(zip(("entity", "digest", "row", "occurrence"), key, strict=True)),
                "payload": readable(after) if is_whole else _erased(payload, entity, person, is_theirs=is_theirs),
                "reason": person.without_names(reason) if is_theirs else person.without_emails(reason),
                "new_digest": payload_digest(after) if is_whole else digest,
                "new_row": row_digest(after, context),
            },
        )
    return len(found)


def erase_rows(conn: Connection, person: Person) -> int:
    """Take a customer's e-mail address and names out of every table but their account, in one transaction.

    :returns: rows that changed.
    """
    with conn.transaction():
        return (
            _erase_rejected_rows(conn, person)
            + _erase_reasons(conn, person)
            + _erase_properties(conn, person)
            + sum(_erase_emails(conn, *table, person=person) for table in _tables_with_text(conn))
        )


def erase_account(conn: Connection, person: Person) -> int:
    """Take their e-mail address and names out of `shop.customers`, in one transaction.

    :returns: rows that changed.
    """
    with conn.transaction():
        return conn.execute(
            """
            UPDATE shop.customers
            SET email = NULL, first_name = NULL, last_name = NULL, content_digest = %s
            WHERE customer_id = %s AND (email IS NOT NULL OR first_name IS NOT NULL OR last_name IS NOT NULL)
            """,
            (NO_DIGEST, person.customer_id),
        ).rowcount


def _erase_rejected_rows(conn: Connection, person: Person) -> int:
    """Payloads and reasons of the rows that are theirs, of their lines, and of those that name their address."""
    ids = [person.customer_id, *person.order_ids]
    words = [rf"\m{each}\M" for each in ids]
    hint = "|".join(filter(None, [*words, person.email_pattern, person.name_pattern]))
    found = conn.execute(
        "SELECT entity, payload_digest, row_digest, occurrence, payload, reason FROM quarantine.rejected_rows"
        " WHERE payload ~* %(hint)s OR reason ~* %(hint)s"
        " OR row_digest IN (SELECT row_digest FROM quarantine.rejected_rows WHERE payload ~* %(hint)s)",
        {"hint": hint},
    ).fetchall()
    owned = {row for entity, _, row, _, payload, _ in found if _owns(person, entity, payload)}
    changed = 0
    for *key, payload, reason in found:
        entity, _, row, _ = key
        is_theirs = row in owned or person.is_fully_named_in(payload)
        new_payload = _erased(payload, entity, person, is_theirs=is_theirs)
        new_reason = person.without_names(reason) if is_theirs else person.without_emails(reason)
        if (new_payload, new_reason) != (payload, reason):
            conn.execute(
                "UPDATE quarantine.rejected_rows SET payload = %s, reason = %s"
                " WHERE entity = %s AND payload_digest = %s AND row_digest = %s AND occurrence = %s",
                (new_payload, new_reason, *key),
            )
            changed += 1
    return changed


def _owns(person: Person, entity: str, payload: str) -> bool:
    row = readable_row(payload.encode())
    return person.seems_to_own(entity, payload) if row is None else person.owns(entity, row)


def _erased(payload: str, entity: str, person: Person, *, is_theirs: bool) -> str:
    return erased_row(payload.encode(), entity, person, is_theirs=is_theirs).decode()


def _erase_reasons(conn: Connection, person: Person) -> int:
    """What somebody wrote about their refunds."""
    found = conn.execute(
        "SELECT refund_id, reason FROM shop.refunds"
        " WHERE reason IS NOT NULL AND (customer_id = %s OR order_id = ANY(%s))",
        (person.customer_id, list(person.order_ids)),
    ).fetchall()
    changed = [(person.without_names(reason), key) for key, reason in found if person.without_names(reason) != reason]
    with conn.cursor() as cursor:
        cursor.executemany("UPDATE shop.refunds SET reason = %s WHERE refund_id = %s", changed)
    return len(changed)


def _erase_properties(conn: Connection, person: Person) -> int:
    """What else their events say."""
    found = conn.execute(
        "SELECT event_id, properties::text FROM shop.events"
        " WHERE customer_id = %s OR (customer_id IS NULL AND anonymous_id = ANY(%s))",
        (person.customer_id, list(person.anonymous_ids)),
    ).fetchall()
    changed = []
    for key, properties in found:
        erased = erased_row(properties.encode(), "events", person, is_theirs=True).decode()
        if erased != properties:
            changed.append((erased, key))
    with conn.cursor() as cursor:
        cursor.executemany("UPDATE shop.events SET properties = %s::jsonb WHERE event_id = %s", changed)
    return len(changed)


def _tables_with_text(conn: Connection) -> list[tuple[str, str, list[tuple[str, bool]]]]:
    """Every table but the accounts': schema, name, and the columns that hold text with whether it is JSON."""
    tables: dict[tuple[str, str], list[tuple[str, bool]]] = {}
    for schema, table, column, kind in conn.execute(
        """
        SELECT table_schema, table_name, column_name, data_type
        FROM information_schema.columns JOIN information_schema.tables USING (table_catalog, table_schema, table_name)
        WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
            AND data_type IN ('text', 'character varying', 'jsonb')
            AND (table_schema, table_name) <> ('shop', 'customers')
        ORDER BY 1, 2, 3
        """
    ):
        tables.setdefault((schema, table), []).append((column, kind == "jsonb"))
    return [(*name, columns) for name, columns in tables.items()]


def _erase_emails(conn: Connection, schema: str, table: str, columns: list[tuple[str, bool]], *, person: Person) -> int:
    """Their e-mail address wherever else it stands."""
    if person.email_pattern is None:
        return 0
    plain = [sql.Identifier(column) for column, _ in columns]
    changed = [
        sql.SQL("{0} = regexp_replace({0}::text, %(pattern)s, %(erased)s, 'gi'){1}").format(
            sql.Identifier(column), sql.SQL("::jsonb" if is_json else "")
        )
        for column, is_json in columns
    ]
    return conn.execute(
        sql.SQL("UPDATE {} SET {} WHERE concat_ws(' ', {}) ~* %(pattern)s").format(
            sql.Identifier(schema, table), sql.SQL(", ").join(changed), sql.SQL(", ").join(plain)
        ),
        {"pattern": person.email_pattern, "erased": ERASED},
    ).rowcount
