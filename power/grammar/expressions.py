"""Grammar expressions: what GBNF can say, as values.

Constructors simplify; `NOTHING` matches no text and `EMPTY` the empty one.
They cross the wire to the worker as they are.
"""

from __future__ import annotations

import msgspec

from power.grammar.charset import Ranges


class Text(msgspec.Struct, frozen=True, cache_hash=True, gc=False, tag=True, array_like=True):
    """These characters, at least one."""

    text: str


class Chars(msgspec.Struct, frozen=True, cache_hash=True, gc=False, tag=True, array_like=True):
    """One character out of `ranges`."""

    ranges: Ranges


class Seq(msgspec.Struct, frozen=True, cache_hash=True, gc=False, tag=True, array_like=True):
    """One item after the other."""

    items: tuple[Expr, ...]


class Alt(msgspec.Struct, frozen=True, cache_hash=True, gc=False, tag=True, array_like=True):
    """Any of the options."""

    options: tuple[Expr, ...]


class Repeat(msgspec.Struct, frozen=True, cache_hash=True, gc=False, tag=True, array_like=True):
    """`item` from `low` to `high` times; `high` None means no end."""

    item: Expr
    low: int
    high: int | None


class Ref(msgspec.Struct, frozen=True, cache_hash=True, gc=False, tag=True, array_like=True):
    """What the rule of this name says."""

    name: str


Expr = Text | Chars | Seq | Alt | Repeat | Ref

NOTHING = Alt(())
EMPTY = Seq(())


def text(content: str) -> Expr:
    return Text(content) if content else EMPTY


def seq(*items: Expr) -> Expr:
    flat: list[Expr] = []
    for item in items:
        if item == NOTHING:
            return NOTHING
        for piece in item.items if isinstance(item, Seq) else (item,):
            last = flat[-1] if flat else None
            if isinstance(piece, Text) and isinstance(last, Text):
                flat[-1] = Text(last.text + piece.text)
            else:
                flat.append(piece)
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def alt(*options: Expr) -> Expr:
    flat: dict[Expr, None] = {}
    for option in options:
        flat |= dict.fromkeys(option.options) if isinstance(option, Alt) else {option: None}
    return next(iter(flat)) if len(flat) == 1 else Alt(tuple(flat))


def optional(item: Expr) -> Expr:
    return EMPTY if item in (NOTHING, EMPTY) else Repeat(item, 0, 1)
