"""What a parsed Go template is made of. The names are those of Go's text/template/parse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

Span = tuple[int, int]
"""Where in the template's text it stands: first character, and the one after its last."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    at: Span = (0, 0)


# -- operands --


class Dot(Node, frozen=True, kw_only=True):
    """`.`"""


class Nil(Node, frozen=True, kw_only=True):
    """`nil`, which is not a value to print or pipe."""


class Field(Node, frozen=True, kw_only=True):
    """`.A.B`"""

    names: tuple[str, ...]


class Variable(Node, frozen=True, kw_only=True):
    """`$x.A.B`; the name has its `$`."""

    name: str
    names: tuple[str, ...]


class Constant(Node, frozen=True, kw_only=True):
    """A string, number, character or truth value."""

    value: Any


class Function(Node, frozen=True, kw_only=True):
    name: str


class Chain(Node, frozen=True, kw_only=True):
    """`(pipeline).A.B`"""

    pipe: Pipe
    names: tuple[str, ...]


Operand = Dot | Nil | Field | Variable | Constant | Function | Chain


class Command(Node, frozen=True, kw_only=True):
    """A value, or a function and its arguments."""

    operands: tuple[Operand, ...]


class Pipe(Node, frozen=True, kw_only=True):
    """Commands, each of which gets the value of the one before as its last argument."""

    variables: tuple[str, ...] = ()  # that the value is given to
    declares: bool = False  # `:=` rather than `=`
    commands: tuple[Command, ...]


# -- what stands between texts --


class Text(Node, frozen=True, kw_only=True):
    text: str


class Action(Node, frozen=True, kw_only=True):
    pipe: Pipe


class Branch(Node, frozen=True, kw_only=True):
    """`if`, `with` or `range`."""

    keyword: str
    pipe: Pipe
    body: List
    orelse: List | None = None


class Call(Node, frozen=True, kw_only=True):
    """`{{template "name" pipeline}}`"""

    name: str
    pipe: Pipe | None


class Jump(Node, frozen=True, kw_only=True):
    """`break` or `continue`"""

    keyword: str


Item = Text | Action | Branch | Call | Jump


class List(Node, frozen=True, kw_only=True):
    items: tuple[Item, ...]


def walk(root: Node) -> Iterator[Node]:
    """The node and all that are in it, in the order of the text."""
    todo: list[Any] = [root]
    while todo:
        node = todo.pop()
        yield node
        children: list[Any] = []
        for name in node.__struct_fields__:
            value = getattr(node, name)
            children += [value] if isinstance(value, Node) else value if isinstance(value, tuple) else []
        todo += [child for child in reversed(children) if isinstance(child, Node)]
