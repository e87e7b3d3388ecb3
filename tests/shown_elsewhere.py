"""Commands and programs of the pages that `test_notebooks_and_guide.py` does not run: which test does, or why none.

`test_documentation.py` holds the lists to what there is: a test that is named exists, and nothing is listed in vain.
"""

from __future__ import annotations

import re

DEMO, KINDS = "tests/e2e/test_demo.py", "tests/e2e/test_run_kinds.py"
LOCAL, RETAIL = "tests/integration/test_local_commands.py", "tests/integration/test_online_retail.py"
NEW_SOURCE = "tests/integration/test_new_source.py::test_the_walk_through_a_new_source_leads_where_it_says"
ALL_KINDS = (
    f"{KINDS}::test_scheduled_backfilled_manual_asset_triggered_and_tested_runs_of_a_window_give_the_same_tables"
)
CHAMPION = "tests/integration/test_champion.py::test_one_command_rolls_back_and_the_others_tell"
FEAST = "tests/integration/test_feast_bridge.py::test_feast_gives_the_same_history"

COMMANDS = {
    r"make demo(?: CUSTOMERS=\d+)?": f"{DEMO}::test_the_first_run_does_every_step_and_every_check_holds",
    r"make up": f"{DEMO}::test_the_printed_login_shows_every_dag_and_no_import_error",
    r"make down": f"{LOCAL}::test_down_stops_postgres_and_says_so_and_twice_is_no_error",
    r'make (?:-s )?dsn|psql "\$\(make -s dsn\)"': (
        f"{LOCAL}::test_dsn_prints_one_working_connection_string_and_nothing_else"
    ),
    r"make docs": "tests/unit/test_documentation_site.py::test_every_page_of_the_documentation_is_in_the_site",
    r"make help": "tests/integration/test_make.py::test_help_tells_one_line_about_every_command",
    r"make notebooks": (
        "tests/integration/test_notebooks_and_guide.py"
        "::test_it_runs_from_top_to_bottom_what_it_claims_holds_and_nothing_is_kept"
    ),
    r"make soak": (
        "tests/integration/test_survival_soak.py"
        "::test_the_tables_are_the_truth_or_the_run_fails_clearly_and_the_next_is_the_truth"
    ),
    r"make new-source .*|.*pytest .*test_reviews\.py.*": NEW_SOURCE,
    r".*python -m include\.serving --port 8000": (
        "tests/integration/test_local_serving.py"
        "::test_the_api_answers_on_this_machine_alone_with_the_first_key_and_ends_when_told"
    ),
    r'curl .*"\$API/v1/.*': "tests/integration/test_serving_docs.py::test_an_example_answers_what_it_promises",
    r"curl .*/api/v2/assets.*": ALL_KINDS,
    r"python -m include\.features upkeep": (
        "tests/integration/test_features_commands.py::test_upkeep_measures_thins_by_the_policy_and_forgets"
    ),
    r"python -m include\.features retire customer_rfm@1": (
        "tests/integration/test_features_versions.py"
        "::test_a_version_that_a_model_was_trained_on_is_built_and_published_until_it_is_retired"
    ),
    r"airflow dags test.*": ALL_KINDS,
    r"airflow backfill create": f"{KINDS}::test_a_backfill_of_several_days_equals_one_ranged_run",
    r"airflow (?:variables set|pools import|dags trigger|backfill create) .+": (
        "tests/dags/test_documentation.py::test_a_command_of_airflow_that_is_told_is_done"
    ),
    r"python -m include\.models rollback churn .*|make models DO=.*": CHAMPION,
    r".*python -m include\.models\.lifetime --cdnow FILE": (
        "tests/unit/test_lifetime_command.py::test_the_command_prints_the_figures_of_both_models"
    ),
    r".*python -m include\.ingestion\.metrics": f"{DEMO}::test_the_printed_address_has_the_metrics_of_this_warehouse",
    r".*python -m include\.local\.sandbox .*": (
        "tests/integration/test_sandbox_apis.py::test_health_names_the_instance_and_a_range_that_holds_everything"
    ),
}  # fmt: skip
"""By a pattern that the whole command matches."""

NOT_RUN = {
    r"make demo DATA=.*": f"another demo takes minutes; {RETAIL} loads such a file through every step",
    r"make test(?:-slow|-properties)?": "they run these tests",
    r"make lint": "CI runs it before these tests",
    r"make bench|.*python -m bench.*": "they measure for minutes; that they understand their arguments is tested",
    r".*pytest tests/integration/test_upsert(?:\.py -x|_lines\.py)": "it is one of these tests",
    r"docker compose .*": "there is no Docker here; services and arguments are held against docker-compose.yaml",
    r"(?:cp|git) .*": "they are not ours",
}
"""By a pattern that the whole command matches: why."""

PROGRAMS = {
    "docs/add-a-source.md": NEW_SOURCE,
    "docs/online-retail.md": (
        f"{RETAIL}::test_the_count_in_the_documentation_is_the_one_that_the_warehouse_is_held_to"
    ),
    "docs/feast.md": FEAST,
}  # fmt: skip
"""Pages whose blocks of Python are run by that test."""


def is_listed(command: str) -> bool:
    """Whether it is run elsewhere or nowhere."""
    return any(re.fullmatch(pattern, command) for pattern in (*COMMANDS, *NOT_RUN))
