"""Runs a command of the documentation in this process, as a shell with the settings of a task would."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import runpy
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from unittest import mock

import psycopg

from tests.documented_commands import python_of, words_of


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    printed: str


def run_told(text: str, *, environment: Mapping[str, str], dsn: str) -> Ended:
    """Run a command of Python, one of make that comes to it, or a query for psql.

    :param dsn: of the warehouse that `make -s dsn` would name.
    """
    words = words_of(text)
    if words[0] == "psql":
        with psycopg.connect(dsn) as conn:
            conn.execute(words[-1].encode())
        return Ended(0, "")
    asked = python_of(words)
    assert asked, f"{text}: say in tests/shown_elsewhere.py which test runs it, or why none does"
    return _run_module(*asked, environment=environment)


def _run_module(module: str, arguments: list[str], *, environment: Mapping[str, str]) -> Ended:
    printed = io.StringIO()
    code: object = 0
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", [module, *arguments]),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)  # It was imported before, as a module.
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=False)
        except SystemExit as end:
            code = end.code
        finally:
            logging.disable(logging.NOTSET)  # Commands disable it for good, their process being their own.
    return Ended(code if isinstance(code, int) else int(code is not None), printed.getvalue())
