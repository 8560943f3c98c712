"""Chat templates: Jinja, as Hugging Face's `apply_chat_template` runs it, on a leash.

A template comes with a model file from anywhere, so it is hostile until proven
otherwise.  It runs in Jinja's immutable sandbox (no private attributes, nothing
of ours to change), and it is bounded: every turn of a loop and every macro call
is a step of `MAX_STEPS`, `range` is short, and no text grows beyond `MAX_TEXT`,
be it the output or a value on the way (`*`, `+`, `~` are checked).
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import GeneratorType
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from power.errors import BadRequest

MAX_TEMPLATE = 2**20  # characters; the largest known has 30,000
MAX_STEPS = 1_000_000  # well under a second; a long conversation with many tools takes some 10,000
MAX_TEXT = 2**24  # characters; no context window holds as many tokens

# Where the count lies in a rendering's own variables: no template can spell this name.
_STEPS = "steps left"


class ChatTemplate:
    """A compiled template. Rendering changes nothing, so one may serve many threads."""

    def __init__(self, text: str) -> None:
        """Raises BadRequest if `text` is not a template; the message names what and the line."""
        if len(text) > MAX_TEMPLATE:
            raise BadRequest(f"the chat template has {len(text)} characters, more than {MAX_TEMPLATE}")
        self.text = text
        try:
            self._template = _ENVIRONMENT.from_string(text)
        except TemplateSyntaxError as error:
            raise _failure(error.message or "syntax error", error.lineno) from error
        except (RecursionError, MemoryError, ValueError, OverflowError) as error:
            raise _failure(f"it cannot be compiled: {error}", None) from error

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text for these variables, which templates may read but not change.

        Raises:
            BadRequest: the template refuses them, fails on them, or asks for too much.
        """
        pieces: list[str] = []
        left = MAX_TEXT
        try:
            for piece in self._template.generate({**variables, _STEPS: [MAX_STEPS]}):
                left -= len(piece)
                if left < 0:
                    raise SecurityError(f"the output has more than {MAX_TEXT} characters")
                pieces.append(piece)
        except Exception as error:  # whatever foreign code may raise
            raise _failure(_reason(error), _line(error), "messages") from error
        return "".join(pieces)


@lru_cache(maxsize=64)
def compile_template(text: str) -> ChatTemplate:
    """The template, compiled once for as long as it is among the last few used."""
    return ChatTemplate(text)


def _failure(what: str, line: int | None, field: str | None = None) -> BadRequest:
    return BadRequest(f"chat template{'' if line is None else f', line {line}'}: {what}", field=field)


def _reason(error: Exception) -> str:
    if isinstance(error, TemplateError):
        return error.message or type(error).__name__
    return f"{type(error).__name__}: {error}"


def _line(error: Exception) -> int | None:
    """The template's line: Jinja rewrites tracebacks so that frames in it carry its own numbers."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == "<template>"), None)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with steps counted and growing texts checked."""

    intercepted_binops = frozenset(["*", "+", "**"])

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        leashed: nodes.Template = _Leash().visit(tree)
        return leashed

    @staticmethod
    @pass_context
    def take_step(context: Context) -> None:
        left: list[int] = context.parent[_STEPS]
        left[0] -= 1
        if left[0] < 0:
            raise SecurityError(f"it takes more than {MAX_STEPS} steps")

    @staticmethod
    def concatenate(*parts: Any) -> str:
        texts = [str(part) for part in parts]
        _check_size(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _check_size(_size_of(operator, left, right))
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        # Kimi-K2's templates collect messages this way. It changes lists made for
        # this rendering alone: `render_chat` hands in copies.
        if isinstance(obj, list) and attr in ("append", "pop"):
            return True
        return super().is_safe_attribute(obj, attr, value)


class _Leash(NodeTransformer):
    """Puts a step at the start of every loop's turn and macro's body, and a checked call for every `~`."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        return self._with_step(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._with_step(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._with_step(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        whole = self.generic_visit(node)
        return _call("concatenate", whole.nodes, node.lineno)  # type: ignore[attr-defined]

    def _with_step(self, node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
        step = nodes.ExprStmt(_call("take_step", [], node.lineno), lineno=node.lineno)
        node.body.insert(0, step)
        return self.generic_visit(node)


def _call(function: str, arguments: list[nodes.Expr], line: int) -> nodes.Call:
    """A call of the environment's own function, which no template can shadow with a variable."""
    name = nodes.EnvironmentAttribute(function, lineno=line)
    return nodes.Call(name, arguments, [], None, None, lineno=line)


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}`: marks what a trainer learns; here just its body."""

    tags = {"generation"}  # noqa: RUF012, as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _size_of(operator: str, left: Any, right: Any) -> int:
    """About how large the result will be: characters, items, or bits of an integer."""
    if operator == "+":
        return _length(left) + _length(right)
    if isinstance(left, int) and isinstance(right, int):
        n_bits = left.bit_length()
        # A million bits would be within the bound, and take seconds to multiply or print.
        return 1000 * (n_bits * right if operator == "**" else n_bits + right.bit_length())
    if operator == "*":
        counts = [value for value in (left, right) if isinstance(value, int)]
        return max([*counts, 0]) * max(_length(left), _length(right))
    return 0


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def _check_size(n: int) -> None:
    if n > MAX_TEXT:
        raise SecurityError(f"a value grows too large ({n}, where at most {MAX_TEXT} is allowed)")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Hugging Face's filter: not Jinja's own, which escapes for HTML and sorts keys."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_json_default,
    )


def _json_default(value: Any) -> Any:
    # What llama.cpp's Jinja makes of them, where Python's refuses: `map` without `list`, and nothing at all.
    if isinstance(value, GeneratorType):
        return list(value)
    if isinstance(value, Undefined):
        return None
    raise TypeError(f"a value of type {type(value).__name__} has no JSON")


def _raise_exception(message: str) -> None:
    raise TemplateError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _environment() -> _Environment:
    environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.filters["from_json"] = environment.filters["fromjson"] = json.loads
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


_ENVIRONMENT = _environment()
