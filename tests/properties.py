"""Which examples the property tests try, and how many.

Usually the same ones in every checkout, so that the verdict of a run is about the code and can be had again.
REGULARS_EXAMPLES=n tries n times as many, and others each time; `make test-properties` does.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

TIMES = int(os.environ.get("REGULARS_EXAMPLES", "0"))


def examples(count: int) -> settings:
    """Settings of a test that usually tries `count` examples, where those of the profile are too many or too few."""
    return settings(max_examples=count * (TIMES or 1))


def load_profile() -> None:
    """Make the settings of this run those of every property test that is imported from here on."""
    settings.register_profile(
        "regulars",
        max_examples=100 * (TIMES or 1),
        derandomize=not TIMES,
        deadline=None,
        print_blob=True,
        # How fast a machine draws decides nothing; a test that empties its database first may share it among examples.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    settings.load_profile("regulars")
    if not TIMES:
        # Hypothesis also tries the constants of all modules that happen to be imported: other ones beside other tests.
        providers.is_local_module_file = lambda path: False
