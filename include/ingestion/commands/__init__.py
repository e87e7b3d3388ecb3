"""The commands of `python -m include.ingestion`, one file each.

A command is a module with a docstring (its help: the first line is the summary), `add_arguments(parser)` and
`run(arguments, environment) -> exit code`. To add one, write the file and name it in COMMANDS.
"""

from __future__ import annotations

from include.ingestion.commands import erase, expire, quarantine, replay, summary

COMMANDS = {"replay": replay, "quarantine": quarantine, "summary": summary, "expire": expire, "erase": erase}
