"""Run notebooks from top to bottom against the warehouse and keep what they show: `make notebooks`.

What is kept is the same for the same warehouse: no times, no counters of other runs, no paths.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent
CELL_SECONDS = 300


def notebooks() -> list[Path]:
    """All notebooks, in the order to read them."""
    return sorted(FOLDER.glob("*.ipynb"))


@contextmanager
def kernel(environment: Mapping[str, str]) -> Iterator[NotebookClient]:
    """A kernel in the folder of the notebooks, for one after the other: what they import is imported once.

    :param environment: its variables.
    """
    client = NotebookClient(
        nbformat.v4.new_notebook(),
        kernel_name="python3",
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        extra_arguments=["--HistoryManager.enabled=False", "--log-level=ERROR"],
    )
    with client.setup_kernel(env=dict(environment)):
        yield client


def execute(path: Path, client: NotebookClient) -> nbformat.NotebookNode:
    """The notebook with what its cells show now; the file stays as it is. No name of another notebook is known to it.

    :raises CellExecutionError: a cell failed.
    """
    forget = nbformat.v4.new_code_cell("%reset -f")
    for notebook in (nbformat.v4.new_notebook(cells=[forget]), nbformat.read(path, as_version=4)):
        client.nb = notebook
        client.reset_execution_trackers()
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
    return client.nb


def main() -> int:
    """Run all, write each back to its file, and say how long it took; 1 if one failed, which stays as it was."""
    is_well = True
    with kernel(os.environ) as client:
        for path in notebooks():
            began = time.monotonic()
            try:
                notebook = execute(path, client)
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
