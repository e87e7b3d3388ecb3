"""What is taken out of raw rows when a customer is erased, and what stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.ingestion.erased_rows import erased_row, without_person
from include.ingestion.json_text import with_values_changed
from include.ingestion.person import PERSONAL, Person
from tests.erased_customer import EMAIL, OLD_EMAIL, OTTILIE, PAGES, TRACES, order, raw_rows
from tests.unit.source_pages import body_of, row, source

PERSON = Person(customer_id=OTTILIE).with_more(
    emails=[EMAIL, OLD_EMAIL, None, ""],
    names=["Ottilie", "Byron-King", None],
    order_ids=[1002, None],
    anonymous_ids=["a-1"],
)
KEYS = st.text() | st.sampled_from(["email", "a"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("rows", PAGES, ids=lambda rows: rows.entity)
def test_rows_of_others_stay_byte_for_byte_and_nothing_of_the_customer_is_left(rows):
    body, pairs = without_person(rows.body, rows.entity, PERSON)
    before, after = raw_rows(rows.entity, rows.body), raw_rows(rows.entity, body)
    assert len(before) == len(after) == len(rows.rows)
    changed = {place for place in range(len(before)) if before[place] != after[place]}
    assert changed == rows.touched
    assert pairs == [(before[place], after[place]) for place in sorted(changed)]
    assert [trace for trace in TRACES if trace in body.decode(errors="replace").lower()] == []
    assert without_person(body, rows.entity, PERSON) == (body, [])


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        return {path: value}
    return {key: each for name, inner in inside for key, each in paths_of(inner, (*path, name)).items()}


def test_an_order_keeps_its_ids_amounts_times_and_products():
    before = PAGES[2].rows[0]
    after = json.loads(erased_row(json.dumps(before).encode(), "orders", PERSON))
    was, now = paths_of(before), paths_of(after)
    assert was.keys() == now.keys()
    changed = {path: now[path] for path in was if was[path] != now[path]}
    assert changed == {
        **{("billing", name): None for name in before["billing"] if name != "country"},
        **{("shipping", name): None for name in before["shipping"] if name != "country"},
        ("customer_note",): None,
        ("customer_ip_address",): None,
        ("refunds", 0, "reason"): "(erased) did not like it",
        ("meta_data", 0, "value"): "for (erased) (erased)",
    }


def test_another_customers_row_loses_the_address_alone():
    before = order(
        1003, 8, customer_note=f"from {EMAIL}, Ottilie", billing={"country": "DE", "email": "bob@example.com"}
    )
    after = json.loads(erased_row(json.dumps(before).encode(), "orders", PERSON))
    assert after == {**before, "customer_note": "from (erased), Ottilie"}


def test_a_word_that_is_also_a_name_stays_where_it_names_a_product():
    mine = order(1001, OTTILIE)
    mine["line_items"][0] |= {"name": "Ottilie mug", "sku": "OTTILIE-1"}
    after = json.loads(erased_row(json.dumps(mine).encode(), "orders", PERSON))
    assert after["line_items"] == mine["line_items"]


def test_a_name_inside_of_a_longer_word_is_none():
    mine = order(1001, OTTILIE, note="Ottilies; ottilie!")
    assert json.loads(erased_row(json.dumps(mine).encode(), "orders", PERSON))["note"] == "Ottilies; (erased)!"


@pytest.mark.parametrize(
    ("entity", "changes", "is_theirs"),
    [
        ("customers", {"id": 7}, True),
        ("customers", {"id": "7"}, True),
        ("customers", {"id": 77}, False),
        ("customers", {"id": 8, "email": EMAIL.lower()}, False),
        ("customers", {"id": None, "email": EMAIL}, True),
        ("customers", {"id": True, "email": "x@example.com"}, False),
        ("orders", {"customer_id": 7}, True),
        ("orders", {"customer_id": 0, "billing": {"email": f" {EMAIL.upper()} "}}, True),
        ("orders", {"customer_id": 8, "billing": {"email": EMAIL}}, False),
        ("orders", {"customer_id": 0, "billing": {"email": "x@example.com"}}, False),
        ("orders", {"customer_id": 70, "id": 7}, False),
        ("orders", {"customer_id": 0, "billing": None}, False),
        ("refunds", {"parent_id": 1002, "meta_data": []}, True),
        ("refunds", {"parent_id": 5, "meta_data": [{"key": "_customer_user", "value": "7"}]}, True),
        ("refunds", {"parent_id": 5, "meta_data": [{"key": "_customer_user", "value": 77}, 3]}, False),
        ("refunds", {"parent_id": 5, "meta_data": "none"}, False),
        ("events", {"userId": "7", "anonymousId": None}, True),
        ("events", {"userId": "", "anonymousId": "a-1"}, True),
        ("events", {"userId": "8", "anonymousId": "a-1"}, False),
        ("events", {"userId": None, "anonymousId": "a-12"}, False),
        ("products", {"id": 7}, False),
    ],
)
def test_whose_a_row_is(entity, changes, is_theirs):
    assert PERSON.owns(entity, row(entity, **changes)) is is_theirs


def test_numbers_lists_and_objects_under_a_personal_field_go_too():
    mine = order(1001, OTTILIE, phone=4420, traits={"age": 28, "likes": ["tea", {"size": 3}], "id": 1}, after=1.50)
    after = json.loads(erased_row(json.dumps(mine).encode(), "orders", PERSON))
    assert after == {**mine, "phone": None, "traits": {"age": None, "likes": [None, {"size": None}], "id": None}}


def test_a_page_that_is_cut_off_loses_address_and_names_and_keeps_what_others_say():
    whole = body_of("customers", [row("customers", id=8, first_name="Bob", email="bob@example.com"), PAGES[0].rows[1]])
    cut = whole[:-30]
    with pytest.raises(ValueError, match="truncated"):
        source("customers").split(cut, None)
    body, _ = without_person(cut, "customers", PERSON)
    assert b'"Bob"' in body and b"bob@example.com" in body
    text = body.decode().lower()
    assert OLD_EMAIL not in text and '"ottilie"' not in text and '"byron-king"' not in text


@given(
    entity=st.sampled_from(["customers", "orders", "events"]),
    said=st.sampled_from([7, "7", "007", "\\u0037", 70, 8]),
    email=st.sampled_from([EMAIL, EMAIL.upper(), OLD_EMAIL.replace("@", "\\u0040"), "x@example.com"]),
    browser=st.sampled_from(["a-1", "\\u0061-1", "a-2", None]),
)
def test_a_page_that_is_passed_over_has_nothing_of_the_customer(entity, said, email, browser):
    changes = {
        "customers": {"id": said, "email": email},
        "orders": {"customer_id": said, "id": 5, "billing": {"email": email}},
        "events": {"userId": said, "anonymousId": browser, "context": {"email": email}},
    }[entity]
    body = body_of(entity, [row(entity, **changes)]).replace(b"\\\\u00", b"\\u00")
    [raw] = raw_rows(entity, body)
    theirs = erased_row(raw, entity, PERSON) != raw
    assert (without_person(body, entity, PERSON)[0] != body) is theirs
    assert PERSON.may_be_on(entity, body) or not theirs


@given(JSON, st.sampled_from([None, 1]))
@example({"email": '"', "a": ["\\", "{", "}:"]}, None)
def test_a_text_of_which_no_value_changes_is_the_same_text(value, indent):
    text = json.dumps(value, indent=indent)
    assert with_values_changed(text, lambda key, is_inside, value: None, enters=PERSONAL) == text


@given(JSON)
def test_exactly_the_values_under_personal_fields_change(value):
    """Against the same rule told over the decoded value."""

    def told(value: Any, is_personal: bool) -> Any:
        if isinstance(value, dict):
            return {key: told(each, is_personal or key in PERSONAL) for key, each in value.items()}
        if isinstance(value, list):
            return [told(each, is_personal) for each in value]
        return None if is_personal else value

    nobody = Person(customer_id=OTTILIE)
    raw = json.dumps(value).encode()
    assert json.loads(erased_row(raw, "orders", nobody, is_theirs=True)) == told(value, False)


@given(st.binary(max_size=200), st.sampled_from(["orders", "events", "customers"]))
def test_any_bytes_at_all_are_survived_and_done_again_nothing_more_changes(body, entity):
    once, _ = without_person(body, entity, PERSON)
    assert without_person(once, entity, PERSON)[0] == once
    mention = body + EMAIL.encode()
    assert EMAIL.encode() not in without_person(mention, entity, PERSON)[0]
