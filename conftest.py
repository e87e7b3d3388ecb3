"""Plugins of the whole test run."""

pytest_plugins = ("tests.in_memory", "tests.not_run")
