"""From text to nodes, with Lark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec
from lark import Lark, Token, Transformer_NonRecursive, UnexpectedInput
from lark.exceptions import VisitError

from power.errors import BadRequest
from power.prompt.gotemplate import literals
from power.prompt.gotemplate.check import check
from power.prompt.gotemplate.complaints import SPACE, complaint
from power.prompt.gotemplate.errors import GoTemplateError, parse_error
from power.prompt.gotemplate.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Function,
    Item,
    Jump,
    List,
    Nil,
    Operand,
    Pipe,
    Span,
    Text,
    Variable,
    walk,
)

MAX_TEMPLATE = 2**16  # characters; those of Ollama's library have up to 10,000
EMPTY = List(items=())


class GoTemplate(msgspec.Struct, frozen=True):
    """A parsed template and those it defines."""

    text: str
    root: List
    defined: Mapping[str, List]

    @property
    def variables(self) -> frozenset[str]:
        """Every field and variable that is named anywhere, in lower case: what Ollama decides by."""
        found: set[str] = set()
        for tree in (self.root, *self.defined.values()):
            for node in walk(tree):
                if isinstance(node, Field | Variable | Chain):
                    found.update(node.names)
                if isinstance(node, Variable):
                    found.add(node.name)
        return frozenset(name.lower() for name in found)


@lru_cache(maxsize=64)
def parse(text: str) -> GoTemplate:
    """The template.

    Raises:
        GoTemplateError: it is none; the message names what, line and column.
        BadRequest: it is too long.
    """
    if len(text) > MAX_TEMPLATE:
        raise BadRequest(f"the template has {len(text)} characters, more than {MAX_TEMPLATE}", field="template")
    builder = _Builder(text)
    try:
        root: List = builder.transform(_parser().parse(text))
        template = GoTemplate(text, root, builder.defined)
        for tree in (root, *builder.defined.values()):
            check(text, tree)
    except UnexpectedInput as error:
        raise parse_error(text, *complaint(text, error)) from error
    except VisitError as error:
        if isinstance(error.orig_exc, GoTemplateError):
            raise error.orig_exc from None
        raise
    except RecursionError as error:
        raise parse_error(text, 0, "it is nested too deeply") from error
    return template


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("gotemplate.lark").read_text()
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=False)


def _span(parts: Sequence[Any]) -> Span:
    """From the first token or node to the last."""

    def bounds(part: Any) -> Span:
        return (part.start_pos or 0, part.end_pos or 0) if isinstance(part, Token) else (part.at[0], part.at[1])

    return bounds(parts[0])[0], bounds(parts[-1])[1]


class _Builder(Transformer_NonRecursive[Token, Any]):
    """Lark's tree into nodes, the innermost first."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.defined: dict[str, List] = {}

    # -- lists --

    def start(self, parts: list[Any]) -> List:
        return self._list(parts[0])

    def items(self, parts: list[Any]) -> list[Item]:
        return []

    def more(self, parts: list[Any]) -> list[Item]:
        items, node = parts
        if node is not None:
            items.append(node)
        return items  # type: ignore[no-any-return]

    def _list(self, items: list[Item]) -> List:
        return List(items=tuple(items), at=_span(items)) if items else EMPTY

    # -- items --

    def text(self, parts: list[Token]) -> Text | None:
        token = parts[0]
        start, end = token.start_pos or 0, token.end_pos or 0
        text = str(token)
        if self._text[:start].endswith(tuple(f"{space}-}}}}" for space in SPACE)):
            text = text.lstrip(SPACE)
        if self._text.startswith(tuple("{{-" + space for space in SPACE), end):
            text = text.rstrip(SPACE)
        return Text(text=text, at=(start, end)) if text else None

    def comment(self, parts: list[Any]) -> None:
        return None

    def action(self, parts: list[Any]) -> Action:
        return Action(pipe=parts[1], at=parts[1].at)

    def if_(self, parts: list[Any]) -> Branch:
        _, keyword, pipe, _, body, orelse = parts
        return Branch(keyword=str(keyword), pipe=pipe, body=self._list(body), orelse=orelse, at=pipe.at)

    with_ = range_ = if_

    def no_else(self, parts: list[Any]) -> None:
        return None

    def else_(self, parts: list[Any]) -> List:
        return self._list(parts[3])

    def else_if(self, parts: list[Any]) -> List:
        return self._list([self.if_([parts[0], *parts[2:]])])

    else_with = else_if

    def template(self, parts: list[Any]) -> Call:
        _, _, name, *pipe, _ = parts
        return Call(name=self._string(name), pipe=pipe[0] if pipe else None, at=_span([name]))

    def block(self, parts: list[Any]) -> Call:
        _, _, name, pipe, _, body, _ = parts
        self.defined[self._string(name)] = self._list(body)
        return Call(name=self._string(name), pipe=pipe, at=_span([name]))

    def define(self, parts: list[Any]) -> Text:
        _, _, name, _, body, _ = parts
        self.defined[self._string(name)] = self._list(body)
        # Kept so that `check` sees a definition that is not at the top, which Go refuses.
        return Text(text="", at=(parts[0].start_pos, -1))

    def break_(self, parts: list[Token]) -> Jump:
        return Jump(keyword=str(parts[1]), at=_span(parts))

    continue_ = break_

    # -- pipelines --

    def pipeline(self, parts: list[Any]) -> Pipe:
        return parts[0]  # type: ignore[no-any-return]

    def commands(self, parts: list[Any]) -> Pipe:
        commands = tuple(part for part in parts if isinstance(part, Command))
        return Pipe(commands=commands, at=_span(commands))

    def assign_one(self, parts: list[Any]) -> Pipe:
        *names, pipe = parts
        variables = tuple(name for name in names if name.type == "VARIABLE")
        for name in variables:
            if "." in name:
                raise parse_error(self._text, name.start_pos, f'unexpected "{name[name.index(".") :]}" in operand')
        declares = names[-1] == ":="
        return Pipe(
            variables=tuple(map(str, variables)), declares=declares, commands=pipe.commands, at=_span([names[0], pipe])
        )

    assign_two = assign_one

    def command(self, parts: list[Operand]) -> Command:
        return Command(operands=tuple(parts), at=_span(parts))

    # -- operands --

    def field(self, parts: list[Token]) -> Field:
        return Field(names=tuple(parts[0][1:].split(".")), at=_span(parts))

    def variable(self, parts: list[Token]) -> Variable:
        name, *names = parts[0].split(".")
        return Variable(name=name, names=tuple(names), at=_span(parts))

    def dot(self, parts: list[Token]) -> Dot:
        return Dot(at=_span(parts))

    def nil(self, parts: list[Token]) -> Nil:
        return Nil(at=_span(parts))

    def function(self, parts: list[Token]) -> Function:
        return Function(name=str(parts[0]), at=_span(parts))

    def truth(self, parts: list[Token]) -> Constant:
        return Constant(value=parts[0] == "true", at=_span(parts))

    def number(self, parts: list[Token]) -> Constant:
        return Constant(value=self._read(literals.read_number, parts[0]), at=_span(parts))

    def char(self, parts: list[Token]) -> Constant:
        return Constant(value=self._read(literals.read_char, parts[0]), at=_span(parts))

    def string(self, parts: list[Token]) -> Constant:
        return Constant(value=self._string(parts[0]), at=_span(parts))

    def parenthesized(self, parts: list[Any]) -> Chain:
        _, pipe, close = parts
        return Chain(pipe=pipe, names=tuple(close[2:].split(".")) if len(close) > 1 else (), at=_span(parts))

    def _string(self, token: Token) -> str:
        return self._read(literals.read_string, token)  # type: ignore[no-any-return]

    def _read(self, read: Any, token: Token) -> Any:
        try:
            return read(str(token))
        except (ValueError, OverflowError) as error:
            raise parse_error(self._text, token.start_pos or 0, str(error)) from error
