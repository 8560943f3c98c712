"""Regular languages as grammar expressions.

A language without intersections and complements is written as it is built.
Otherwise its automaton is, one right-linear rule per state: the engine is then
in one place at a time, and its stack does not grow.
"""

from __future__ import annotations

from collections.abc import Callable

from power.grammar import automaton, charset
from power.grammar import languages as la
from power.grammar.automaton import Dfa
from power.grammar.charset import Ranges
from power.grammar.expressions import EMPTY, NOTHING, Expr, Ref, alt, optional, seq, text
from power.grammar.rules import Rules
from power.grammar.spelling import spell_chars, spell_text

MAX_INLINE = 12  # states that follow each other within one rule


class TextWriter:
    """Writes languages with one spelling: of JSON strings, or of plain text."""

    def __init__(
        self,
        rules: Rules,
        spell_chars: Callable[[Ranges], Expr] = spell_chars,
        spell_text: Callable[[str], str] = spell_text,
    ) -> None:
        self._rules = rules
        self._chars = spell_chars
        self._text = spell_text
        self._known: dict[la.Lang, Expr] = {}

    def write(self, lang: la.Lang) -> Expr:
        """The language as an expression, or NOTHING if it surely is empty.

        Raises:
            TooLarge: it needs an automaton of too many states.
        """
        known = self._known.get(lang)
        if known is None:
            known = self._known[lang] = self._write(lang)
        return known

    def _write(self, lang: la.Lang) -> Expr:
        match lang:
            case la.Chars():
                return self._chars(lang.ranges) if lang.ranges else NOTHING
            case la.Words():
                return self._words(list(lang.words))
            case la.Cat():
                return seq(*(self.write(part) for part in lang.parts))
            case la.Either():
                return alt(*map(self.write, lang.options))
            case la.Repeat():
                if lang.item.nullable:
                    return self.write(la.repeat(la.nonempty(lang.item), 0, lang.high))
                return self._rules.repeat(self.write(lang.item), lang.low, lang.high)
            case la.Both():
                return self._both(lang)
            case la.Not() if isinstance(lang.inner, la.Words):
                return self._automaton(_all_but(lang.inner.words))
        return self._automaton(automaton.dfa_of(lang))

    def _both(self, lang: la.Both) -> Expr:
        bounds = [part for part in lang.parts if isinstance(part, la.Repeat) and part.item == la.ANY]
        rest = la.both(*(part for part in lang.parts if part not in bounds))
        if not bounds:
            return self._automaton(automaton.dfa_of(lang))
        low, high = bounds[0].low, bounds[0].high
        fitted = fitted_to_length(rest, low, high)
        if fitted is not None:
            return self.write(fitted)
        return self._automaton(automaton.with_length(automaton.dfa_of(rest), low, high))

    def _words(self, words: list[str]) -> Expr:
        """A trie where there are many, so that the engine is not in as many places as there are words."""
        if words[0] == "":
            return optional(self._words(words[1:])) if words[1:] else EMPTY
        if len(words) <= 3:
            return alt(*(text(self._text(word)) for word in words))
        groups: dict[str, list[str]] = {}
        for word in words:
            groups.setdefault(word[0], []).append(word)
        return alt(*(self._group(group) for group in groups.values()))

    def _group(self, words: list[str]) -> Expr:
        first, last = words[0], words[-1]  # sorted, so what these two share, all do
        n_shared = next(
            (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
        )
        rest = [word[n_shared:] for word in words]
        return seq(text(self._text(first[:n_shared])), self._words(rest) if rest != [""] else EMPTY)

    def _automaton(self, dfa: Dfa) -> Expr:
        return NOTHING if dfa.is_empty else _AutomatonWriter(self._rules, self._chars, dfa).write(0, 0)


class _AutomatonWriter:
    """States as rules; a state that only one other leads to is written where it is needed."""

    def __init__(self, rules: Rules, spell: Callable[[Ranges], Expr], dfa: Dfa) -> None:
        self._rules = rules
        self._spell = spell
        self._dfa = dfa
        self._names: dict[int, str] = {}
        self._todo: list[int] = []
        self._sources = [0] * len(dfa.edges)
        for following in dfa.edges:
            for target in following:
                self._sources[target] += 1

    def write(self, state: int, depth: int) -> Expr:
        out = self._state(state, depth)
        while self._todo:
            target = self._todo.pop()
            self._rules.define(self._names[target], self._body(target, 0))
        return out

    def _state(self, state: int, depth: int) -> Expr:
        following = self._dfa.edges[state]
        if not following:
            return EMPTY
        if set(following) == {state} and state in self._dfa.accepting:
            return self._rules.repeat(self._spell(following[state]), 0, None)
        if depth < MAX_INLINE and self._sources[state] <= (state != 0):
            return self._body(state, depth)
        if state not in self._names:
            self._names[state] = self._rules.reserve("state")
            self._todo.append(state)
        return Ref(self._names[state])

    def _body(self, state: int, depth: int) -> Expr:
        options = [
            seq(self._spell(ranges), self._state(target, depth + 1))
            for target, ranges in self._dfa.edges[state].items()
        ]
        body = alt(*options)
        return optional(body) if state in self._dfa.accepting else body


def _all_but(words: tuple[str, ...]) -> Dfa:
    """The automaton of every text but these: a trie whose every other way leads to anything at all."""
    children: list[dict[str, int]] = [{}]
    ends: set[int] = set()
    for word in words:
        state = 0
        for char in word:
            if char not in children[state]:
                children[state][char] = len(children)
                children.append({})
            state = children[state][char]
        ends.add(state)
    free = len(children)
    edges: list[dict[int, Ranges]] = []
    for following in children:
        out: dict[int, Ranges] = {target: charset.of(char) for char, target in following.items()}
        out[free] = charset.complement(charset.of("".join(following)))
        edges.append(out)
    edges.append({free: charset.ALL})
    return Dfa(tuple(edges), frozenset(set(range(free + 1)) - ends))


def fitted_to_length(lang: la.Lang, low: int, high: int | None) -> la.Lang | None:
    """The texts of `lang` with `low` to `high` characters, if only one of its repeats has to be changed for it."""
    least, most = la.lengths(lang)
    if low <= least and (high is None or (most is not None and most <= high)):
        return lang
    parts = lang.parts if isinstance(lang, la.Cat) else (lang,)
    loose = [index for index, part in enumerate(parts) if len(set(la.lengths(part))) > 1]
    if len(loose) != 1:
        return None
    part = parts[loose[0]]
    if not isinstance(part, la.Repeat) or part.item.nullable or la.lengths(part.item) != (1, 1):
        return None
    fixed = sum(la.lengths(other)[0] for other in parts) - la.lengths(part)[0]
    bounds = [bound for bound in (part.high, None if high is None else high - fixed) if bound is not None]
    least, most = max(part.low, low - fixed), min(bounds) if bounds else None
    if most is not None and most < least:
        return la.NONE
    return la.cat(*parts[: loose[0]], la.repeat(part.item, least, most), *parts[loose[0] + 1 :])
