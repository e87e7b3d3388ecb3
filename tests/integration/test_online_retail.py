"""A file in the layout of Online Retail, through the whole way in: every line of it stands in a receipt."""

from __future__ import annotations

import ast
import csv
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from include.entities.window import Window
from include.ingestion.landing import Landing
from tests.integration.ingestion_shop import NOW, bytes_of, ingest, source_of
from tests.integration.sandbox_process import sandbox

HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
SHIPPING = {"POST", "DOT", "C2"}
FEES = {"M", "D", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK"}
WINDOW = Window(datetime(2010, 12, 1, tzinfo=UTC), datetime(2011, 3, 1, tzinfo=UTC))
OUTCOMES = ("received", "inserted", "duplicate", "quarantined")

Line = tuple[str, ...]
BY_HAND: list[Line] = [
    ("536365", "85123A", "WHITE HANGING HEART", "6", "2010-12-01 08:26:00", "2.55", "17850", "United Kingdom"),
    ("536365", "85123A", "WHITE HANGING HEART", "6", "2010-12-01 08:26:00", "2.55", "17850", "United Kingdom"),
    ("536365", "85123A", "WHITE HANGING HEART", "7", "2010-12-01 08:26:00", "2.55", "17850", "United Kingdom"),
    ("536365", "POST", "POSTAGE", "3", "2010-12-01 08:26:00", "18.00", "17850", "United Kingdom"),
    ("536366", "22197", "", "56", "2010-12-01 09:00:00", "0.0", "", "United Kingdom"),
    ("536367", "84406B", "damaged", "-11", "2010-12-01 09:02:00", "0.0", "", "United Kingdom"),
    ("536367", "84406B", "damaged", "-11", "2010-12-01 09:02:00", "0.0", "", "United Kingdom"),
    ("536368", "22752", "NEST BOXES", "2", "2010-12-01 09:05:00", "7.65", "13047", "France"),
    ("536368", "22752", "NEST BOXES", "-1", "2010-12-01 09:05:00", "7.65", "13047", "France"),
    ("536369", "D", "Discount", "1", "2010-12-01 09:06:00", "-5.00", "13047", "France"),
    ("536369", "22752", "NEST BOXES", "1", "2010-12-01 09:06:00", "4.99", "13047", "France"),
    ("A563185", "B", "Adjust bad debt", "1", "2011-01-12 14:50:00", "11062.06", "", "United Kingdom"),
    ("A563186", "B", "Adjust bad debt", "1", "2011-01-12 14:51:00", "-11062.06", "", "United Kingdom"),
    ("C536379", "D", "Discount", "-1", "2010-12-01 09:41:00", "27.50", "14527", "United Kingdom"),
    ("C536383", "35004C", "SET OF 3", "-1", "2010-12-01 09:49:00", "4.65", "15311", "United Kingdom"),
    ("C536383", "35004C", "SET OF 3", "-1", "2010-12-01 09:49:00", "4.65", "15311", "United Kingdom"),
    ("C536384", "35004C", "SET OF 3", "2", "2010-12-01 09:50:00", "4.65", "15311", "United Kingdom"),
    ("C536385", "35004C", "SET OF 3", "-2", "2010-12-01 09:51:00", "4.65", "", "United Kingdom"),
    ("C536385", "22752", "NEST BOXES", "1", "2010-12-01 09:51:00", "4.65", "", "United Kingdom"),
]


def made_up(
    seed: int, *, invoices: int = 150, customers: Sequence[str] = ("", "12346", "12347", "17850", "18287")
) -> list[Line]:
    """Some hundred lines in which everything odd of the real file is common."""
    draw = random.Random(seed)
    lines: list[Line] = []
    for number in range(invoices):
        prefix = draw.choices(["", "C", "A"], [8, 3, 1])[0]
        customer = draw.choice(customers)
        moment = datetime(2010, 12, 1, tzinfo=UTC) + timedelta(minutes=draw.randrange(0, 80 * 24 * 60))
        for _ in range(draw.randint(1, 6)):
            code = draw.choice(["85123A", "22752", "gift_0001_20", "DCGSSBOY", *SHIPPING, *FEES])
            quantity = draw.choice([1, 2, 12, 80995]) * (-1 if (prefix == "C") != (draw.random() < 0.15) else 1)
            price = draw.choices(["0.0", "0.001", "2.55", "13541.33", "-1.50"], [2, 1, 6, 1, 1])[0]
            line = (f"{prefix}{540000 + number}", code, draw.choice(["", "THING", 'A "THING", RED']), str(quantity))
            lines += [(*line, f"{moment:%Y-%m-%d %H:%M:%S}", price, customer, "Norway")] * draw.choice([1, 1, 1, 2, 3])
    draw.shuffle(lines)
    return lines


def counted(lines: list[Line]) -> tuple[dict[str, Counter[str]], Counter[tuple[str, str]]]:
    """Outcomes per entity and rejections per rule, by the rules in docs/online-retail.md."""
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    rules: Counter[tuple[str, str]] = Counter()
    invoices: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        invoices[line[0]].append(line)
    for number, own in invoices.items():
        is_refund = number.startswith("C")
        parent, child = ("refunds", "refund_lines") if is_refund else ("orders", "order_lines")
        sign = -1 if is_refund else 1
        total = sign * sum(int(line[3]) * Decimal(line[5]) for line in set(own))
        broken = {line: broken_rule(line, sign=sign) for line in set(own)}
        is_out = None
        if total < 0:
            is_out = "amount_not_negative" if is_refund else "total_not_negative"
        elif all(broken.values()):
            is_out = "no_line_left"
        outcomes[parent]["received"] += 1
        outcomes[parent]["quarantined" if is_out else "inserted"] += 1
        if is_out:
            rules[parent, is_out] += 1
        seen = set()
        for line in own:
            outcomes[child]["received"] += 1
            rule = broken[line] or ("parent_rejected" if is_out else None)
            if rule:
                outcomes[child]["quarantined"] += 1
                rules[child, rule] += 1
            else:
                outcomes[child]["duplicate" if line in seen else "inserted"] += 1
                seen.add(line)
    return outcomes, rules


def broken_rule(line: Line, *, sign: int) -> str | None:
    if line[1].strip().upper() in SHIPPING | FEES:
        return None
    quantity = sign * int(line[3])
    if sign < 0:
        return "quantity_not_negative" if quantity < 0 else None
    if quantity < 1:
        return "quantity_positive"
    return "product_price_not_negative" if Decimal(line[5]) < 0 else None


def write(lines: list[Line], path: Path) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *lines])
    return path


@pytest.mark.parametrize("lines", [BY_HAND, made_up(1), made_up(2)], ids=["by hand", "made up 1", "made up 2"])
def test_every_line_is_accounted_for_by_the_rules_and_a_second_run_changes_nothing(warehouse, tmp_path, lines):
    outcomes, rules = counted(lines)
    landing = Landing(tmp_path / "landing")
    with sandbox(data=write(lines, tmp_path / "shop.csv")) as box:
        runs = {
            entity: ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
            for entity in ("customers", "products", "orders", "refunds")
        }
        told = {
            name: {outcome: getattr(runs[parent]["upsert", name], outcome) for outcome in OUTCOMES}
            for parent, name in (
                ("orders", "orders"),
                ("orders", "order_lines"),
                ("refunds", "refunds"),
                ("refunds", "refund_lines"),
            )
        }
        assert told == {name: {outcome: outcomes[name][outcome] for outcome in OUTCOMES} for name in told}
        assert told["order_lines"]["received"] + told["refund_lines"]["received"] == len(lines)
        rows = warehouse.execute("SELECT entity, rule_id, count(*) FROM quarantine.rejected_rows GROUP BY 1, 2")
        assert {(entity, rule): count for entity, rule, count in rows} == dict(rules)
        assert runs["customers"]["upsert", "customers"].inserted == len({line[6] for line in lines} - {""})
        products = {line[1].strip().upper() for line in lines} - SHIPPING - FEES
        assert runs["products"]["upsert", "products"].inserted == len(products)

        before = bytes_of(warehouse)
        for entity, run in runs.items():
            again = ingest(
                warehouse, source_of(box, entity), WINDOW, landing=landing, now=NOW + timedelta(days=1)
            ).receipts
            for (step, name), receipt in again.items():
                if step == "upsert":
                    assert (receipt.inserted, receipt.updated, receipt.stale, receipt.deleted) == (0, 0, 0, 0)
                    assert receipt.unchanged == run["upsert", name].inserted
        assert bytes_of(warehouse) == before


def test_money_and_goods_in_the_warehouse_are_those_of_the_file(warehouse, tmp_path):
    lines = made_up(3)
    landing = Landing(tmp_path / "landing")
    with sandbox(data=write(lines, tmp_path / "shop.csv")) as box:
        for entity in ("orders", "refunds"):
            ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
    by_invoice: dict[str, list[Line]] = defaultdict(list)
    for line in dict.fromkeys(lines):
        by_invoice[line[0]].append(line)
    stored = warehouse.execute("SELECT order_number, total_amount, customer_id, placed_at, paid_at FROM shop.orders")
    for number, total, customer, placed, paid in stored.fetchall():
        own = by_invoice[number]
        assert total == sum(int(line[3]) * Decimal(line[5]) for line in own)
        assert str(customer or "") == own[0][6]
        assert placed == paid == datetime.fromisoformat(own[0][4]).replace(tzinfo=UTC)
    goods = warehouse.execute(
        "SELECT order_number, sum(quantity), sum(lines.total_amount) FROM shop.orders"
        " JOIN shop.order_lines AS lines USING (order_id) WHERE kind = 'product' GROUP BY 1"
    ).fetchall()
    assert goods
    for number, quantity, amount in goods:
        good = [
            line
            for line in by_invoice[number]
            if line[1].upper() not in SHIPPING | FEES and broken_rule(line, sign=1) is None
        ]
        assert quantity == sum(int(line[3]) for line in good)
        assert amount == sum(int(line[3]) * Decimal(line[5]) for line in good)
    given_back = warehouse.execute(
        "SELECT refund_id, refund_amount, customer_id, order_id FROM shop.refunds"
    ).fetchall()
    assert given_back
    for number, amount, customer, order in given_back:
        own = by_invoice[f"C{number}"]
        assert amount == -sum(int(line[3]) * Decimal(line[5]) for line in own)
        assert (str(customer or ""), order) == (own[0][6], None)


@pytest.mark.parametrize("lines", [BY_HAND, made_up(4)], ids=["by hand", "made up"])
def test_the_count_in_the_documentation_is_the_one_that_the_warehouse_is_held_to(tmp_path, lines):
    page = (Path(__file__).resolve().parents[2] / "docs" / "online-retail.md").read_text()
    snippet = page.split("```python\n")[1].split("```")[0]
    file = write(lines, tmp_path / "shop.csv")
    told = subprocess.run([sys.executable, "-c", snippet, file], capture_output=True, text=True, check=True).stdout
    outcomes, rules = counted(lines)
    printed = {line.split()[0]: line for line in told.splitlines()}
    for name in ("orders", "order_lines", "refunds", "refund_lines"):
        counts, rejected = printed[name].split(" quarantined ")
        words = counts.split()[1:]
        assert dict(zip(words[::2], map(int, words[1::2]), strict=True)) == {
            outcome: outcomes[name][outcome] for outcome in OUTCOMES[:3] if outcome in words
        }
        assert ast.literal_eval(rejected) == {rule: count for (entity, rule), count in rules.items() if entity == name}
    assert f"lines in the file {len(lines)} exact duplicates {len(lines) - len(set(lines))}" in told
