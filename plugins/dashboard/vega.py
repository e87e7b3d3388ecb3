"""Vega, Vega-Lite and vega-embed as one script, out of the wheel `vl-convert-python`.

Putting the script together starts a JavaScript engine and takes seconds: it is done once in a process of its own and
kept in a file under AIRFLOW_HOME. `python -m dashboard.vega` does it ahead of time, as an image is built.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from threading import Lock

NAME = "vega.js"
VERSION = version("vl-convert-python")
_making = Lock()
_PROGRAM = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"


def kept_file() -> Path:
    """Where the script of this version is kept."""
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return home / "regulars" / f"vega-{VERSION}.js"


def javascript() -> bytes:
    """The script; made and kept if it is not there yet.

    :raises subprocess.CalledProcessError: it could not be put together; the log of the API server says why.
    """
    kept = kept_file()
    with _making:
        try:
            return kept.read_bytes()
        except FileNotFoundError:
            text = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, stdout=subprocess.PIPE).stdout  # noqa: S603  # our own words
            _keep(kept, text)
            return text


def _keep(file: Path, text: bytes) -> None:
    """Whole or not at all; a home that cannot be written to costs each process the making."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
            part.write(text)
            os.fchmod(part.fileno(), 0o644)  # An image is built by another user than the one who serves it.
        os.replace(part.name, file)
    except OSError:
        return


if __name__ == "__main__":
    javascript()
    print(kept_file())
