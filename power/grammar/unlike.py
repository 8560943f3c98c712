"""Texts of which no two are equal, in a list of any length.

A grammar cannot remember a text, but it can remember one character of it.  So
the first text chooses a place, and from there on every text has another kind of
character at that place than those before it: kinds come in ascending or in
descending order.  Which place that is need not be known before it is read.  Of
`python`, `pytorch`, `pandas` it is the third letter, of `item1`, `item2` the fifth.

The rules are the same for all schemas, and made once.
"""

from __future__ import annotations

from functools import cache

from power.grammar import charset
from power.grammar.expressions import EMPTY, NOTHING, Expr, Ref, Repeat, Text, alt, optional, seq
from power.grammar.spelling import PLAIN, QUOTE, SPACE, spell_chars

N_PLACES = 24  # a URL or a name with its namespace differs from the next within these
N_KINDS = 16  # by the last four bits: digits are kinds of their own, in order, and letters nearly so
LAST_TOLD = 0x4FF  # Latin, Greek and Cyrillic letters; those after are one kind
_NEXT = seq(Text(","), SPACE, QUOTE)
_REST = Ref("u-rest")

Bodies = dict[str, Expr]


@cache
def unlike_texts() -> Bodies:
    """The rules for one text or more, after the first one's opening quote; names are short, since there are many.

    `unlike` may begin with the empty text, `unlike-filled` has none.
    """
    bodies: Bodies = {"u-rest": seq(Repeat(PLAIN, 0, None), QUOTE)}
    for kind in range(N_KINDS):
        bodies[_kind(kind)] = spell_chars(_characters(kind))
    for place in range(2, N_PLACES):
        bodies[f"u-skip{place}"] = Repeat(PLAIN, place, place)
    later: Expr = _REST
    for place in range(N_PLACES - 1, -1, -1):
        # A text that ends before the place differs from all that do not, and is the first or the last.
        bodies[f"u-short{place}"] = seq(Repeat(PLAIN, 1, place), QUOTE) if place else QUOTE
        up = _at(place, "a", range(N_KINDS), NOTHING, bodies)
        down = _at(place, "z", range(N_KINDS)[::-1], Ref(f"u-short{place}"), bodies)
        if place == 0:
            filled = _at(place, "y", range(N_KINDS)[::-1], NOTHING, bodies)
            bodies["unlike-filled"] = alt(up, filled, seq(PLAIN, later))
        name = f"u-{place}" if place else "unlike"
        bodies[name] = alt(up, down, seq(PLAIN, later), seq(QUOTE, optional(seq(_NEXT, _skip(place), up))))
        later = Ref(name)
    return bodies


def _at(place: int, mark: str, kinds: range, last: Expr, bodies: Bodies) -> Expr:
    """Texts that go on at this place with the kinds in their order, and then `last`."""
    following: Expr = NOTHING
    for kind in reversed(kinds):
        more = seq(_NEXT, alt(seq(_skip(place), following), last))
        name = f"u-{place}{mark}{kind}"
        bodies[name] = alt(seq(Ref(_kind(kind)), _REST, optional(more)), following)
        following = Ref(name)
    return following


def _kind(kind: int) -> str:
    return f"u-kind{kind}"


def _skip(place: int) -> Expr:
    return Ref(f"u-skip{place}") if place > 1 else PLAIN if place else EMPTY


def _characters(kind: int) -> charset.Ranges:
    told = [(point, point) for point in range(32, LAST_TOLD) if point % N_KINDS == kind]
    others = [(0, 31), (LAST_TOLD, charset.LAST)] if kind == 0 else []
    return charset.normal([*told, *others])
