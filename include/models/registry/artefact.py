"""A model as bytes, and back."""

from __future__ import annotations

import hashlib
import io

import joblib

from include.models.registry.errors import ArtefactDamaged


def pack(model: object) -> tuple[bytes, str]:
    """An artefact and its SHA-256 in hexadecimal."""
    buffer = io.BytesIO()
    joblib.dump(model, buffer, compress=3)
    return buffer.getvalue(), hashlib.sha256(buffer.getvalue()).hexdigest()


def unpack(content: bytes, *, digest: str | None, name: str) -> object:
    """The model in an artefact.

    Artefacts are pickles, and opening one runs what is in it. So nothing is opened before its bytes match the digest
    that was kept beside it: whoever may write to the registry may run code in the tasks and in the API.

    :param name: how messages call it.
    :raises ArtefactDamaged: there is no digest, or bytes and digest differ.
    """
    found = hashlib.sha256(content).hexdigest()
    if digest != found:
        raise ArtefactDamaged(
            f"The artefact of {name} has SHA-256 {found[:12]}… and {(digest or 'none')[:12]}… was kept of it; it was "
            "not opened. Put the file back from a backup, or delete this version from the registry and train again."
        )
    return joblib.load(io.BytesIO(content))
