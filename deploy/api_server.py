"""Start Airflow's API server with the users' passwords from the environment.

Airflow's simple auth manager keeps passwords in a file, and makes up and prints one for every user who has none there.
So the file is written first, and no user may lack a password. Exit code 2: a setting is missing or wrong.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROLES = ("admin", "op", "user", "viewer")
PORT = 8080


class BadSetting(ValueError):
    """A setting is missing or wrong; the message says how to set it."""


def password_file(*, users: str, passwords: str) -> str:
    """The content of Airflow's password file.

    :param users: `name:role` of every user, separated by commas.
    :param passwords: a JSON object from user name to password.
    :raises BadSetting: a user without a password or with an unknown role, a password without a user, or no JSON object.
    """
    roles = dict(user.strip().partition(":")[::2] for user in users.split(","))
    for name, role in roles.items():
        if not name or role not in ROLES:
            raise BadSetting(
                f"REGULARS_UI_USERS has the entry {name + ':' + role!r}. Write name:role, where role is one of "
                f"{', '.join(ROLES)}, and separate users by commas."
            )
    known = _parse(passwords)
    if missing := [name for name in roles if not isinstance(known.get(name), str) or not known[name]]:
        raise BadSetting(f"REGULARS_UI_PASSWORDS has no password for {', '.join(missing)}. Add it to the JSON object.")
    if strangers := sorted(known.keys() - roles.keys()):
        raise BadSetting(f"REGULARS_UI_PASSWORDS names {', '.join(strangers)}, unknown to REGULARS_UI_USERS.")
    return json.dumps(known)


def _parse(passwords: str) -> dict[str, object]:
    try:
        known = json.loads(passwords)
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise BadSetting('REGULARS_UI_PASSWORDS is no JSON object. Write \'{"admin": "a long password"}\'.')
    return known


def main() -> int:
    environment = dict(os.environ)
    users = environment.get("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "")
    path = Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    try:
        text = password_file(users=users, passwords=environment.pop("REGULARS_UI_PASSWORDS", ""))
    except BadSetting as error:
        print(f"api-server: {error}", file=sys.stderr)
        return 2
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    command = [sys.executable, "-m", "airflow", "api-server", "--port", str(PORT)]
    os.execve(sys.executable, command, environment)  # noqa: S606  # our own words


if __name__ == "__main__":
    sys.exit(main())
