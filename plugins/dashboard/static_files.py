"""Scripts and styles, served from here: a page asks no other server for anything."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

from dashboard import vega

FOLDER = Path(__file__).with_name("static")
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
router = APIRouter()


@cache
def _content(name: str) -> bytes:
    return vega.javascript() if name == vega.NAME else (FOLDER / name).read_bytes()


@cache
def address_of(name: str) -> str:
    """The name with a version of its content, so that a browser may keep it for good.

    :raises FileNotFoundError: there is no such file.
    """
    version = vega.VERSION if name == vega.NAME else hashlib.sha256(_content(name)).hexdigest()[:12]
    return f"{name}?v={version}"


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    """One file of the folder `static`, or Vega."""
    if name != vega.NAME and name not in {each.name for each in FOLDER.iterdir()}:
        raise HTTPException(404, f"There is no file {name}.")
    return Response(
        _content(name), media_type=TYPES[Path(name).suffix],
        headers={"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"},
    )  # fmt: skip
