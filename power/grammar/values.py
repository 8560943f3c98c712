"""From terms to rules: the JSON texts of a shape.

Everything here is from below: what is written is valid, and where a grammar
cannot say all that is valid it says a useful part.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from power.grammar import languages as la
from power.grammar import numbers as nu
from power.grammar import shapes as sh
from power.grammar import spelling
from power.grammar import terms as te
from power.grammar.arrays import ArrayWriter
from power.grammar.errors import SchemaError, TooLarge
from power.grammar.expressions import NOTHING, Chars, Expr, Ref, Text, alt, seq
from power.grammar.objects import ObjectWriter
from power.grammar.reading import Reader
from power.grammar.rules import Rules
from power.grammar.shapes import Members, Shape
from power.grammar.spelling import QUOTE
from power.grammar.terms import Term
from power.grammar.texts import TextWriter

MAX_DEPTH = 30  # of values written within each other before the rest is put off
MAX_FINITE = 64
_WRITTEN_NUMBERS: dict[nu.Numbers, Expr] = {
    sh.NUMBERS: spelling.ANY_NUMBER,
    nu.INTEGERS: spelling.ANY_INTEGER,
}
_BOOLEANS = ((True, Text("true")), (False, Text("false")))
_NULL = Text("null")


class ValueWriter:
    """One rule per term, for as long as there are terms."""

    def __init__(self, reader: Reader, rules: Rules, *, closed: bool) -> None:
        self.reader = reader
        self.rules = rules
        self.closed = closed
        self.strings = TextWriter(rules)
        self._plain = TextWriter(rules, Chars, str)
        self._refs: dict[Term, Expr] = {}
        self._later: list[tuple[Term, str]] = []
        self._depth = 0
        self._arrays = ArrayWriter(self)
        self._objects = ObjectWriter(self)

    def write_root(self, term: Term) -> None:
        """The rule `root`, and all that it needs."""
        self.rules.bodies["root"] = self.value(term, "top")
        while self._later:
            later, name = self._later.pop()
            self.rules.define(name, self._body(later, name))

    def value(self, term: Term, hint: str) -> Expr:
        """What to write for a value of the term, mostly the name of a rule."""
        if isinstance(term, te.Always):
            return Ref("value")
        known = self._refs.get(term)
        if known is not None:
            self.rules.is_recursive |= isinstance(known, Ref) and known.name not in self.rules.bodies
            return known
        shape = self.reader.expand(term)
        if not shape.items and not shape.members:
            known = self.rules.share(hint, self._located(term, shape, hint))
        elif shape is sh.ALL:
            known = Ref("value")
        else:
            known = self._named(term, hint)
        self._refs[term] = known
        return known

    def _named(self, term: Term, hint: str) -> Expr:
        name = self.rules.reserve(hint)
        self._refs[term] = Ref(name)
        if self._depth >= MAX_DEPTH:
            self._later.append((term, name))
            self.rules.is_recursive = True
            return Ref(name)
        self._depth += 1
        try:
            return self.rules.define(name, self._body(term, name))
        finally:
            self._depth -= 1

    def _body(self, term: Term, hint: str) -> Expr:
        return self._located(term, self.reader.expand(term), hint)

    def _located(self, term: Term, shape: Shape, hint: str) -> Expr:
        try:
            return self._shape(shape, hint)
        except TooLarge as error:
            raise SchemaError(error.message, pointer=self.reader.pointer(term)) from error

    def _shape(self, shape: Shape, hint: str) -> Expr:
        # Loops, since most of them find nothing, and there is a frame to every comprehension.
        options: list[Expr] = []
        for members in shape.members:
            options.append(self._objects.write(members, hint))
        for items in shape.items:
            options.append(self._arrays.write(items, hint))
        if shape.strings is not la.NONE:
            options.append(self._string(shape.strings))
        for numbers in shape.numbers:
            options.append(_WRITTEN_NUMBERS.get(numbers) or self.number(numbers))
        for value, literal in _BOOLEANS:
            if value in shape.booleans:
                options.append(literal)
        if shape.null:
            options.append(_NULL)
        return alt(*options)

    def _string(self, lang: la.Lang) -> Expr:
        if lang is la.ALL:
            return spelling.STRING
        return seq(QUOTE, self.strings.write(lang), QUOTE)

    def number(self, numbers: nu.Numbers) -> Expr:
        return self._plain.write(nu.language(numbers))

    def apart(self, shape: Shape, hint: str) -> list[Expr]:
        """The values of a shape, cut into sets such that of two sets no values are equal."""
        texts = self.beginnings(shape)
        for members in shape.members if len(shape.members) == 1 else ():
            texts += self._objects_apart(members, hint)
        if len(shape.members) > 1:
            texts.append(alt(*(self._objects.write(one, hint) for one in shape.members)))
        texts.append(alt(*(self._arrays.write(one, hint) for one in shape.items)))
        return [self.rules.share(f"{hint}-item", text) for text in texts if text is not NOTHING]

    def _objects_apart(self, members: Members, hint: str) -> list[Expr]:
        """By the values of one declared member, rather of one that must be there; else all are one set."""
        found: list[tuple[bool, int, str, list[Expr]]] = []
        for name, term in members.named if not members.some else ():
            shape = self.reader.expand(term)
            if not shape.items and not shape.members:
                values = self.finite(term)
                texts = self.beginnings(shape) if values is None else [self.value(one, name) for one in values]
                found.append((name in members.required, len(texts), name, texts))
        if not found:
            return [self._objects.write(members, hint)]
        _, _, name, texts = max(found, key=lambda one: one[:2])
        return [self._objects.write_with(members, name, text, hint) for text in texts]

    def beginnings(self, shape: Shape) -> list[Expr]:
        """The scalars of a shape, cut into sets that begin differently."""
        texts: list[Expr] = [Text("null")] if shape.null else []
        texts += [Text(text) for text, value in (("false", False), ("true", True)) if value in shape.booleans]
        for sign in (nu.Numbers(high=Fraction(0), high_open=True, plain=True), nu.Numbers(low=Fraction(0), plain=True)):
            parts = [nu.intersection(one, sign) for one in shape.numbers]
            lang = la.either(*(nu.language(one) for one in parts if one is not None))
            for char in "-" if sign.high is not None else "0123456789":
                texts.append(seq(Text(char), self._plain.write(la.derive(lang, ord(char)))))
        if la.matches(shape.strings, ""):
            texts.append(Text('""'))
        for point in range(32, 127):
            rest = self.strings.write(la.derive(shape.strings, point))
            texts.append(seq(QUOTE, spelling.spell_chars(((point, point),)), rest, QUOTE))
        return [text for text in texts if text is not NOTHING]

    def finite(self, term: Term) -> list[Term] | None:
        """The values of a term one by one, if they are scalars and few."""
        shape = self.reader.expand(term)
        if shape.items or shape.members or any(one.among is None for one in shape.numbers):
            return None
        if shape.strings is not la.NONE and not isinstance(shape.strings, la.Words):
            return None
        texts = ["null"] if shape.null else []
        texts += [text for text, value in (("false", False), ("true", True)) if value in shape.booleans]
        among = {value for one in shape.numbers for value in one.among or () if nu.holds(one, value)}
        texts += [nu.canonical(value) for value in sorted(among)]
        if isinstance(shape.strings, la.Words):
            texts += [msgspec.json.encode(word).decode() for word in shape.strings.words]
        return [te.value(text) for text in texts] if len(texts) <= MAX_FINITE else None
