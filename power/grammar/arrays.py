"""Arrays: items by position, how many, what they contain, and that none comes twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from power.grammar import languages as la
from power.grammar import shapes as sh
from power.grammar import terms as te
from power.grammar.errors import TooLarge
from power.grammar.expressions import EMPTY, NOTHING, Expr, Ref, Repeat, Text, alt, optional, seq
from power.grammar.sequences import COMMA, MAX_INLINE, State, write_list
from power.grammar.shapes import Items, Shape
from power.grammar.spelling import QUOTE, SPACE
from power.grammar.terms import FALSE, Term
from power.grammar.unlike import unlike_texts

if TYPE_CHECKING:
    from power.grammar.values import ValueWriter

Counts = tuple[int, ...]  # how often each `contains` has been met
MAX_IN_ANY_ORDER = 6  # values of `uniqueItems` items; more come in a fixed order
MAX_COUNTED = 3000
MAX_UNLIKE = 20  # unique items of any kind, where they are counted


class ArrayWriter:
    def __init__(self, values: ValueWriter) -> None:
        self._values = values

    def write(self, items: Items, hint: str) -> Expr:
        """The arrays as an expression; NOTHING if there surely are none."""
        body = self._list(items, hint)
        if body is NOTHING:
            return NOTHING
        if body is EMPTY:
            return seq(Text("["), SPACE, Text("]"))
        return seq(Text("["), SPACE, body, Text("]"))

    def _list(self, items: Items, hint: str) -> Expr:
        if items.unique is False:
            raise TooLarge("that items must not be unique cannot be said")
        if items.unique and (items.high is None or items.high > 1):
            return self._unique(items, hint)
        if items.contains:
            return self._finish(write_list(self._values.rules, self._counting(items, hint), f"{hint}-items"), items)
        return self._plain(items, hint)

    def _finish(self, body: Expr, items: Items) -> Expr:
        if body is NOTHING or body is EMPTY:
            return body
        return optional(seq(body.item, SPACE)) if _is_optional(body) else seq(body, SPACE)  # type: ignore[union-attr]

    def _plain(self, items: Items, hint: str) -> Expr:
        """Prefix items one within the other's option, then a repeat."""
        n_prefix = len(items.prefix) if items.high is None else min(len(items.prefix), items.high)
        rest = NOTHING if items.rest is FALSE or items.high == n_prefix else self._item(items.rest, hint)
        low, high = max(items.low - n_prefix, 0), None if items.high is None else items.high - n_prefix
        if n_prefix == 0:
            return self._repeat(rest, items.low, items.high)
        tail = self._values.rules.repeat(seq(COMMA, rest), low, high)
        for index in range(n_prefix - 1, -1, -1):
            item = self._item(items.prefix[index], hint)
            here = seq(item, tail)
            if index:
                here = NOTHING if here is NOTHING else seq(COMMA, here)
                tail = optional(here) if index >= items.low else here
                if index % MAX_INLINE == 0:
                    tail = self._values.rules.share(f"{hint}-items", tail)
            else:
                tail = NOTHING if here is NOTHING else seq(here, SPACE)
        return optional(tail) if items.low == 0 else tail

    def _repeat(self, item: Expr, low: int, high: int | None) -> Expr:
        if item is NOTHING or high == 0:
            return EMPTY if low == 0 else NOTHING
        more = self._values.rules.repeat(seq(COMMA, item), max(low - 1, 0), None if high is None else high - 1)
        body = seq(item, more, SPACE)
        return optional(body) if low == 0 else body

    def _item(self, term: Term, hint: str) -> Expr:
        return NOTHING if term is FALSE else self._values.value(term, f"{hint}-item")

    # Contains -------------------------------------------------------------------------------------------------

    def _counting(self, items: Items, hint: str) -> list[State]:
        """States are a position and how often each `contains` has been met, written from the end."""
        n_positions = max(len(items.prefix), items.low if items.high is None else items.high)
        tops = [low if high is None else _least(high, items.high) for _, low, high in items.contains]
        if (n_positions + 1) * prod(top + 1 for top in tops) > MAX_COUNTED:
            raise TooLarge(f"counting {n_positions} items and {max(tops)} of a kind takes too many states")
        states: list[State] = []
        numbers: dict[tuple[int, Counts], int] = {}
        for position in range(n_positions, -1, -1):
            # What follows has no count that is less, and so is written before.
            for counts in product(*(range(top, -1, -1) for top in tops)):
                numbers[position, counts] = number = len(states)
                following = min(position + 1, n_positions)
                steps = [
                    (item, numbers.get((following, after), number))
                    for item, after in self._steps(items, position, counts, hint)
                ]
                is_met = all(low <= count for count, (_, low, _) in zip(counts, items.contains, strict=True))
                states.append(State(tuple(steps), position >= items.low and is_met))
        return states

    def _steps(self, items: Items, position: int, counts: Counts, hint: str) -> list[tuple[Expr, Counts]]:
        """The items that may come here, and how often each term has been met after them."""
        if items.high is not None and position >= items.high:
            return []
        ways = product(*(_ways(count, *kind) for count, kind in zip(counts, items.contains, strict=True)))
        steps = [(te.every(items.item(position), *terms), after) for terms, after in map(_unzipped, ways)]
        written = [(self._item(term, hint), after) for term, after in steps]
        return [step for step in written if step[0] is not NOTHING]

    # Unique ---------------------------------------------------------------------------------------------------

    def _unique(self, items: Items, hint: str) -> Expr:
        values = self._values.finite(items.rest) if not items.prefix else None
        if values is None or items.contains:
            return self._unlike(items, hint)
        texts = [self._item(value, hint) for value in values]
        high = len(texts) if items.high is None else min(items.high, len(texts))
        if items.low > high:
            return NOTHING
        states = (
            _permutations(texts, items.low, high)
            if len(texts) <= MAX_IN_ANY_ORDER
            else _ascending(texts, items.low, high)
        )
        return self._finish(write_list(self._values.rules, states, f"{hint}-items"), items)

    def _unlike(self, items: Items, hint: str) -> Expr:
        """Items that are told apart by how they begin, in ascending or in descending order of that: from below."""
        if items.prefix or items.contains:
            raise TooLarge("'uniqueItems' beside a prefix or 'contains' cannot be said")
        shape = self._values.reader.expand(items.rest)
        if items.low <= 1 and items.high is None and (free := self._free_texts(shape)) is not None:
            body = seq(QUOTE, free, SPACE)
            return optional(body) if items.low == 0 else body
        texts = self._values.apart(shape, hint)
        high = None if items.high is None else min(items.high, MAX_UNLIKE)
        if items.low > MAX_UNLIKE:
            raise TooLarge(f"'uniqueItems' with more than {MAX_UNLIKE} items of any kind cannot be said")
        lists = [
            write_list(self._values.rules, _ascending(order, items.low, high), f"{hint}-items")
            for order in (texts, texts[::-1])
        ]
        return alt(*(self._finish(one, items) for one in lists))

    def _free_texts(self, shape: Shape) -> Expr | None:
        """Different texts, if the shape is of texts and any will do."""
        if shape.strings not in (la.ALL, la.length(1, None)) or not sh.is_only_texts(shape):
            return None
        self._values.rules.include(unlike_texts())
        return Ref("unlike" if shape.strings is la.ALL else "unlike-filled")


def _least(high: int, other: int | None) -> int:
    return high if other is None else min(high, other)


def _ways(count: int, term: Term, low: int, high: int | None) -> list[tuple[Term, int]]:
    """What the next item may be to one `contains`, and how often that has been met then."""
    if high is None:
        # Whether it is met is not asked once it has been met often enough, nor of an item that need not.
        return [(te.OPEN, count)] if count >= low else [(term, count + 1), (te.OPEN, count)]
    missed = (te.neg(term), count)
    return [missed, (term, count + 1)] if count < high else [missed]


def _unzipped(way: Sequence[tuple[Term, int]]) -> tuple[list[Term], Counts]:
    return [term for term, _ in way], tuple([count for _, count in way])


def _is_optional(body: Expr) -> bool:
    return isinstance(body, Repeat) and (body.low, body.high) == (0, 1)


def _permutations(texts: list[Expr], low: int, high: int) -> list[State]:
    """State numbers are sets of values that are left, as bits."""
    states = []
    for left in range(1 << len(texts)):
        n_taken = len(texts) - left.bit_count()
        steps = [(text, left & ~(1 << index)) for index, text in enumerate(texts) if left & (1 << index)]
        states.append(State(tuple(steps) if n_taken < high else (), n_taken >= low))
    return states


def _ascending(texts: list[Expr], low: int, high: int | None) -> list[State]:
    """Values in their order only: from below. What is counted stops at `low` where there is no `high`."""
    top = low if high is None else high
    states: list[State] = []
    numbers: dict[tuple[int, int], int] = {}
    for position in range(len(texts), -1, -1):
        for count in range(min(position, top), -1, -1):
            numbers[position, count] = len(states)
            steps: tuple[tuple[Expr, int], ...] = ()
            also = None
            if position < len(texts):
                if high is None or count < high:
                    steps = ((texts[position], numbers[position + 1, min(count + 1, top)]),)
                also = numbers[position + 1, count]
            states.append(State(steps, count >= low, also))
    return states
