"""A full disk under landing: a real one of one megabyte, and a real limit on the size of a file."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILL = """
import json, os, signal, sys
from datetime import UTC, datetime
from include.entities.window import Window
from include.ingestion.errors import LandingNotWritable
from include.ingestion.landing import Landing
from include.sources.source import Page

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
now = datetime(2024, 3, 9, tzinfo=UTC)
window = Window(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 8, tzinfo=UTC))
landing = Landing(sys.argv[1])
page_bytes = int(sys.argv[2])


def begin():
    return landing.open_batch(source="shop_api", entity="orders", window=window, now=now)


def write(batch, size):
    batch.write(Page(body=os.urandom(size), request="/orders", received_at=now), rows=1)


def refused(step):
    try:
        step()
    except LandingNotWritable as error:
        return str(error)


def write_beside():
    with landing.writing(kept, "orders.parquet") as file:
        file.write(os.urandom(2_000_000))


first = begin()
write(first, 1_000)
kept = first.close()
full = begin()
pages = refused(lambda: [write(full, page_bytes) for _ in range(100)])
full.discard()
beside = refused(write_beside)
seen = list(landing.batches())
again = begin()
write(again, 1_000)
again.close()
print(json.dumps({
    "pages": pages,
    "beside": beside,
    "batches": seen == [kept],
    "kept": [len(page.body) for _, page in landing.pages(kept)],
    "files": sorted(os.path.join(folder, name) for folder, _, names in os.walk(sys.argv[1]) for name in names),
}))
"""


def check(told: dict[str, Any], reason: str) -> None:
    for step in ("pages", "beside"):
        assert reason in told[step] and "cannot be written" in told[step] and "REGULARS_LANDING" in told[step]
    assert told["batches"], "a batch that was not closed is to be seen"
    assert told["kept"] == [1_000]
    names = [Path(file).name for file in told["files"]]
    assert names == ["manifest.json", "page-00001.zst"] * 2, "something of the refused batch is left"


def fill(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=120, env={"PATH": "/usr/bin:/bin"}, **options
    )


@pytest.mark.needs_program("unshare")
def test_a_full_disk_leaves_no_batch_and_what_was_there_can_be_read(tmp_path):
    """A tmpfs in a mount namespace of its own, gone with its process."""
    mount = f"mount -t tmpfs -o size=1m tmpfs {tmp_path}"
    unshare = [shutil.which("unshare") or "", "--map-root-user", "--mount", "sh", "-ec"]
    if fill([*unshare, mount]).returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs, not even in a namespace")
    done = fill([*unshare, f'{mount}; exec {sys.executable} -c "$0" {tmp_path}/landing 100000', FILL])
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout), "No space left on device")


def test_a_limit_on_the_size_of_a_file_leaves_no_batch_and_what_was_there_can_be_read(tmp_path):
    done = fill(
        [sys.executable, "-c", FILL, str(tmp_path / "landing"), "200000"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout), "File too large")
