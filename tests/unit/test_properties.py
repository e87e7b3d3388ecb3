import importlib.util
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import TIMES, examples

MODULE = "a_module_that_another_test_imports"


def tried() -> list[tuple[int, str]]:
    found = []

    @examples(150)
    @given(st.integers(), st.text())
    def draw(number, text):
        found.append((number, text))

    draw()
    return found


@pytest.mark.skipif(TIMES > 0, reason="REGULARS_EXAMPLES asks for other examples each time")
def test_the_examples_are_the_same_whatever_the_seed_and_whatever_other_tests_have_imported(tmp_path, monkeypatch):
    before = tried()
    file = tmp_path / "constants.py"
    file.write_text(f"NUMBERS = {list(range(10_000, 10_100))}\nTEXTS = {[f'text {each}' for each in range(100)]}\n")
    spec = importlib.util.spec_from_file_location(MODULE, file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, MODULE, module)
    spec.loader.exec_module(module)
    random.seed(before[-1][0])
    assert tried() == before
