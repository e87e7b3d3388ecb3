"""Run notebooks from top to bottom against the warehouse and keep what they show: `make notebooks`.

What is kept is the same for the same warehouse: no times, no counters of other runs, no paths.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent
CELL_SECONDS = 300


def notebooks() -> list[Path]:
    """All notebooks, in the order to read them."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path, *, environment: dict[str, str]) -> nbformat.NotebookNode:
    """The notebook with what its cells show now; the file stays as it is.

    :param environment: variables of its kernel.
    :raises CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        extra_arguments=["--HistoryManager.enabled=False", "--log-level=ERROR"],
    )
    client.execute(env=environment)
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    return notebook


def main() -> int:
    """Run all, write each back to its file, and say how long it took; 1 if one failed, which stays as it was."""
    is_well = True
    for path in notebooks():
        began = time.monotonic()
        try:
            notebook = execute(path, environment=dict(os.environ))
        except CellExecutionError as error:
            print(f"  {path.name}: a cell failed, the file stays as it was.\n{error}", file=sys.stderr)
            is_well = False
            continue
        path.write_text(nbformat.writes(notebook) + "\n")
        seconds = time.monotonic() - began
        print(f"  notebooks/{path.name}: {len(notebook.cells)} cells in {seconds:.1f} s", flush=True)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
