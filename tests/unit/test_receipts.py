"""Receipts: an account that does not close cannot be made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.window import Window
from include.warehouse.errors import ReceiptDoesNotClose
from include.warehouse.receipts import Receipt

WINDOW = Window(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC) + timedelta(days=1))
OUTCOMES = ("passed", "inserted", "updated", "unchanged", "stale", "duplicate", "quarantined")
counts = st.fixed_dictionaries({name: st.integers(0, 5) for name in OUTCOMES})


@given(outcomes=counts, missing=st.integers(-3, 3), deleted=st.integers(0, 3))
def test_a_receipt_closes_or_is_refused(outcomes, missing, deleted):
    received = sum(outcomes.values()) + missing
    arguments = {"step": "upsert", "entity": "orders", "window": WINDOW, "deleted": deleted, **outcomes}
    if missing == 0:
        assert Receipt(received=received, **arguments).received == received
    else:
        with pytest.raises(ReceiptDoesNotClose, match=f"received {received}, accounted for {received - missing}"):
            Receipt(received=received, **arguments)


def test_each_step_says_its_counts_in_one_line():
    upsert = Receipt(step="upsert", entity="orders", window=WINDOW, received=3, inserted=2, stale=1, seconds=0.414)
    assert str(upsert) == (
        "upsert_orders window=2024-03-01/2024-03-02 received=3 inserted=2 updated=0 unchanged=0 stale=1 duplicate=0 "
        "quarantined=0 deleted=0 seconds=0.41"
    )
    validate = Receipt(step="validate", entity="orders", window=WINDOW, received=3, passed=2, quarantined=1)
    assert (
        str(validate) == "validate_orders window=2024-03-01/2024-03-02 received=3 passed=2 quarantined=1 seconds=0.00"
    )
    extract = Receipt(step="extract", entity="orders", window=WINDOW, received=3, passed=3)
    assert str(extract) == "extract_orders window=2024-03-01/2024-03-02 received=3 passed=3 seconds=0.00"
