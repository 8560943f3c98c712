"""Chat templates: Jinja, as Hugging Face's `apply_chat_template` runs it, on a leash.

The language is the one that `transformers` sets up, with the few extras of
llama.cpp's engine that real templates rely on.  The leash is `sandbox` and
`fuel`: no way out, nothing of ours to change, and a bound on time and memory.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import GeneratorType
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, Undefined, pass_context
from jinja2.runtime import Context

from power.errors import BadRequest
from power.prompt.fuel import STEP, Fuel, OutOfFuel, TooExpensive
from power.prompt.sandbox import FUEL, Sandbox, fuel_of

# Characters; the largest of the 70 that llama.cpp tests with has 17,000.
MAX_TEMPLATE = 2**16
MAX_INDENT = 100  # of JSON, per level


class ChatTemplate:
    """A compiled template. Rendering changes nothing, so one may serve many threads."""

    def __init__(self, text: str) -> None:
        """Raises BadRequest if `text` is not a template; the message names what and the line."""
        if len(text) > MAX_TEMPLATE:
            raise BadRequest(f"the chat template has {len(text)} characters, more than {MAX_TEMPLATE}")
        self.text = text
        try:
            self._template = _SANDBOX.from_string(text)
        except TemplateSyntaxError as error:
            raise _failure(error.message or "syntax error", error.lineno) from error
        except Exception as error:
            # Python's own: SyntaxError for a `break` outside of a loop, RecursionError, MemoryError, …
            raise _failure(f"it cannot be compiled: {error}", None) from error

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text for these variables, of which a template may change only lists.

        Raises:
            BadRequest: the template refuses them, fails on them, or asks for too much.
        """
        try:
            fuel = Fuel(dict(variables), len(variables.get("messages", ())))
            context = self._template.new_context({**variables, FUEL: fuel})
            return "".join(self._template.root_render_func(context))
        except TooExpensive as error:
            raise OutOfFuel(_failure(str(error), self._line(error)).message, field="messages") from error
        except Exception as error:  # whatever foreign code may raise
            raise _failure(_reason(error), self._line(error), "messages") from error

    def _line(self, error: Exception) -> int | None:
        """The line that failed. Jinja's own way to tell rewrites the whole traceback, which takes 20 ms."""
        frames = traceback.walk_tb(error.__traceback__)
        lines = [line for frame, line in frames if frame.f_code.co_filename == "<template>"]
        return self._template.get_corresponding_lineno(lines[-1]) if lines else None


def compile_template(text: str) -> ChatTemplate:
    """The template, compiled once for as long as it is among the last few used. Raises like `ChatTemplate`."""
    compiled = _compiled(text)
    if isinstance(compiled, BadRequest):
        raise BadRequest(compiled.message, field=compiled.field)
    return compiled


@lru_cache(maxsize=64)
def _compiled(text: str) -> ChatTemplate | BadRequest:
    # What cannot be compiled can take long to say so, and is remembered, too.
    try:
        return ChatTemplate(text)
    except BadRequest as error:
        return error


def _failure(what: str, line: int | None, field: str | None = None) -> BadRequest:
    return BadRequest(f"chat template{'' if line is None else f', line {line}'}: {what}", field=field)


def _reason(error: Exception) -> str:
    if isinstance(error, TemplateError):
        return error.message or type(error).__name__
    return f"{type(error).__name__}: {error}"


@pass_context
def _to_json(
    context: Context,
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Hugging Face's filter: not Jinja's own, which escapes for HTML and sorts keys."""
    fuel = fuel_of(context)
    fuel.pay(STEP + 6 * fuel.measure(value))
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, default=_json_default
    )
    if indent is None and separators is None:
        return encoder.encode(value)
    width = indent if isinstance(indent, int) else len(indent or "")
    if width > MAX_INDENT:
        raise TooExpensive(f"JSON is indented by {width}, more than {MAX_INDENT}")
    # Here a little value may become a long text, so each piece pays.
    pieces: list[str] = []
    for piece in encoder.iterencode(value):
        fuel.pay(4 * len(piece))
        pieces.append(piece)
    return "".join(pieces)


def _json_default(value: Any) -> Any:
    # What llama.cpp's Jinja makes of them, where Python's refuses: `map` without `list`, and nothing at all.
    if isinstance(value, GeneratorType):
        return list(value)
    if isinstance(value, Undefined):
        return None
    raise TypeError(f"a value of type {type(value).__name__} has no JSON")


@pass_context
def _from_json(context: Context, text: str) -> Any:
    """llama.cpp's."""
    fuel_of(context).pay(32 * len(text))  # the smallest JSON of much memory is [{},{},{},…]
    return json.loads(text)


def _raise_exception(message: str) -> None:
    raise TemplateError(str(message))


def _strftime_now(form: str) -> str:
    # C libraries take a width between the sign and the letter.
    if re.search(r"%[^A-Za-z%]*[0-9]", form):
        raise TemplateError(f"{form!r} is no format of a time")
    return datetime.now().astimezone().strftime(form)


_SANDBOX = Sandbox(
    filters={"tojson": _to_json, "from_json": _from_json, "fromjson": _from_json},
    functions={"raise_exception": _raise_exception, "strftime_now": _strftime_now},
)
