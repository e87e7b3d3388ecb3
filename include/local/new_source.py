"""Begin a source: `python -m include.local.new_source reviews [--connection shop_api]`.

Leaves an entity, a source, a migration and tests that run, and names the two in the registry and the factory. The
tests say, one after the other, what to fill in. Exit code 2: the name cannot be used, or is taken; nothing is written.
"""

from __future__ import annotations

import argparse
import builtins
import keyword
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).with_name("new_source_templates")
LONGEST_NAME = 30
_ENTITIES_END = "    )\n}\n"
_SOURCES_END = '}\n"""Entity name to the connection'


class NameRefused(ValueError):
    """The name cannot be that of a source. The message says why, and what would do."""


@dataclass(frozen=True, slots=True)
class NewSource:
    """What is to be written.

    :param files: path below the project's root to content; none of them is there yet.
    :param insertions: path to the file's new content.
    """

    files: dict[str, str]
    insertions: dict[str, str]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m include.local.new_source", description=__doc__)
    parser.add_argument("name", help="the records in lower snake case and plural, such as reviews")
    parser.add_argument("--connection", default="shop_api", help="the Airflow connection that they come through")
    given = parser.parse_args(arguments)
    try:
        new = new_source(given.name, connection=given.connection, root=ROOT)
    except NameRefused as error:
        print(f"new-source: {error} Nothing was written.", file=sys.stderr)
        return 2
    write(new, root=ROOT)
    for path in new.files:
        print(f"wrote      {path}")
    for path in new.insertions:
        print(f"registered {path}")
    print(
        f"Now run .venv/bin/python -m pytest -x tests/integration/test_{given.name}.py and fill in what it says, again "
        "and again; docs/add-a-source.md goes through a whole example."
    )
    return 0


def new_source(name: str, *, connection: str, root: Path) -> NewSource:
    """The files of a new source and the lines that name it.

    :raises NameRefused: the name or the connection's is none, or something has the name already.
    """
    record = check_name(name)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", connection):
        raise NameRefused(f"{connection!r} is no name of a connection: write it in lower snake case, such as shop_api.")
    migration = f"{_next_migration(root):04d}_{name}.sql"
    words = {
        "name": name,
        "words": name.replace("_", " "),
        "record": _camel(record),
        "collection": _camel(name),
        "constant": name.upper(),
        "key": f"{record}_id",
        "connection": connection,
        "migration": migration,
    }
    targets = {
        f"include/entities/{name}.py": "entity.py.txt",
        f"include/sources/{name}.py": "source.py.txt",
        f"include/sql/schema/{migration}": "migration.sql.txt",
        f"tests/integration/test_{name}.py": "test.py.txt",
    }
    _refuse_taken(name, targets, root)
    files = {path: Template((TEMPLATES / template).read_text()).substitute(words) for path, template in targets.items()}
    return NewSource(files, _insertions(words, root))


def check_name(name: str) -> str:
    """The singular of a name that will do.

    :raises NameRefused: it will not.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > LONGEST_NAME:
        raise NameRefused(
            f"{name[:60]!r} is no name of records: write it in lower snake case with at most {LONGEST_NAME} letters, "
            "such as product_reviews."
        )
    record = _singular(name)
    if record == name:
        raise NameRefused(f"{name!r} is no plural: tables are plural nouns, such as {name}s.")
    if any(keyword.iskeyword(each) or hasattr(builtins, each) for each in (name, record, _camel(name), _camel(record))):
        raise NameRefused(f"{name!r} is a word of Python: choose another one, such as shop_{name}.")
    return record


def write(new: NewSource, *, root: Path) -> None:
    """Write everything, and bring Python into the project's form."""
    for path, content in {**new.files, **new.insertions}.items():
        (root / path).write_text(content)
    python = [path for path in (*new.files, *new.insertions) if path.endswith(".py")]
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check", "--quiet", "--fix", "--select", "I"], ["format", "--quiet"]):
        subprocess.run([ruff, *command, *python], cwd=root, check=True)  # noqa: S603  # our own words


def _refuse_taken(name: str, targets: dict[str, str], root: Path) -> None:
    taken = [path for path in targets if (root / path).exists()]
    taken += [str(path.relative_to(root)) for path in (root / "include/sql/schema").glob(f"[0-9]*_{name}.sql")]
    factory, tables = (root / "include/sources/factory.py").read_text(), _schema(root)
    if f'    "{name}": (' in factory:
        taken.append("include/sources/factory.py")
    if re.search(rf"CREATE TABLE shop\.{name}\b", tables):
        taken.append(f"the table shop.{name}")
    if taken:
        raise NameRefused(f"{name!r} is taken by {', '.join(dict.fromkeys(taken))}. Choose another name.")


def _insertions(words: dict[str, str], root: Path) -> dict[str, str]:
    name, constant, collection = words["name"], words["constant"], words["collection"]
    registry, factory = "include/entities/registry.py", "include/sources/factory.py"
    return {
        registry: _inserted(
            (root / registry).read_text(),
            imported=f"from include.entities.{name} import {constant}\n",
            line=f"        {constant},\n",
            before=_ENTITIES_END,
        ),
        factory: _inserted(
            (root / factory).read_text(),
            imported=f"from include.sources.{name} import {collection}\n",
            line=f'    "{name}": ("{words["connection"]}", {collection}),\n',
            before=_SOURCES_END,
        ),
    }


def _inserted(text: str, *, imported: str, line: str, before: str) -> str:
    """The text with an import among its imports and a line before a mark that stands in it once."""
    if text.count(before) != 1:
        raise RuntimeError(f"{before!r} stands {text.count(before)} times where a line is to be put before it")
    first = text.index("from include.")
    text = text[:first] + imported + text[first:]
    place = text.index(before)
    return text[:place] + line + text[place:]


def _next_migration(root: Path) -> int:
    return 1 + max(int(path.name[:4]) for path in (root / "include/sql/schema").glob("[0-9]*.sql"))


def _schema(root: Path) -> str:
    return "\n".join(path.read_text() for path in sorted((root / "include/sql/schema").glob("[0-9]*.sql")))


def _singular(name: str) -> str:
    for ending, singular in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if name.endswith(ending) and len(name) > len(ending) + 1:
            return name.removesuffix(ending) + singular
    return name if name.endswith("ss") else name.removesuffix("s")


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


if __name__ == "__main__":
    sys.exit(main())
