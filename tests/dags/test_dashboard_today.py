"""The page Today: what it tells of a night, good or bad."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from dashboard.pages.today_runs import LastRun, TroubledTask
from dashboard.pages.today_verdict import judge
from dashboard.pages.today_warehouse import Freshness, Gap

from include.entities.window import Window
from include.warehouse.receipts import Receipt, write_receipt

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)


def loaded(conn, entity: str, first: datetime, last: datetime, *, at: datetime = NOW, **counts: int) -> None:
    """The receipt of a load of whole days, the last one not included."""
    window = Window(first, last)
    receipt = Receipt(step="upsert", entity=entity, window=window, received=sum(counts.values()), **counts)
    write_receipt(conn, receipt, now=at)
    conn.commit()


def part(text: str, anchor: str) -> str:
    """One section of the page, tags and line ends as single spaces."""
    found = re.search(rf'<h2 id="{anchor}">(.*?)(?=<h2|</main>)', text, flags=re.DOTALL)
    assert found, text
    return re.sub(r"\s+", " ", re.sub(r"<(?!a )[^>]*>", " ", found[1]))


def test_what_came_in_is_the_sum_of_the_last_days_receipts(admin, warehouse):
    loaded(warehouse, "orders", MIDNIGHT - DAY * 2, MIDNIGHT - DAY, inserted=1200, updated=30, unchanged=4)
    loaded(warehouse, "orders", MIDNIGHT - DAY, MIDNIGHT, inserted=3, stale=1, duplicate=1)
    loaded(warehouse, "orders", MIDNIGHT - DAY * 3, MIDNIGHT - DAY * 2, at=NOW - DAY * 2, inserted=7000)
    told = part(admin.get("/regulars/today").text, "intake-now")
    assert f"orders {MIDNIGHT - DAY * 2:%Y-%m-%d} to {MIDNIGHT - DAY:%Y-%m-%d} 2 1,239 1,203 30 4 2" in told
    assert "Rows written in the last 30 days" in told and "7,000" in told


def test_a_gap_is_told_in_days_and_leads_to_the_form_filled_in(admin, warehouse):
    loaded(warehouse, "orders", MIDNIGHT - DAY * 30, MIDNIGHT - DAY * 20, inserted=1)
    loaded(warehouse, "orders", MIDNIGHT - DAY * 17, MIDNIGHT, inserted=1)
    text = admin.get("/regulars/today").text
    first, last = f"{MIDNIGHT - DAY * 20:%Y-%m-%d}", f"{MIDNIGHT - DAY * 18:%Y-%m-%d}"
    assert f"orders: 3 days never loaded, from {first} to {last}." in text
    [link] = re.findall(r'href="(/regulars/today/fill\?[^"]+)"', part(text, "missing"))
    form = admin.get(link.replace("&amp;", "&"))
    assert re.search(rf'name="start" required value="{first}"', form.text)
    assert re.search(rf'name="end" required value="{last}"', form.text)
    assert '<option value="shop_to_features" selected>' in form.text
    backfill = "airflow backfill create --dag-id shop_to_features --from-date {} --to-date {} --max-active-runs 1"
    assert backfill.format(first, last) in form.text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"dag_id": "churn_model"}, "Choose one of shop_to_features and market_signals"),
        ({"start": "2024-02-02", "end": "2024-02-01"}, "Exchange the two"),
        ({"start": "soon"}, "start"),
        ({"dag_id": "<script>alert(1)</script>"}, "&lt;script&gt;"),
    ],
)
def test_a_form_that_cannot_be_filled_in_is_refused_in_words(admin, asked, says):
    answer = admin.get("/regulars/today/fill", params=asked)
    assert answer.status_code == 400
    alert = re.search(r'role="alert">(.*?)</p>', answer.text)
    assert alert and says in alert[1]
    assert "<script>alert" not in answer.text


def test_rejected_rows_are_told_with_their_rule_and_reason(admin, warehouse):
    for number, at in enumerate((NOW - DAY * 5, NOW)):
        warehouse.execute(
            """
            INSERT INTO quarantine.rejected_rows (
                entity, rule_id, payload_digest, row_digest, occurrence, reason, payload, landing_file,
                landing_position, source, window_start, window_end, rejected_at, last_rejected_at, batch
            )
            VALUES (
                'orders', 'money', gen_random_uuid(), gen_random_uuid(), 0, %s, '{"secret": 1}', 'file', '1', 'shop',
                %s, %s, %s, %s, 'batch'
            )
            """,
            (f"total is <b>{number}</b>", MIDNIGHT - DAY, MIDNIGHT, at, at),
        )
    warehouse.commit()
    text = admin.get("/regulars/today").text
    told = part(text, "rejected")
    assert "orders money 2 1 total is &lt;b&gt;1&lt;/b&gt;" in told
    assert "/dags/quarantine_replay" in told and "secret" not in text
    assert "1 rows were rejected in the last day" in text


def verdict(**told):
    quiet = {"runs": [ran("success")], "gaps": [], "rejections": [], "tables": [], "views": [], "marts": []}
    return judge(now=NOW, failed_checks=[], **(quiet | told))


def ran(state: str, *, hours_ago: float = 2, is_paused: bool = False) -> LastRun:
    began = NOW - timedelta(hours=hours_ago)
    task = TroubledTask("upsert_orders", "failed", 1, "/dags/shop")
    return LastRun("shop", is_paused, None, "/dags/shop", state, "scheduled", began, began + DAY / 24,
                   (task,) if state == "failed" else ())  # fmt: skip


def test_a_quiet_night_is_called_good():
    assert verdict().grade == "good" and verdict().findings == []


def test_the_worst_finding_comes_first_and_grades_the_night():
    rejected = [{"recent_count": 3}]
    gap = Gap(("orders",), "shop_to_features", Window(MIDNIGHT - DAY, MIDNIGHT))
    found = verdict(rejections=rejected, gaps=[gap], runs=[ran("failed")])
    assert found.grade == "bad"
    assert [finding.grade for finding in found.findings] == ["bad", "bad", "warn"]
    assert found.findings[0].text == "The last run of shop failed at upsert_orders."
    assert "1 day never loaded" in found.findings[1].text
    assert verdict(rejections=rejected).grade == "warn"


@pytest.mark.parametrize(("is_paused", "says"), [(True, "every DAG is paused"), (False, "the scheduler runs")])
def test_a_night_without_a_run_says_where_to_look(is_paused, says):
    [finding] = verdict(runs=[ran("success", hours_ago=30, is_paused=is_paused)]).findings
    assert finding.grade == "warn" and says in finding.text


def test_a_table_is_late_when_it_missed_its_night():
    at = {hours: NOW - timedelta(hours=hours) for hours in (30, 40)}
    tables = [Freshness(f"shop.t{hours}", "upsert", instant, instant, 1.0) for hours, instant in at.items()]
    [finding] = verdict(tables=tables).findings
    assert finding.text == "Not written last night: shop.t40."
