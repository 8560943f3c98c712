"""Does a text follow a grammar, where does it stop, and what must come next?

A place is a node of the grammar's network and a stack of nodes to return to.
All places are followed at once; equal stacks are one object, and so are equal
sets of places: a `State`.  What follows a state is worked out once, so that a
grammar becomes a deterministic automaton as far as texts have walked it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from power.grammar import charset
from power.grammar.errors import TooLarge
from power.grammar.expressions import Expr
from power.grammar.network import MAX_NODES, RETURN, Network
from power.grammar.parsing import Grammar
from power.grammar.printing import print_chars

MAX_PLACES = 20_000  # at the same time; only a very ambiguous grammar gets there
MAX_REMEMBERED = 2000  # characters by which a state knows what follows; the others are worked out again
MAX_FORCED = 200  # characters looked ahead


class Mismatch(msgspec.Struct, frozen=True):
    """Where a text left the grammar: the index of the first character that did not fit, and what would have."""

    at: int
    expected: tuple[str, ...]
    is_end_expected: bool


class Stack:
    """A node to return to, and what is below it; equal stacks are the same object."""

    __slots__ = ("_above", "below", "node")

    def __init__(self, node: int, below: Stack | None) -> None:
        self.node = node
        self.below = below
        self._above: dict[int, Stack] = {}

    def push(self, node: int) -> Stack:
        above = self._above.get(node)
        if above is None:
            above = self._above[node] = Stack(node, self)
        return above


Place = tuple[int, Stack]


class State:
    """Where a text may be in a grammar; of one machine, equal ones are the same object.

    Attributes:
        places: those that read a character, and the end if it may be here.
        reads: what they read.
        may_end: whether the text so far is a whole text of the grammar.
    """

    __slots__ = ("_following", "_forced", "_machine", "may_end", "places", "reads")

    def __init__(self, machine: Machine, places: tuple[Place, ...]) -> None:
        self._machine = machine
        chars = machine.network.chars
        self.places = places
        self.reads = tuple(sorted({ranges for node, _ in places if (ranges := chars[node]) is not None}))
        self.may_end = any(node == RETURN for node, _ in places)
        self._following: dict[int, State | None] = {}
        self._forced: str | None = None

    def __repr__(self) -> str:
        return f"<State of {len(self.places)} places>"

    @property
    def must_end(self) -> bool:
        """Whether no character can come any more."""
        return not self.reads

    def after(self, char: str) -> State | None:
        """The state after one more character; None if no text of the grammar goes on like this.

        Raises:
            TooLarge: the grammar is too ambiguous to follow, or has had too many states.
        """
        point = ord(char)
        try:
            return self._following[point]
        except KeyError:
            if len(self._following) >= MAX_REMEMBERED:
                self._following.clear()
            following = self._following[point] = self._machine.move(self, point)
            return following

    @property
    def forced(self) -> str:
        """The characters that must come next, up to the first choice, which the end is, too. Raises like `after`."""
        if self._forced is None:
            text, state = "", self
            while len(text) < MAX_FORCED and (char := state._only) is not None:
                following = state.after(char)
                if following is None:
                    raise AssertionError("a state does not read what it says it reads")
                text, state = text + char, following
            self._forced = text
        return self._forced

    @property
    def _only(self) -> str | None:
        """The one character that can come; None if there are more, or the end, or none."""
        if self.may_end or len(self.reads) != 1 or len(self.reads[0]) != 1:
            return None
        ((low, high),) = self.reads[0]
        return chr(low) if low == high else None


class Machine:
    """A grammar's states, made as they are asked for."""

    def __init__(
        self,
        rules: Mapping[str, Expr],
        *,
        max_nodes: int = MAX_NODES,
        max_places: int = MAX_PLACES,
        max_states: int | None = None,
    ) -> None:
        """Raises TooLarge like `State.after`. `max_states` None: no limit."""
        self.network = Network(rules, max_nodes)
        self._max_places = max_places
        self._max_states = max_states
        self._states: dict[frozenset[Place], State] = {}
        self.start = self._state([(self.network.start("root"), Stack(RETURN, None))])

    def __repr__(self) -> str:
        return f"<Machine of {len(self._states)} states>"

    @property
    def n_states(self) -> int:
        return len(self._states)

    def move(self, state: State, point: int) -> State | None:
        """What `State.after` remembers."""
        network = self.network
        moved = [
            (network.targets[node][0], stack)
            for node, stack in state.places
            if (ranges := network.chars[node]) is not None and charset.contains(ranges, point)
        ]
        return self._state(moved) if moved else None

    def _state(self, todo: list[Place]) -> State:
        places = self._closure(todo)
        key = frozenset(places)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = State(self, tuple(places))
            if self._max_states is not None and len(self._states) > self._max_states:
                raise TooLarge("the text has been in too many states of the grammar")
        return state

    def _closure(self, todo: list[Place]) -> list[Place]:
        """The places that read a character, and the end if it may be here."""
        network, seen, out = self.network, set(todo), []
        while todo:
            place = node, stack = todo.pop()
            if network.chars[node] is not None:
                out.append(place)
            elif node == RETURN:
                if stack.below is None:
                    out.append(place)
                else:
                    _add(todo, seen, [(stack.node, stack.below)])
            elif (name := network.calls[node]) is not None:
                after = network.targets[node][0]
                inner = stack if after == RETURN else stack.push(after)
                _add(todo, seen, [(network.start(name), inner)])
            else:
                _add(todo, seen, ((target, stack) for target in network.targets[node]))
            if len(seen) > self._max_places:
                raise TooLarge("the grammar is too ambiguous to follow")
        return out


def _add(todo: list[Place], seen: set[Place], places: Iterable[Place]) -> None:
    for place in places:
        if place not in seen:
            seen.add(place)
            todo.append(place)


class Acceptor:
    """Follows a text character by character; `feed` says whether the text so far is a beginning of the grammar's."""

    def __init__(self, grammar: Grammar) -> None:
        self._state = Machine(grammar.rules).start

    def __repr__(self) -> str:
        return f"<Acceptor in {self._state!r}>"

    def feed(self, char: str) -> bool:
        """Take one character; False if no text of the grammar goes on like this, and then nothing has changed."""
        following = self._state.after(char)
        self._state = following or self._state
        return following is not None

    @property
    def may_end(self) -> bool:
        """Whether the text so far is a whole text of the grammar."""
        return self._state.may_end

    def expected(self) -> tuple[str, ...]:
        """The character classes that may come next, as GBNF writes them."""
        return tuple(print_chars(ranges) for ranges in self._state.reads)


def mismatch(grammar: Grammar, text: str) -> Mismatch | None:
    """Where `text` leaves the grammar; None if it is one of its texts."""
    acceptor = Acceptor(grammar)
    for index, char in enumerate(text):
        if not acceptor.feed(char):
            return Mismatch(index, acceptor.expected(), acceptor.may_end)
    return None if acceptor.may_end else Mismatch(len(text), acceptor.expected(), False)
