"""Deterministic automata of languages, and the questions that need one.

States are derivatives; the alphabet is cut into classes of characters that the
language cannot tell apart.  Every construction is bounded in states.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from power.grammar import charset
from power.grammar import languages as la
from power.grammar.charset import LAST, Ranges
from power.grammar.errors import TooLarge

# An automaton of a pattern has rarely a hundred states; past this, a grammar of
# it would be slower to sample with than anybody waits for.
MAX_STATES = 2000
MAX_CLASSES = 300
MAX_ROUNDS = 40  # of telling states apart
MAX_STATES_TO_PROVE_EMPTY = 300


class Dfa(msgspec.Struct, frozen=True, gc=False):
    """`edges[state]` maps target states to the characters that lead there; state 0 is the start.

    Only states from which some accepting state can be reached are targets.
    """

    edges: tuple[dict[int, Ranges], ...]
    accepting: frozenset[int]

    @property
    def is_empty(self) -> bool:
        return not self.accepting


def classes(lang: la.Lang) -> list[Ranges]:
    """The alphabet, cut into sets whose members the language treats alike."""
    sets: dict[Ranges, None] = {}
    letters: set[int] = set()
    _collect(lang, sets, letters, set())
    points = {0}
    for ranges in sets:
        for low, high in ranges:
            points |= {low, high + 1}
    points |= letters | {letter + 1 for letter in letters}
    starts = sorted(point for point in points if point <= LAST)
    groups: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    distinct = list(sets)
    for start, following in zip(starts, [*starts[1:], LAST + 1], strict=True):
        letter = start if start in letters else -1
        signature = (letter, *(charset.contains(ranges, start) for ranges in distinct))
        groups.setdefault(signature, []).append((start, following - 1))
    if len(groups) > MAX_CLASSES:
        raise TooLarge(f"a text constraint tells more than {MAX_CLASSES} kinds of characters apart")
    return [charset.normal(ranges) for ranges in groups.values()]


def _collect(lang: la.Lang, sets: dict[Ranges, None], letters: set[int], seen: set[la.Lang]) -> None:
    if lang in seen:
        return
    seen.add(lang)
    match lang:
        case la.Chars():
            sets[lang.ranges] = None
        case la.Words():
            letters.update(ord(char) for text in lang.words for char in text)
        case la.Residue():
            letters.update(range(48, 58))
        case la.Cat() | la.Both():
            for part in lang.parts:
                _collect(part, sets, letters, seen)
        case la.Either():
            for part in lang.options:
                _collect(part, sets, letters, seen)
        case la.Not():
            _collect(lang.inner, sets, letters, seen)
        case la.Repeat():
            _collect(lang.item, sets, letters, seen)


def dfa_of(lang: la.Lang, max_states: int = MAX_STATES) -> Dfa:
    """The language's automaton.

    Raises:
        TooLarge: it would have more than `max_states` states.
    """
    states: dict[la.Lang, int] = {lang: 0}
    edges: list[dict[int, Ranges]] = []
    for state, following in _walk(lang, classes(lang), states, max_states):
        assert state == len(edges)
        edges.append(following)
    accepting = frozenset(number for state, number in states.items() if state.nullable)
    return minimal(_trimmed(edges, accepting))


def _walk(
    lang: la.Lang, alphabet: list[Ranges], states: dict[la.Lang, int], max_states: int
) -> Iterator[tuple[int, dict[int, Ranges]]]:
    todo = [lang]
    for state in todo:  # grows while it is walked
        following: dict[int, list[tuple[int, int]]] = {}
        for ranges in alphabet:
            target = la.derive(state, ranges[0][0])
            if target is la.NONE:
                continue
            if target not in states:
                states[target] = len(states)
                todo.append(target)
                if len(states) > max_states:
                    raise TooLarge(f"a text constraint needs more than {max_states} states")
            following.setdefault(states[target], []).extend(ranges)
        yield states[state], {target: charset.normal(ranges) for target, ranges in following.items()}


def _trimmed(edges: list[dict[int, Ranges]], accepting: frozenset[int]) -> Dfa:
    sources: dict[int, list[int]] = {}
    for state, following in enumerate(edges):
        for target in following:
            sources.setdefault(target, []).append(state)
    alive, todo = set(accepting), list(accepting)
    while todo:
        for state in sources.get(todo.pop(), ()):
            if state not in alive:
                alive.add(state)
                todo.append(state)
    return Dfa(tuple({t: r for t, r in following.items() if t in alive} for following in edges), accepting)


def minimal(dfa: Dfa) -> Dfa:
    """The same automaton, numbered from the start and without what cannot be reached from it.

    Equal states are joined (Moore), unless that takes long: in long chains each round tells only one more apart.
    """
    block = [int(state in dfa.accepting) for state in range(len(dfa.edges))]
    for _ in range(MAX_ROUNDS):
        signatures: dict[object, int] = {}
        finer = []
        for state, following in enumerate(dfa.edges):
            merged: dict[int, list[tuple[int, int]]] = {}
            for target, ranges in following.items():
                merged.setdefault(block[target], []).extend(ranges)
            outgoing = frozenset((target, charset.normal(ranges)) for target, ranges in merged.items())
            finer.append(signatures.setdefault((block[state], outgoing), len(signatures)))
        if len(signatures) == len(set(block)):
            return _quotient(dfa, finer)
        block = finer
    return _quotient(dfa, list(range(len(dfa.edges))))


def _quotient(dfa: Dfa, block: list[int]) -> Dfa:
    leader: dict[int, int] = {}
    for state, number in enumerate(block):
        leader.setdefault(number, state)
    numbers, edges = {block[0]: 0}, []
    todo = [block[0]]
    for number in todo:
        merged: dict[int, list[tuple[int, int]]] = {}
        for target, ranges in dfa.edges[leader[number]].items():
            if block[target] not in numbers:
                numbers[block[target]] = len(numbers)
                todo.append(block[target])
            merged.setdefault(numbers[block[target]], []).extend(ranges)
        edges.append({target: charset.normal(ranges) for target, ranges in merged.items()})
    accepting = frozenset(numbers[number] for number in todo if leader[number] in dfa.accepting)
    return Dfa(tuple(edges), accepting)


def with_length(dfa: Dfa, low: int, high: int | None, max_states: int = MAX_STATES) -> Dfa:
    """The texts of `dfa` that have `low` to `high` characters; a `high` too large to count to is lowered.

    Raises:
        TooLarge: not even the shortest such texts fit.
    """
    n_states = max(1, len(dfa.edges))
    if low * n_states > max_states:
        raise TooLarge(f"a text of at least {low} characters and this form needs more than {max_states} states")
    if high is not None:
        high = max(low, min(high, max_states // n_states))
    cap = low if high is None else high
    states, todo, edges = {(0, 0): 0}, [(0, 0)], []
    for state, count in todo:
        following = {}
        for target, ranges in dfa.edges[state].items() if high is None or count < high else ():
            place = (target, min(count + 1, cap) if high is None else count + 1)
            if place not in states:
                states[place] = len(states)
                todo.append(place)
            following[states[place]] = ranges
        edges.append(following)
    accepting = frozenset(n for (state, count), n in states.items() if state in dfa.accepting and count >= low)
    trimmed = _trimmed(edges, accepting)
    return _quotient(trimmed, list(range(len(edges))))


def is_empty(lang: la.Lang) -> bool:
    """Whether the language is surely empty; False also where that is too much work to know."""
    if lang.nullable:
        return False
    if not _needs_proof(lang):
        return lang is la.NONE
    states: dict[la.Lang, int] = {lang: 0}
    try:
        for _ in _walk(lang, classes(lang), states, MAX_STATES_TO_PROVE_EMPTY):
            if any(state.nullable for state in states):
                return False
    except TooLarge:
        return False
    return not any(state.nullable for state in states)


def _needs_proof(lang: la.Lang) -> bool:
    match lang:
        case la.Both():
            return True
        case la.Not():
            return not isinstance(lang.inner, la.Words)
        case la.Cat():
            return any(_needs_proof(part) for part in lang.parts)
        case la.Either():
            return all(_needs_proof(part) for part in lang.options)
        case la.Repeat():
            return lang.low > 0 and _needs_proof(lang.item)
    return False
