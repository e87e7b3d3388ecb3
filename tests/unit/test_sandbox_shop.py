"""Versions, filters and orderings of a collection against an obvious loop."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from include.local.sandbox.instants import gmt, parse_instant
from include.local.sandbox.parameters import ListQuery
from include.local.sandbox.shop import Collection
from include.local.sandbox.woocommerce import select

INSTANT = st.integers(0, 12)
BOUND = st.none() | INSTANT
VERSIONS = st.lists(st.tuples(st.integers(1, 5), INSTANT, st.sampled_from(["completed", "pending"])), max_size=25)


def collection_of(versions: list[tuple[int, int, str]]) -> Collection:
    created: dict[int, int] = {}
    for key, modified, _ in versions:
        created[key] = min(created.get(key, modified), modified)
    return Collection(
        keys=[key for key, _, _ in versions],
        created=[created[key] for key, _, _ in versions],
        modified=[modified for _, modified, _ in versions],
        items=list(range(len(versions))),
        statuses=[status for _, _, status in versions],
    )


@given(
    versions=VERSIONS,
    now=INSTANT,
    after=BOUND,
    before=BOUND,
    modified_after=BOUND,
    modified_before=BOUND,
    orderby=st.sampled_from(["date", "modified", "id"]),
    order=st.sampled_from(["asc", "desc"]),
    status=st.sampled_from([(), ("any",), ("completed",)]),
    exclude=st.sampled_from([(), (2,)]),
)
def test_a_list_holds_the_newest_visible_versions_strictly_inside_the_bounds_with_ties_by_id(
    versions, now, after, before, modified_after, modified_before, orderby, order, status, exclude
):
    collection = collection_of(versions)
    query = ListQuery(
        page=1, per_page=10, offset=None, order=order, orderby=orderby, after=after, before=before,
        modified_after=modified_after, modified_before=modified_before, statuses=status, include=(),
        exclude=exclude, parents=(),
    )  # fmt: skip
    newest: dict[int, int] = {}
    for position, (key, modified, _) in enumerate(versions):
        if modified <= now and (key not in newest or modified >= versions[newest[key]][1]):
            newest[key] = position
    expected = []
    for key, position in newest.items():
        _, modified, state = versions[position]
        created = int(collection.created[position])
        if after is not None and not created > after:
            continue
        if before is not None and not created < before:
            continue
        if modified_after is not None and not modified > modified_after:
            continue
        if modified_before is not None and not modified < modified_before:
            continue
        if key in exclude or (status == ("completed",) and state != "completed"):
            continue
        sort_key = {"date": (created, key), "modified": (modified, key), "id": (key,)}[orderby]
        expected.append((sort_key, position))
    expected.sort(reverse=order == "desc")
    assert select(collection, query, now=now).tolist() == [position for _, position in expected]


@given(versions=VERSIONS.filter(bool), edited_at=INSTANT)
def test_an_added_version_is_the_newest_from_its_instant_on(versions, edited_at):
    key = versions[0][0]
    collection = collection_of(versions)
    collection.add_version(key, modified=edited_at, item="edited", status="completed")
    newest_before = max(modified for other, modified, _ in versions if other == key)
    assert (collection.find(key, now=12) == "edited") == (edited_at >= newest_before)
    assert collection.find(key, now=edited_at - 1) != "edited"


@given(instant=st.integers(-(2**31), 2**32))
def test_an_instant_is_written_as_woocommerce_writes_it_and_read_back(instant):
    assert gmt(instant) == datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert parse_instant(gmt(instant)) == instant
