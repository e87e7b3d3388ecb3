"""Ask a service whether it is well: `python deploy/health.py URL [PART…]`; exit code 0 means yes.

With parts, the answer must be Airflow's health report and call each of them healthy.
"""

from __future__ import annotations

import json
import sys
from urllib.request import ProxyHandler, build_opener

TIMEOUT_SECONDS = 8


def complaint(url: str, parts: list[str]) -> str | None:
    """What is wrong, or None."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=TIMEOUT_SECONDS) as answer:
            body = answer.read()
        report = json.loads(body) if parts else {}
    except (OSError, ValueError) as error:
        return f"{url}: {error}"
    sick = [part for part in parts if (report.get(part) or {}).get("status") != "healthy"]
    return f"{url}: not healthy: {', '.join(sick)}" if sick else None


if __name__ == "__main__":
    sys.exit(complaint(sys.argv[1], sys.argv[2:]))
