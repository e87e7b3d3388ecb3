"""Who a program runs as when we are root, for programs that refuse to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from include.local.errors import LocalStackError


@dataclass(frozen=True, slots=True)
class RunAs:
    """How to start a program: the words before its command line, and who its files must belong to.

    :param prefix: empty when we are not root.
    :param owner: (uid, gid), or None when files simply belong to us.
    """

    prefix: tuple[str, ...]
    owner: tuple[int, int] | None

    def give(self, path: Path) -> None:
        """Make `path` belong to whoever the program runs as."""
        if self.owner is not None:
            os.chown(path, *self.owner)


def run_as(*, initdb: Path, folder: Path) -> RunAs:
    """Decide how Postgres can run on `folder` without being root, and try it.

    As an ordinary user: directly. As root: as the owner of `folder`, or of the first folder above it that is not
    root's, or as `nobody`. Where the folders above are closed to that user (a checkout in /root, say), it gets the
    one capability to pass them; no permission of anybody's folder is changed.

    :param initdb: it looks for its neighbours in a way that tells whether the others will work, too.
    :param folder: exists.
    :raises LocalStackError: no way works here; the text says what to install.
    """
    if os.geteuid() != 0:
        if not has_name(os.geteuid()):
            raise LocalStackError(
                f"Your user id {os.geteuid()} has no name on this machine, and Postgres' initdb wants one. Add it to "
                "/etc/passwd (in a container), or run make as root or as another user."
            )
        return RunAs(prefix=(), owner=None)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise LocalStackError(
            "Postgres refuses to run as root and the command `setpriv` is missing, which would drop the "
            "rights. Install the package util-linux, or run make as an ordinary user."
        )
    uid, gid = _unprivileged_owner(folder)
    drop = (setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs")
    # Without the security bit, access(2) would ignore the capability, and initdb asks access(2) about its neighbours.
    passing = ("--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    answer = ""
    for prefix in ((*drop, "--"), (*drop, *passing, "--")):
        script = '"$1" --show --pgdata="$2" > /dev/null && cd "$2"'
        check = [*prefix, "sh", "-c", script, "sh", str(initdb), str(folder)]
        tried = subprocess.run(check, capture_output=True, text=True, cwd="/", timeout=30)  # noqa: S603  # our own words
        if tried.returncode == 0:
            return RunAs(prefix=prefix, owner=(uid, gid))
        answer = tried.stderr.strip()
    raise LocalStackError(
        f"Postgres cannot run here as user {uid} ({answer or 'permission denied'}). It refuses to run as root, and "
        f"that user cannot pass the folders above {folder} or {initdb}. Move the checkout to a folder that others "
        "may enter, or run make as an ordinary user."
    )


def _unprivileged_owner(folder: Path) -> tuple[int, int]:
    """Somebody who is not root and whom this machine knows by name, as initdb wants it."""
    for parent in (folder, *folder.parents):
        status = parent.stat()
        if status.st_uid != 0 and has_name(status.st_uid):
            return status.st_uid, status.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise LocalStackError(
            "This machine has no user `nobody` for Postgres to run as. Run make as an ordinary user."
        ) from error
    return nobody.pw_uid, nobody.pw_gid


def has_name(uid: int) -> bool:
    """Whether the user id stands in the machine's user list; in containers it often does not."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
