"""JSON files of a checkpoint: read whole, strictly, and with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from power.gguf.convert.errors import ConvertError

MAX_DOCUMENT = 256 * 2**20  # bytes; the largest tokenizer.json known has 35 MB


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; ConvertError if there is none, or it says NaN or Infinity."""
    value = parse_json(read_bytes(path), path.name)
    if not isinstance(value, dict):
        raise ConvertError(f"{path.name} is not a JSON object")
    return value


def read_json_if_there(path: Path) -> dict[str, Any]:
    """The same, or {} where there is no such file."""
    return read_json(path) if path.exists() else {}


def read_bytes(path: Path) -> bytes:
    """A regular file's contents; ConvertError if there is none, or it is unreasonably large."""
    try:
        if not path.is_file():
            raise ConvertError(f"there is no {path.name} in {path.parent.name or path.parent}")
        if path.stat().st_size > MAX_DOCUMENT:
            raise ConvertError(f"{path.name} has {path.stat().st_size} bytes, more than {MAX_DOCUMENT}")
        return path.read_bytes()
    except OSError as error:
        raise ConvertError(f"{path.name} cannot be read: {error.strerror or error}") from error


def read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ConvertError(f"{path.name} is not UTF-8: {error}") from error


def parse_json(data: bytes, name: str) -> Any:
    """The value; ConvertError if it is not JSON. NaN and Infinity, which Python would take, are none."""

    def refuse(constant: str) -> NoReturn:
        raise ConvertError(f"{name} contains {constant}, which is no JSON number and no setting of a model")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise ConvertError(f"{name} says {twice!r} twice")
        return found

    try:
        return json.loads(data, parse_constant=refuse, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ConvertError(f"{name} is not JSON: {error}") from error
