"""A customer as raw rows show them: which rows are theirs, and what in them is personal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from include.ingestion.personal_data import PERSONAL_FIELDS

ERASED = "(erased)"
"""What stands in a text in place of an e-mail address or a name."""
PERSONAL = frozenset(PERSONAL_FIELDS) | {
    "firstName", "lastName", "traits", "city", "state", "display_name", "nickname", "full_name", "birthday",
    "date_of_birth", "gender", "tax_number", "vat_number", "shipping_phone", "company_name",
}  # fmt: skip
"""Fields of a customer's own rows whose values go, with all that lies below them."""
_ABOUT_SOMETHING_ELSE = frozenset({
    "name", "parent_name", "sku", "status", "currency", "country", "event", "type", "kind", "category", "brand",
    "variant", "method_title", "method_id", "payment_method", "payment_method_title", "key", "display_key", "slug",
    "source", "order_number", "number", "currency_symbol",
})  # fmt: skip
"""Fields in which a word that is also somebody's name is none."""


_PLAIN_ESCAPED = re.compile(r"\\u00[2-7]", re.IGNORECASE)


@dataclass(frozen=True, slots=False, kw_only=True)
class Person:
    """What is known of one customer.

    :param emails: of the account, now and earlier.
    :param names: first and last names, now and earlier.
    :param order_ids: their orders, those among them that were placed as a guest with the account's e-mail address.
    :param anonymous_ids: of the browsers in which they have logged in.
    """

    customer_id: int
    emails: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    order_ids: frozenset[int] = frozenset()
    anonymous_ids: frozenset[str] = frozenset()

    def with_more(
        self,
        *,
        emails: Iterable[str | None] = (),
        names: Iterable[str | None] = (),
        order_ids: Iterable[int | None] = (),
        anonymous_ids: Iterable[str | None] = (),
    ) -> Person:
        """The same customer, of whom more is known; what is empty is left out."""
        return Person(
            customer_id=self.customer_id,
            emails=self.emails | {each.strip().lower() for each in emails if each and "@" in each},
            names=self.names | {each.strip().lower() for each in names if each and len(each.strip()) > 1},
            order_ids=self.order_ids | {each for each in order_ids if each},
            anonymous_ids=self.anonymous_ids | {each for each in anonymous_ids if each},
        )

    @cached_property
    def email_forms(self) -> tuple[str, ...]:
        """Their e-mail addresses in lower case, as such, in the address of a page, and escaped; longer ones first."""
        written = {
            form for email in self.emails for form in (email, quote(email).lower(), quote(email, safe="@").lower())
        }
        written |= {json.dumps(form)[1:-1] for form in written}
        return tuple(sorted(written, key=lambda form: (-len(form), form)))

    @cached_property
    def email_pattern(self) -> str | None:
        """A regular expression for their e-mail addresses in any form; None without any."""
        return "|".join(map(re.escape, self.email_forms)) or None

    @cached_property
    def name_pattern(self) -> str | None:
        """A regular expression for their names without word boundaries; None without any."""
        return "|".join(re.escape(name) for name in sorted(self.names, key=lambda name: (-len(name), name))) or None

    @cached_property
    def _emails(self) -> re.Pattern[str] | None:
        return re.compile(self.email_pattern, re.IGNORECASE) if self.email_pattern else None

    @cached_property
    def _names(self) -> re.Pattern[str] | None:
        return re.compile(rf"(?<!\w)(?:{self.name_pattern})(?!\w)", re.IGNORECASE) if self.name_pattern else None

    def is_named_in(self, text: str) -> bool:
        """Whether one of their e-mail addresses stands in the text."""
        lowered = text.lower()
        return any(form in lowered for form in self.email_forms)

    def is_fully_named_in(self, text: str) -> bool:
        """Whether two of their names stand in the text."""
        return self._names is not None and len({name.lower() for name in self._names.findall(text)}) > 1

    def without_emails(self, text: str) -> str:
        """The text without their e-mail addresses."""
        return text if self._emails is None else self._emails.sub(ERASED, text)

    def without_names(self, text: str) -> str:
        """The text without their e-mail addresses and names."""
        text = self.without_emails(text)
        return text if self._names is None else self._names.sub(ERASED, text)

    def without_traces(self, field: str | None, text: str) -> str:
        """The text of a field of one of their own rows."""
        return self.without_emails(text) if field in _ABOUT_SOMETHING_ELSE else self.without_names(text)

    def may_be_on(self, entity: str, body: bytes) -> bool:
        """False if no row of a page can be theirs or name them: told without taking the page apart."""
        if entity not in ("customers", "orders", "events") or not all(email.isascii() for email in self.emails):
            return True
        lowered = body.lower()
        return (
            re.search(rb"(?<!\d)0*%d(?!\d)" % self.customer_id, body) is not None
            or any(form.encode() in lowered for form in self.email_forms)
            or any(json.dumps(each)[1:-1].encode() in body or each.encode() in body for each in self.anonymous_ids)
            or may_hide(body.decode("latin-1"))
        )

    def owns(self, entity: str, row: Mapping[str, Any]) -> bool:
        """Whether a raw row, as an API or a file gives it, is theirs."""
        if entity == "customers":
            said = row.get("id", row.get("customer_id"))
            return self._is(said) or (not _is_id(said) and self._has_email(row.get("email")))
        if entity == "orders":
            said = row.get("customer_id")
            billing = row.get("billing")
            email = billing.get("email") if isinstance(billing, Mapping) else None
            return self._is(said) or (not _is_id(said) and self._has_email(email))
        if entity == "refunds":
            said = row.get("customer_id", _meta(row, "_customer_user"))
            return self._is(said) or number_of(row.get("parent_id", row.get("order_id"))) in self.order_ids
        if entity == "events":
            said = row.get("userId", row.get("customer_id"))
            browser = row.get("anonymousId", row.get("anonymous_id"))
            is_in_their_browser = isinstance(browser, str) and browser in self.anonymous_ids
            return self._is(said) or (not _is_id(said) and is_in_their_browser)
        return False

    def seems_to_own(self, entity: str, text: str) -> bool:
        """Whether a row that cannot be read is theirs, by what can be seen of it."""
        key = {"customers": "id|customer_id", "events": "userId|customer_id"}.get(entity, "customer_id")
        return self.is_named_in(text) or re.search(rf'"(?:{key})"\s*:\s*"?{self.customer_id}(?!\d)', text) is not None

    def _is(self, value: Any) -> bool:
        return number_of(value) == self.customer_id

    def _has_email(self, value: Any) -> bool:
        return isinstance(value, str) and value.strip().lower() in self.emails


def may_hide(text: str) -> bool:
    """Whether a JSON text writes plain characters as escapes, behind which an address could stand."""
    return "\\u00" in text and _PLAIN_ESCAPED.search(text) is not None


def number_of(value: Any) -> int | None:
    """An id as a number, also where it is written as text."""
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _is_id(value: Any) -> bool:
    """Whether it names a customer; WooCommerce writes 0 for a guest."""
    return bool(number_of(value))


def _meta(row: Mapping[str, Any], key: str) -> Any:
    entries = row.get("meta_data")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("key") == key:
            return entry.get("value")
    return None
