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

# The constructors below make no others like these two, so `is` finds them.
NOTHING = Alt(())
EMPTY = Seq(())


def text(content: str) -> Expr:
    return Text(content) if content else EMPTY


def seq(*items: Expr) -> Expr:
    flat: list[Expr] = []
    for item in items:
        if item is NOTHING:
            return NOTHING
        pieces = item.items if type(item) is Seq else (item,)
        if flat and pieces and type(pieces[0]) is Text and type(flat[-1]) is Text:
            flat[-1] = Text(flat[-1].text + pieces[0].text)
            flat += pieces[1:]
        else:
            flat += pieces  # of which no two that are texts are neighbours
    if len(flat) < 2:
        return flat[0] if flat else EMPTY
    return Seq(tuple(flat))


def alt(*options: Expr) -> Expr:
    """Any of the options; those that are NOTHING are none."""
    flat: dict[Expr, None] = {}
    for option in options:
        if type(option) is Alt:
            flat |= dict.fromkeys(option.options)
        else:
            flat[option] = None
    if len(flat) < 2:
        return next(iter(flat), NOTHING)
    return Alt(tuple(flat))


def optional(item: Expr) -> Expr:
    return EMPTY if item is NOTHING or item is EMPTY else Repeat(item, 0, 1)
