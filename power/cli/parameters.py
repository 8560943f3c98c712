"""Options as they are typed: `--option temperature=0.2`, `/set parameter stop AI: User:`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from power.cli.topics import LEVELS
from power.errors import BadRequest
from power.options import read_options

_FORMATS = '"json", a JSON Schema object, or the path of a .json file with one'


def read_parameter(name: str, words: Sequence[str]) -> Any:
    """The value of option `name` as JSON would have it.

    Raises:
        BadRequest: no such option, or a value it cannot have.
    """
    # `stop` alone takes several values, and any text; of the others a number may look like anything to people.
    value = list(words) if name == "stop" else _value(" ".join(words))
    _, unknown = read_options({name: value})
    if unknown:
        raise BadRequest(f"unknown parameter '{name}'")
    return value


def read_parameters(pairs: Iterable[str]) -> dict[str, Any]:
    """Options from `name=value` texts; `stop` may come several times.

    Raises:
        BadRequest: as `read_parameter`, or a text without "=".
    """
    words: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadRequest(f"an option is written name=value, not '{pair}'")
        words[name] = [*words.get(name, []), value] if name == "stop" else [value]
    return {name: read_parameter(name, texts) for name, texts in words.items()}


def read_think(text: str | None) -> bool | str | None:
    """The value of `--think`.

    Raises:
        BadRequest: no such level.
    """
    words = {None: None, "true": True, "false": False} | {level: level for level in LEVELS}
    if text not in words:
        raise BadRequest(
            f'invalid value for --think: "{text}" (must be true, false, high, medium, low, or max)', field="think"
        )
    return words[text]


def read_format(text: str | None) -> Any:
    """The value of `--format`: "json", or a schema, written out or in a file.

    Raises:
        BadRequest: neither, or a file that cannot be read or holds no schema.
    """
    if text is None or text == "json":
        return text
    is_file = text.endswith(".json")
    try:
        schema = json.loads(Path(text).expanduser().read_text("utf-8") if is_file else text)
    except OSError as error:
        raise BadRequest(f"cannot read the format {text}: {error.strerror}", field="format") from None
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        what = f"{text} holds no JSON Schema object" if is_file else f"{text!r}; expected " + _FORMATS
        raise BadRequest(f"invalid format: {what}", field="format")
    return schema


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
