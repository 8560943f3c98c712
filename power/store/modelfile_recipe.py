"""What a Modelfile asks for: its commands with their meanings, paths and names still as written.

`power create` turns paths into uploaded blobs; a server that is sent the text
itself takes names and digests only.  Either way the rest is said here once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from power.errors import BadRequest
from power.messages import Message
from power.options import read_options
from power.store.modelfile import Command, Modelfile, ModelfileError

# Words of older Modelfiles that nothing listens to any more; they cost a warning, not the model.
IGNORED = ("low_vram", "f16_kv", "logits_all", "vocab_only", "numa", "tfs_z", "embedding_only", "rope_frequency_base")
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}
_SEMVER = re.compile(r"v?\d+(\.\d+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
# Of these the last one counts, as in Ollama.
_SINGLE = ("template", "system", "renderer", "parser", "requires", "draft")


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A model to be made. None and () stand for what was not said."""

    sources: tuple[str, ...]  # of FROM: names, digests or paths
    adapters: tuple[str, ...] = ()
    draft: str | None = None
    template: str | None = None
    system: str | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    parameters: dict[str, Any] = {}  # typed
    messages: tuple[Message, ...] = ()
    licenses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def recipe_of(modelfile: Modelfile) -> Recipe:
    """Raises ModelfileError, which names the line, for a parameter that there is not or whose value it cannot have."""
    last = {command.keyword: command.value for command in modelfile.commands if command.keyword in _SINGLE}
    if not _SEMVER.fullmatch(last.get("requires", "0")):
        raise _at(_last(modelfile, "requires"), "requires must be a valid semver (e.g. 0.14.0)")
    parameters = [command for command in modelfile.commands if command.keyword == "parameter"]
    return Recipe(
        sources=tuple(modelfile.values("from")),
        adapters=tuple(modelfile.values("adapter")),
        parameters=_parameters(parameters),
        messages=tuple(
            Message(role=command.name, content=command.value)
            for command in modelfile.commands
            if command.keyword == "message"
        ),
        licenses=tuple(modelfile.values("license")),
        warnings=tuple(f"parameter {c.name} is deprecated" for c in parameters if c.name.lower() in IGNORED),
        **last,
    )


def typed_parameter(name: str, text: str) -> Any:
    """An option's value from its text.

    Raises:
        BadRequest: there is no such option, or it cannot have this value.
    """
    value = text if name == "stop" else _BOOLEANS.get(text, _number(text))
    _, unknown = read_options({name: value})
    if unknown:
        raise BadRequest(f"unknown parameter '{name}'", field=f"parameters.{name}")
    return value


def _parameters(commands: Sequence[Command]) -> dict[str, Any]:
    """Typed, the last of a name counting; those of `stop` all do."""
    found: dict[str, Any] = {}
    for command in commands:
        name = command.name.lower()
        if name in IGNORED:
            continue
        try:
            value = typed_parameter(name, command.value)
        except BadRequest as error:
            raise _at(command, error.message) from None
        found[name] = [*found.get(name, []), value] if name == "stop" else value
    return found


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _last(modelfile: Modelfile, keyword: str) -> Command:
    return next(command for command in reversed(modelfile.commands) if command.keyword == keyword)


def _at(command: Command, what: str) -> ModelfileError:
    return ModelfileError(what, command.line, 1)
