"""The Dockerfile: pinned, unprivileged, without a secret, and with all that the platform imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.unit.deployment_files import CHECKOUT, dockerfile, final_stage, image_environment, services

# The embedded stack stays on workstations; only the sandbox of it runs in the image.
NOT_RUN_IN_IMAGE = CHECKOUT / "include" / "local"
RUN_ALL_THE_SAME = NOT_RUN_IN_IMAGE / "sandbox"


def arguments(instruction: str, *, final: bool = True) -> list[str]:
    return [rest for word, rest in (final_stage() if final else dockerfile()) if word == instruction]


def copied() -> dict[str, str]:
    """Source in the checkout to place in the image, of all stages."""
    pairs = [rest.split() for rest in arguments("COPY", final=False) if not rest.startswith("--from")]
    return dict(pairs)


def test_only_known_instructions_are_used():
    known = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER"}
    assert {word for word, _ in dockerfile()} <= known


def test_every_stage_stands_on_one_pinned_python_that_the_project_supports():
    bases = {rest.split(" AS ")[0] for rest in arguments("FROM", final=False)}
    assert len(bases) == 1
    version = re.fullmatch(r"python:(3)\.(\d+)\.\d+-slim-\w+", bases.pop())
    assert version is not None, "pin the base image to a full version"
    assert (int(version[1]), int(version[2])) >= (3, 11)
    assert version[0].startswith("python:3.11."), "requirements.txt is resolved and tested on 3.11"


def test_the_installer_is_pinned_and_installs_the_committed_lock_and_nothing_else():
    installs = [rest for rest in arguments("RUN", final=False) if "pip install" in rest]
    tool, packages = installs
    assert re.fullmatch(r"pip install --no-cache-dir uv==\d+\.\d+\.\d+", tool)
    assert copied()["requirements.txt"] == "/tmp/requirements.txt"
    assert packages.endswith("--requirement /tmp/requirements.txt")
    assert {"--compile-bytecode", "--no-build", "--no-cache"} <= set(packages.split())
    unpinned = [
        line
        for line in (CHECKOUT / "requirements.txt").read_text().splitlines()
        if line and not line.lstrip().startswith("#") and "==" not in line
    ]
    assert unpinned == []


def test_the_container_does_not_run_as_root():
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", arguments("USER")[-1])
    last = max(number for number, (word, _) in enumerate(final_stage()) if word == "USER")
    assert all(word != "RUN" for word, _ in final_stage()[last:])
    user, group = arguments("USER")[-1].split(":")
    assert f"useradd --uid {user}" in arguments("RUN")[0]
    assert f"groupadd --gid {group}" in arguments("RUN")[0]


def test_what_is_copied_exists_and_holds_the_platform():
    for source in copied():
        assert (CHECKOUT / source).exists(), f"{source} is copied into the image and does not exist"
        tracked = subprocess.run(["git", "ls-files", "--", source], cwd=CHECKOUT, capture_output=True, text=True)
        if tracked.returncode == 0:
            assert tracked.stdout, f"{source} is not committed: a clean checkout cannot build the image"
    assert {"include", "plugins", "dags", "deploy"} <= set(copied())


def test_nothing_but_what_is_copied_is_sent_to_the_engine():
    lines = [line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*", "the first line must keep everything out, .env and .git first of all"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())


def test_airflow_and_python_look_where_the_code_was_copied():
    home = Path(arguments("WORKDIR")[-1])
    places = {source: str(home / target) for source, target in copied().items()}
    environment = image_environment()
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == places["dags"]
    assert environment["AIRFLOW__CORE__PLUGINS_FOLDER"] == places["plugins"]
    assert environment["PYTHONPATH"].split(":") == [str(home), places["plugins"]]
    assert Path(places["include"]).parent == home


def test_the_image_holds_no_setting_that_is_a_secret():
    assert not [name for name in image_environment() if re.search("PASSWORD|SECRET|KEY|TOKEN|CONN", name)]


def test_every_volume_is_mounted_on_a_folder_that_the_user_owns():
    mounted = {
        mount.split(":")[1]
        for service in services().values()
        if service["image"].startswith("regulars:")
        for mount in service.get("volumes", [])
    }
    made = re.search(r"install --directory --owner regulars --group regulars ([/\w\s]+)", arguments("RUN")[0])
    assert made is not None
    assert mounted
    assert mounted <= set(made[1].split()), "a fresh volume over a folder that the image lacks belongs to root"


def test_everything_that_the_platform_imports_is_in_the_lock():
    lock = {
        re.split(r"[=\s]", line)[0].lower()
        for line in (CHECKOUT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    distributions = packages_distributions()
    imported: dict[str, Path] = {}
    for folder in ("include", "plugins", "dags", "deploy"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            if not path.is_relative_to(NOT_RUN_IN_IMAGE) or path.is_relative_to(RUN_ALL_THE_SAME):
                imported |= dict.fromkeys(_imports(path), path)
    ours = {"include", "orchestration", "dashboard"} | set(sys.stdlib_module_names)
    missing = {
        name: str(path.relative_to(CHECKOUT))
        for name, path in imported.items()
        if name not in ours
        and not {distribution.lower().replace("_", "-") for distribution in distributions.get(name, [])} & lock
    }
    assert {"airflow", "psycopg", "msgspec", "uvicorn"} <= set(imported)
    assert missing == {}, "name these packages in requirements.in and run make lock"


def _imports(path: Path) -> set[str]:
    """First names of all modules that a file imports, at its top or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found
