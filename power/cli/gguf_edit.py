"""`power gguf get`, `set` and `remove`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from power.cli.gguf_files import open_file, progress_bar, say
from power.errors import PowerError
from power.gguf import GGUF, Typed, ValueType, open_gguf, rewrite_gguf

FIRST_PART_KEY = "split.no"
INTEGERS = frozenset(kind for kind in ValueType if "INT" in kind.name)
FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)


def get_value(file: str, key: str) -> None:
    """Print text as it is, anything else as JSON."""
    metadata = open_file(file).metadata
    if key not in metadata:
        raise _missing(key, metadata)
    value = metadata[key]
    sys.stdout.write((value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)) + "\n")


def plain(value: Any) -> Any:
    """A metadata value as JSON can say it: numpy's arrays as lists."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def set_value(file: Path, key: str, text: str, *, kind: str | None, out: Path | None) -> None:
    gguf = _open_part(file)
    value = read_value(_read(text), _wanted(gguf, key, kind), key)
    _rewrite(gguf, out, {**gguf.metadata.encoded(), key: value})


def remove_values(file: Path, keys: Sequence[str], *, out: Path | None) -> None:
    gguf = _open_part(file)
    if not keys:
        raise PowerError("say which keys to remove")
    for key in keys:
        if key not in gguf.metadata:
            raise _missing(key, gguf.metadata)
    _rewrite(gguf, out, {key: value for key, value in gguf.metadata.encoded().items() if key not in keys})


class Wanted(NamedTuple):
    """What a value has to be; None where it may be what it looks like."""

    kind: ValueType | None = None  # of an array that of its items
    is_array: bool | None = None


def read_value(text: str, wanted: Wanted, key: str) -> Any:
    """What was typed, as a value of the type wanted, or of the one it looks like.

    Raises:
        PowerError: it is no such value.
    """
    is_text = wanted.kind is ValueType.STRING and not wanted.is_array
    value = text if is_text else _read_literal(text)
    is_array = isinstance(value, list)
    if wanted.is_array not in (None, is_array):
        raise PowerError(f"{key} is {'no list' if is_array else 'a list, which has to be given as JSON'}")
    if wanted.kind is None:
        return value
    if is_array:
        return Typed([_checked(item, wanted.kind, key) for item in value], ValueType.ARRAY, wanted.kind)
    return Typed(_checked(value, wanted.kind, key), wanted.kind)


def _checked(value: Any, wanted: ValueType, key: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        ValueType.BOOL: isinstance(value, bool),
        ValueType.STRING: isinstance(value, str),
        **dict.fromkeys(FLOATS, is_number),
        **dict.fromkeys(INTEGERS, is_number and isinstance(value, int)),
    }
    if not fits.get(wanted, False):
        raise PowerError(f"{key} is of type {wanted.name.lower()}, which {json.dumps(value)} is not")
    return value


def _read_literal(text: str) -> Any:
    """JSON where it is a number, a truth value or a list; else the text itself."""
    try:
        value = json.loads(text, parse_constant=float)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float | list) else text


def _read(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PowerError(f"{text[1:]} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _wanted(gguf: GGUF, key: str, said: str | None) -> Wanted:
    """The type asked for, or else that of the value there is."""
    if said is not None:
        kind = ValueType.__members__.get(said.upper())
        if kind is None or kind is ValueType.ARRAY:
            names = ", ".join(kind.name.lower() for kind in ValueType if kind is not ValueType.ARRAY)
            raise PowerError(f"'{said}' is no type; there are {names}")
        return Wanted(kind)
    if key not in gguf.metadata:
        return Wanted()
    field = gguf.metadata.field(key)
    return Wanted(field.type if field.item_type is None else field.item_type, field.item_type is not None)


def _open_part(file: Path) -> GGUF:
    """One file for itself, since its metadata are written with its own tensors."""
    gguf = open_gguf(file, whole=False)
    number = gguf.metadata.get(FIRST_PART_KEY, 0)
    if number != 0:
        raise PowerError(f"{file.name} is not the first file of its model, and only that has the metadata")
    return gguf


def _rewrite(gguf: GGUF, out: Path | None, metadata: Mapping[str, Any]) -> None:
    path = out or gguf.path
    with progress_bar("Writing") as progress:
        # Behind a link is the file that is meant; replacing the link would leave it as it was.
        rewrite_gguf(gguf, path.resolve(), metadata, progress=progress)
    say(f"{path} is written")


def _missing(key: str, metadata: Mapping[str, Any]) -> PowerError:
    from difflib import get_close_matches

    near = get_close_matches(key, list(metadata), n=3)
    return PowerError(f"there is no key '{key}'" + (f"; did you mean {' or '.join(near)}?" if near else ""))
