"""Plugins of the whole test run."""

pytest_plugins = ("tests.not_run",)
