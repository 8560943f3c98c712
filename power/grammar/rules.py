"""The rules of a grammar in the making: equal expressions share a rule, and repeats stay small.

llama.cpp writes a bounded repeat out as one rule per repetition, and refuses
more than 2000.  Longer ones are built of blocks here -- `x{0,1000}` is blocks of
sixteen, and blocks of those -- at the price of one more place at a time in
which the engine may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from power.grammar.errors import TooLarge
from power.grammar.expressions import (
    EMPTY,
    NOTHING,
    Alt,
    Chars,
    Expr,
    Ref,
    Repeat,
    Seq,
    Text,
    alt,
    optional,
    seq,
)
from power.grammar.spelling import SHARED

MAX_RULES = 20_000
# Repeats up to this many are left to llama.cpp, which then is always in one place only.
MAX_WRITTEN_OUT = 64
BLOCK = 16
MAX_GROUPS = 4  # times that a group is repeated without getting a name


RESERVED = frozenset(["root", *SHARED])
_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9]+")


class Rules:
    """Named expressions; `root` is the first."""

    def __init__(self) -> None:
        self.bodies: dict[str, Expr] = {}
        self._names: dict[Expr, str] = {}
        self._last: dict[str, int] = dict.fromkeys(RESERVED, 1)
        # Whether some rule was referred to before it was defined; only then can a rule have no texts.
        self.is_recursive = False

    def include(self, bodies: Mapping[str, Expr]) -> None:
        """Rules that come with their names."""
        if next(iter(bodies)) not in self.bodies:
            self.bodies.update(bodies)

    def reserve(self, hint: str) -> str:
        """A new name like `hint`, for a rule to be defined later."""
        base = _name_like(hint)
        number = self._last.get(base, 0)
        self._last[base] = number + 1
        name = f"{base}-{number}" if number else base
        # `a-1` may have been asked for by that name.
        if name in self._last and number:
            return self.reserve(hint)
        self._last.setdefault(name, 1)
        return name

    def define(self, name: str, body: Expr) -> Expr:
        """Say what a reserved name means, and return what to refer to it by; an equal rule is shared."""
        if len(self.bodies) > MAX_RULES:
            raise TooLarge(f"the grammar needs more than {MAX_RULES} rules")
        if body is NOTHING:
            self.bodies[name] = body
            return body
        known = self._names.setdefault(body, name)
        self.bodies[name] = body if known == name else Ref(known)
        return Ref(known)

    def share(self, hint: str, body: Expr) -> Expr:
        """The expression, as a rule of its own if it is more than a few characters."""
        if type(body) is Ref or type(body) is Text or body is EMPTY or body is NOTHING:
            return body
        known = self._names.get(body)
        return Ref(known) if known is not None else self.define(self.reserve(hint), body)

    def repeat(self, item: Expr, low: int, high: int | None) -> Expr:
        """`item`, which is not nullable, from `low` to `high` times."""
        if item is NOTHING:
            return EMPTY if low == 0 else NOTHING
        if high == 0:
            return EMPTY
        if low == high == 1:
            return item
        if not isinstance(item, Chars | Ref) and ((high or low) > MAX_GROUPS):
            item = self.share("group", item)
        if high is None:
            return Repeat(item, low, None) if low <= 1 else seq(self._exactly(item, low), Repeat(item, 0, None))
        if high <= MAX_WRITTEN_OUT:
            return Repeat(item, low, high)
        return seq(self._exactly(item, low), self._at_most(item, high - low))

    def _exactly(self, item: Expr, count: int) -> Expr:
        if count <= MAX_WRITTEN_OUT:
            return EMPTY if count == 0 else item if count == 1 else Repeat(item, count, count)
        block = self.share("block", Repeat(item, BLOCK, BLOCK))
        return seq(self._exactly(block, count // BLOCK), self._exactly(item, count % BLOCK))

    def _at_most(self, item: Expr, count: int) -> Expr:
        if count <= MAX_WRITTEN_OUT:
            return EMPTY if count == 0 else Repeat(item, 0, count)
        block = self.share("block", Repeat(item, BLOCK, BLOCK))
        n_blocks = count // BLOCK - 1
        return seq(self._at_most(block, n_blocks), self._at_most(item, count - n_blocks * BLOCK))


@lru_cache(maxsize=4000)
def _name_like(hint: str) -> str:
    """Letters, digits and hyphens; names in `part-` are the printer's, and those in `u-` come with their rules."""
    if not (hint.isascii() and hint.isalnum()):
        hint = _UNNAMEABLE.sub("-", hint)[:40].strip("-") or "x"
    base = hint[:40].lower()
    return base + "-" if base == "u" or base.startswith(("part", "unlike", "u-")) else base


def without_unproductive(bodies: dict[str, Expr]) -> dict[str, Expr]:
    """The rules without those, and without the parts of others, that no text ever ends."""
    bodies = {**SHARED, **bodies}
    productive = _productive(bodies, {name: references(body) for name, body in bodies.items()})
    if len(productive) == len(bodies):
        return bodies
    return {name: _pruned(body, productive) if name in productive else NOTHING for name, body in bodies.items()}


def references(body: Expr) -> set[str]:
    out: set[str] = set()
    todo = [body]
    while todo:
        one = todo.pop()
        match one:
            case Ref():
                out.add(one.name)
            case Seq():
                todo += one.items
            case Alt():
                todo += one.options
            case Repeat():
                todo.append(one.item)
    return out


def _productive(bodies: dict[str, Expr], used: dict[str, set[str]]) -> set[str]:
    """The rules from which some text can be made: the least fixed point."""
    users: dict[str, list[str]] = {}
    for name in bodies:
        for one in used[name]:
            users.setdefault(one, []).append(name)
    found: set[str] = set()
    todo = list(bodies)[::-1]
    while todo:
        name = todo.pop()
        if name not in found and name in bodies and _makes_text(bodies[name], found):
            found.add(name)
            todo += users.get(name, ())
    return found


def _makes_text(body: Expr, productive: set[str]) -> bool:
    match body:
        case Ref():
            return body.name in productive
        case Seq():
            return all(_makes_text(item, productive) for item in body.items)
        case Alt():
            return any(_makes_text(option, productive) for option in body.options)
        case Repeat():
            return body.low == 0 or _makes_text(body.item, productive)
        case Chars():
            return bool(body.ranges)
    return True  # a text


def _pruned(body: Expr, productive: set[str]) -> Expr:
    match body:
        case Ref():
            return body if body.name in productive else NOTHING
        case Seq():
            return seq(*(_pruned(item, productive) for item in body.items))
        case Alt():
            options = [_pruned(option, productive) for option in body.options]
            return alt(*options)
        case Repeat():
            item = _pruned(body.item, productive)
            if item is NOTHING:
                return EMPTY if body.low == 0 else NOTHING
            return optional(item) if (body.low, body.high) == (0, 1) else Repeat(item, body.low, body.high)
    return body
