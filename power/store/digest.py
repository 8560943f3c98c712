"""Digests: the only strings that become the name of a blob."""

from __future__ import annotations

import hashlib
import re
from io import BufferedReader
from pathlib import Path

from power.errors import BadRequest

_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")


def parse_digest(text: str) -> str:
    """The 64 hex digits of `sha256:…` or `sha256-…`, in lower case.

    Raises:
        BadRequest: it is anything else.
    """
    match = _DIGEST.fullmatch(text)
    if match is None:
        raise BadRequest(f"invalid digest format: {text[:80]!r}", field="digest")
    return match[1].lower()


def blob_path(models_dir: Path, digest: str) -> Path:
    """Where a blob lies; BadRequest if `digest` is none."""
    return models_dir / "blobs" / f"sha256-{parse_digest(digest)}"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of_file(file: BufferedReader) -> str:
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
