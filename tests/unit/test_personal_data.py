"""Personal data of a rejected row does not reach quarantine."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from include.ingestion.personal_data import masked


def test_personal_fields_are_masked_at_any_depth_and_the_rest_stays():
    order = {
        "id": 7,
        "total": "1.0x",
        "billing": {"first_name": "Ada", "email": "ada@example.com", "country": "GB"},
        "line_items": [{"name": "mug", "sku": "M1"}],
    }
    kept = json.loads(masked(json.dumps(order)))
    assert kept["billing"].pop("first_name") == kept["billing"].pop("email") == "(personal data, see landing)"
    assert kept == {**order, "billing": {"country": "GB"}}


def test_a_row_that_was_cut_off_inside_a_personal_value_is_masked_too():
    assert "ada" not in masked('{"id": 7, "email": "ada@exam')


@given(st.text(min_size=8), st.text())
def test_no_value_of_a_personal_field_survives_however_it_is_escaped(secret, other):
    row = json.dumps({"email": secret, "id": other})
    assert json.loads(masked(row)) == {"email": "(personal data, see landing)", "id": other}
