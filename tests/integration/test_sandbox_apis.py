"""The sandbox speaks the wire formats of the real APIs, checked over real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import requests
from requests.utils import parse_header_links

from include.local.sandbox.simulator.simulator import Simulator
from tests.integration.sandbox_process import ROOT, SandboxProcess, sandbox


@pytest.fixture(scope="module")
def shop() -> Iterator[SandboxProcess]:
    with sandbox(customers=60, seed=2) as process:
        yield process


def test_health_names_the_instance_and_a_range_that_holds_everything(shop):
    health = shop.health()
    assert (health["shop"], health["start"], health["end"]) == (
        "simulator",
        "2024-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
    )
    for order in shop.pages("/orders"):
        assert health["start"] <= order["date_created_gmt"] + "Z" <= order["date_modified_gmt"] + "Z" < health["end"]


def test_pages_carry_totals_and_links_and_together_hold_every_order_once(shop):
    url: str | None = f"{shop.base_url}/wp-json/wc/v3/orders?per_page=37&orderby=id&order=asc"
    ids: list[int] = []
    relations = []
    while url:
        answer = requests.get(url, auth=shop.key, timeout=60)
        assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
        total, pages = int(answer.headers["X-WP-Total"]), int(answer.headers["X-WP-TotalPages"])
        ids += [order["id"] for order in answer.json()]
        links = {link["rel"]: link["url"] for link in parse_header_links(answer.headers.get("Link", ""))}
        relations.append(set(links))
        url = links.get("next")
    assert relations == [{"next"}, *[{"prev", "next"}] * (pages - 2), {"prev"}]
    assert ids == sorted(set(ids)) and len(ids) == total == shop.health()["orders"]
    assert pages == -(-total // 37)


def test_a_page_past_the_last_is_empty_and_has_the_usual_totals(shop):
    answer = shop.get("/orders", page=10_000)
    assert (answer.status_code, answer.json()) == (200, [])
    assert int(answer.headers["X-WP-Total"]) == shop.health()["orders"]
    assert 'rel="prev"' in answer.headers["Link"] and 'rel="next"' not in answer.headers["Link"]


def test_a_list_without_parameters_is_the_ten_newest_orders(shop):
    newest = sorted(shop.pages("/orders"), key=lambda order: (order["date_created_gmt"], order["id"]), reverse=True)
    assert shop.get("/orders").json() == newest[:10]


def test_date_filters_are_strict_on_both_sides(shop):
    orders = shop.pages("/orders", orderby="modified", order="asc")
    first, last = orders[20]["date_modified_gmt"], orders[60]["date_modified_gmt"]
    inside = shop.pages("/orders", modified_after=first + "Z", modified_before=last + "Z", dates_are_gmt="true")
    assert {order["id"] for order in inside} == {
        order["id"] for order in orders if first < order["date_modified_gmt"] < last
    }
    created = shop.pages("/orders", after=first, before=last)
    assert {order["id"] for order in created} == {
        order["id"] for order in orders if first < order["date_created_gmt"] < last
    }


def test_a_filter_with_another_zone_is_the_same_instant(shop):
    utc = shop.pages("/orders", modified_after="2025-03-01T10:00:00Z", order="asc")
    assert shop.pages("/orders", modified_after="2025-03-01T12:00:00+02:00", order="asc") == utc


def test_a_shop_two_hours_ahead_of_utc_compares_wall_clocks_as_wordpress_does():
    with sandbox(customers=20, seed=1, utc_offset_hours=2) as shop:
        orders = shop.pages("/orders", orderby="id", order="asc")
        for order in orders:
            local, utc = map(datetime.fromisoformat, (order["date_modified"], order["date_modified_gmt"]))
            assert local - utc == timedelta(hours=2)
        an_hour_before = datetime.fromisoformat(orders[len(orders) // 2]["date_modified_gmt"]) - timedelta(hours=1)
        bound, two_hours_later = an_hour_before.isoformat(), (an_hour_before + timedelta(hours=2)).isoformat()

        def after(text: str, are_gmt: str) -> set[int]:
            return {order["id"] for order in shop.pages("/orders", modified_after=text, dates_are_gmt=are_gmt)}

        def expected(field: str, text: str) -> set[int]:
            return {order["id"] for order in orders if order[field] > text}

        assert expected("date_modified_gmt", bound) > expected("date_modified_gmt", two_hours_later)
        assert after(bound, "true") == expected("date_modified_gmt", bound)
        assert after(bound, "false") == expected("date_modified", bound)
        assert after(bound + "Z", "false") == expected("date_modified_gmt", bound)
        assert after(bound + "Z", "true") == expected("date_modified_gmt", two_hours_later)


def test_orders_modified_at_the_same_second_come_by_id_in_the_same_direction():
    with sandbox(customers=10, seed=1) as shop:
        ids = sorted(order["id"] for order in shop.pages("/orders"))[:5]
        for key in reversed(ids):
            shop.edit("orders", key, modified_at="2025-12-31T23:00:00Z")
        tied = {"modified_after": "2025-12-31T22:59:59Z", "modified_before": "2025-12-31T23:00:01Z"}
        for order, expected in (("asc", ids), ("desc", ids[::-1])):
            found = shop.pages("/orders", orderby="modified", order=order, **tied)
            assert [order["id"] for order in found if order["id"] in ids] == expected


def test_statuses_can_be_chosen(shop):
    orders = shop.pages("/orders", status="completed,refunded")
    assert {order["status"] for order in orders} == {"completed", "refunded"}


INVALID = [
    ({"per_page": 101}, "per_page", "rest_out_of_bounds", "per_page must be between 1 (inclusive) and 100 (inclusive)"),
    ({"per_page": 0}, "per_page", "rest_out_of_bounds", "per_page must be between 1 (inclusive) and 100 (inclusive)"),
    ({"page": 0}, "page", "rest_out_of_bounds", "page must be greater than or equal to 1"),
    ({"page": "two"}, "page", "rest_invalid_type", "page is not of type integer."),
    ({"order": "up"}, "order", "rest_not_in_enum", "order is not one of asc and desc."),
    (
        {"orderby": "price"},
        "orderby",
        "rest_not_in_enum",
        "orderby is not one of date, id, include, title, slug, and modified.",
    ),
    ({"modified_after": "2024-01-01"}, "modified_after", "rest_invalid_date", "Invalid date."),
    ({"after": "2024-13-01T00:00:00"}, "after", "rest_invalid_date", "Invalid date."),
]


@pytest.mark.parametrize(("parameters", "name", "code", "message"), INVALID)
def test_a_wrong_parameter_gets_wordpress_own_error(shop, parameters, name, code, message):
    answer = shop.get("/orders", **parameters)
    assert answer.status_code == 400
    body = answer.json()
    assert (body["code"], body["message"]) == ("rest_invalid_param", f"Invalid parameter(s): {name}")
    assert body["data"]["status"] == 400
    assert body["data"]["params"] == {name: message}
    assert (body["data"]["details"][name]["code"], body["data"]["details"][name]["message"]) == (code, message)


def test_customers_ignore_date_filters_and_have_their_own_orderings(shop):
    everyone = shop.pages("/customers", orderby="id")
    assert shop.pages("/customers", orderby="id", modified_after="2025-12-31T00:00:00") == everyone
    assert shop.get("/customers", orderby="modified").json()["code"] == "rest_invalid_param"
    registered = [c["date_created_gmt"] for c in shop.pages("/customers", orderby="registered_date", order="asc")]
    assert registered == sorted(registered) and len(registered) == 60


def test_wrong_credentials_get_woocommerce_own_errors(shop):
    url = f"{shop.base_url}/wp-json/wc/v3/orders"
    anonymous = {
        "code": "woocommerce_rest_cannot_view",
        "message": "Sorry, you cannot list resources.",
        "data": {"status": 401},
    }
    for auth in (None, ("ck_unknown", shop.consumer_secret)):
        answer = requests.get(url, auth=auth, timeout=60)
        assert (answer.status_code, answer.json()) == (401, anonymous)
    answer = requests.get(url, auth=(shop.consumer_key, "cs_wrong"), timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (401, "woocommerce_rest_authentication_error")
    assert answer.json()["message"] == "Consumer secret is invalid."


def test_unknown_routes_and_records_get_their_own_404(shop):
    assert shop.get("/nothing").json() == {
        "code": "rest_no_route",
        "message": "No route was found matching the URL and request method.",
        "data": {"status": 404},
    }
    missing = shop.get("/orders/999999999")
    assert (missing.status_code, missing.json()["code"]) == (404, "woocommerce_rest_shop_order_invalid_id")


def test_one_order_is_the_order_of_the_list_and_lists_its_refunds(shop):
    order = next(order for order in shop.pages("/orders") if order["refunds"])
    assert shop.get(f"/orders/{order['id']}").json() == order
    refunds = shop.get(f"/orders/{order['id']}/refunds").json()
    assert [(refund["id"], "-" + refund["amount"]) for refund in refunds] == [
        (refund["id"], refund["total"]) for refund in order["refunds"]
    ]
    assert "parent_id" not in refunds[0]
    (in_full_list,) = [refund for refund in shop.pages("/refunds") if refund["id"] == refunds[0]["id"]]
    assert in_full_list == refunds[0] | {"parent_id": order["id"]}


def test_the_currency_is_a_bare_object(shop):
    assert shop.get("/data/currencies/current").json() == {"code": "EUR", "name": "Euro", "symbol": "&euro;"}


def test_an_order_edited_while_pages_are_read_moves_to_the_end_with_its_new_content():
    with sandbox(customers=10, seed=3) as shop:
        ordering = {"orderby": "modified", "order": "asc", "per_page": 10}
        first = shop.get("/orders", page=1, **ordering).json()
        line = first[0]["line_items"][0]
        shop.edit("orders", first[0]["id"], quantities={str(line["id"]): line["quantity"] + 2})
        again = shop.get("/orders", page=1, **ordering).json()
        assert [order["id"] for order in again[:9]] == [order["id"] for order in first[1:]]
        last = shop.pages("/orders", **ordering)[-1]
        assert last["id"] == first[0]["id"]
        assert Decimal(last["total"]) - Decimal(first[0]["total"]) == 2 * Decimal(str(line["price"]))
        assert last["line_items"][0]["quantity"] == line["quantity"] + 2


def test_the_clock_hides_whatever_is_newer():
    with sandbox(customers=40, seed=4) as shop:
        everything = {order["id"]: order for order in shop.pages("/orders")}
        shop.set_clock("2025-01-01T00:00:00Z")
        then = {order["id"]: order for order in shop.pages("/orders")}
        assert set(then) == {
            key for key, order in everything.items() if order["date_created_gmt"] <= "2025-01-01T00:00:00"
        }
        assert all(order["date_modified_gmt"] <= "2025-01-01T00:00:00" for order in then.values())
        changed_since = [key for key in then if then[key] != everything[key]]
        assert changed_since and all(everything[key]["date_modified_gmt"] > "2025-01-01" for key in changed_since)
        late = shop.events(start="2025-01-01T00:00:00Z", end="2026-01-01T00:00:00Z")
        assert late.text == ""


def read_events(shop: SandboxProcess, *, start: str, end: str, limit: int) -> list[dict]:
    lines: list[dict] = []
    cursor: dict[str, str] = {}
    while True:
        answer = shop.events(start=start, end=end, limit=limit, **cursor)
        assert answer.headers["Content-Type"].startswith("application/x-ndjson")
        page = [json.loads(line) for line in answer.text.splitlines()]
        assert len(page) <= limit
        lines += page
        if "X-Next-Cursor" not in answer.headers:
            return lines
        cursor = {"cursor": answer.headers["X-Next-Cursor"]}


def test_events_come_once_each_in_order_whatever_the_size_of_the_page(shop):
    year = {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}
    events = read_events(shop, **year, limit=5_000)
    assert read_events(shop, **year, limit=97) == events
    keys = [(event["receivedAt"], event["messageId"]) for event in events]
    assert keys == sorted(set(keys))
    assert {event["type"] for event in events} == {"track"}


def test_the_export_is_half_open_on_the_time_of_receipt(shop):
    whole = read_events(shop, start="2024-01-01T00:00:00Z", end="2024-07-01T00:00:00Z", limit=5_000)
    border = whole[len(whole) // 2]["receivedAt"]
    before = read_events(shop, start="2024-01-01T00:00:00Z", end=border, limit=5_000)
    after = read_events(shop, start=border, end="2024-07-01T00:00:00Z", limit=5_000)
    assert before + after == whole
    assert before[-1]["receivedAt"] < border == after[0]["receivedAt"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"start": "2024-01-01T00:00:00Z"}, "end is required."),
        ({"start": "then", "end": "2024-01-01T00:00:00Z"}, "start must be an ISO 8601 instant."),
        ({"start": "2024-01-01T00:00:00Z", "end": "2024-01-01T00:00:00Z"}, "end must be after start."),
        ({"start": "2024-01-01", "end": "2024-01-02", "limit": 5001}, "limit must be a whole number from 1 to 5000."),
        ({"start": "2024-01-01", "end": "2024-01-02", "cursor": "%%"}, "cursor is not one that this export gave out."),
    ],
)
def test_the_export_refuses_what_it_cannot_answer(shop, parameters, message):
    answer = shop.events(**parameters)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


def test_the_export_wants_its_token(shop):
    answer = requests.get(f"{shop.base_url}/v1/export/events", headers={"Authorization": "Bearer no"}, timeout=60)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, 401)


def test_the_log_of_requests_holds_no_credentials(shop):
    stock_query = {"function": "TIME_SERIES_DAILY", "symbol": "AMZN", "apikey": shop.stock_key}
    requests.get(f"{shop.base_url}/query", params=stock_query, timeout=60)
    secrets = {"consumer_key": shop.consumer_key, "consumer_secret": shop.consumer_secret}
    requests.get(f"{shop.base_url}/wp-json/wc/v3/products", params=secrets | {"page": "2"}, timeout=60)
    entry = shop.requests()[-1]
    assert (entry["path"], entry["query"], entry["status"]) == ("/wp-json/wc/v3/products", {"page": "2"}, 200)
    text = str(shop.requests())
    assert not any(secret in text for secret in (*secrets.values(), shop.stock_key, shop.event_token))


def test_the_served_customers_are_those_of_the_known_truth(shop):
    truth = Simulator(customers=60, seed=2).truth
    paid = [order for order in shop.pages("/orders") if order["date_paid_gmt"] and order["customer_id"]]
    assert {c["id"] for c in shop.pages("/customers")} == {person.customer_id for person in truth}
    assert len(paid) == sum(len(person.purchases) for person in truth)


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--data", "README-that-is-not-there.csv"], True, "README-that-is-not-there.csv cannot be read"),
        (["--data", "pyproject.toml"], True, "pyproject.toml is not an Online Retail export"),
        ([], False, "The environment lacks SANDBOX_CONSUMER_KEY"),
    ],
)
def test_a_sandbox_that_cannot_start_says_why_in_one_line_and_exits_with_2(arguments, environment, expected):
    names = ("SANDBOX_CONSUMER_KEY", "SANDBOX_CONSUMER_SECRET", "SANDBOX_EVENT_TOKEN", "SANDBOX_STOCK_KEY")
    ended = subprocess.run(
        [sys.executable, "-m", "include.local.sandbox", "--port", "0", *arguments],
        cwd=ROOT,
        env=dict.fromkeys(names, "x") if environment else {},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert expected in ended.stderr and len(ended.stderr.splitlines()) == 1


def test_a_port_in_use_is_reported(shop):
    names = ("SANDBOX_CONSUMER_KEY", "SANDBOX_CONSUMER_SECRET", "SANDBOX_EVENT_TOKEN", "SANDBOX_STOCK_KEY")
    ended = subprocess.run(
        [sys.executable, "-m", "include.local.sandbox", "--port", str(shop.port)],
        cwd=ROOT, env=dict.fromkeys(names, "x"), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert f"Cannot serve on 127.0.0.1:{shop.port}" in ended.stderr
