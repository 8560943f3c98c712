"""The shape of a term, and whether there is anything in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from power.grammar import automaton, keywords
from power.grammar import languages as la
from power.grammar import numbers as nu
from power.grammar import shapes as sh
from power.grammar import terms as te
from power.grammar.errors import PatternError, SchemaError, TooLarge
from power.grammar.reading import applied, arrays, objects, scalars, unevaluated
from power.grammar.schema import Document, Place
from power.grammar.shapes import Items, Members, Shape
from power.grammar.terms import FALSE, Term

MAX_CHAIN = 60  # of schemas that apply at the same place: `$ref` to `$ref`, `allOf` in `allOf`
MAX_WORK = 20_000  # places and combinations looked at; a real schema has some hundreds
MAX_DEPTH_TO_PROVE_EMPTY = 3

T = TypeVar("T")


class Reader:
    """Looks into terms; what was looked into is remembered."""

    def __init__(self, document: Document, *, refuse: bool = True) -> None:
        self.document = document
        self.refuse = refuse
        self.ignored: list[str] = []  # pointers of keywords that were left out
        self._shapes: dict[Term, Shape] = {}
        self._open: list[Term] = []
        self._proving: set[Term] = set()
        self._work = 0

    def expand(self, term: Term) -> Shape:
        """The shape of a term.

        Raises:
            SchemaError: something in it cannot be compiled.
        """
        known = self._shapes.get(term)
        if known is not None:
            return known
        self.count()
        if term in self._open or len(self._open) > MAX_CHAIN:
            raise SchemaError(
                "a schema refers to itself without ever saying anything", keyword="$ref", pointer=self.pointer(term)
            )
        self._open.append(term)
        try:
            shape = self._expand(term)
        except TooLarge as error:
            raise SchemaError(error.message, pointer=self.pointer(term)) from error
        finally:
            self._open.pop()
        self._shapes[term] = shape
        return shape

    def count(self) -> None:
        """One more thing that takes work."""
        self._work += 1
        if self._work > MAX_WORK:
            raise SchemaError(f"the schema makes more than {MAX_WORK} combinations", pointer=self.pointer(te.TRUE))

    def _expand(self, term: Term) -> Shape:
        match term:
            case te.At():
                return self._read(self.document.places[term.index])
            case te.Always():
                return sh.ALL
            case te.Never():
                return sh.EMPTY
            case te.Value():
                return scalars.of_value(json.loads(term.text))
            case te.Every():
                shape = sh.ALL
                for part in term.terms:
                    shape = sh.intersection(shape, self.expand(part))
                return self.pruned(shape)
            case te.Some():
                return sh.union(self.expand(part) for part in term.terms)
            case te.Neg():
                return self.pruned(sh.complement(self.expand(term.term)))
        raise AssertionError(term)

    def pointer(self, term: Term) -> str:
        """Where in the document the term, or what we are looking into, comes from."""
        for one in [term, *reversed(self._open)]:
            while isinstance(one, te.Every | te.Some | te.Neg):
                one = one.term if isinstance(one, te.Neg) else one.terms[0]
            if isinstance(one, te.At):
                return self.document.places[one.index].pointer
        return ""

    # One schema -----------------------------------------------------------------------------------------------

    def _read(self, place: Place) -> Shape:
        schema = place.schema
        if isinstance(schema, bool):
            return sh.ALL if schema else sh.EMPTY
        if "$ref" in schema and self.document.draft <= 7:
            return self._guarded(place, "$ref", lambda: applied.ref(self, place, "$ref"), sh.ALL)
        shape = self._plain(place)
        if not applied.KEYWORDS.isdisjoint(schema):
            for keyword, method in applied.METHODS.items():
                if keyword in schema:
                    more = self._guarded(place, keyword, partial(method, self, place, keyword), sh.ALL)
                    shape = sh.intersection(shape, more)
        if self.document.has_unevaluated:
            shape = unevaluated.restrict(self.document, place, shape)
        if not keywords.REFUSED.keys().isdisjoint(schema):
            for keyword in keywords.REFUSED.keys() & schema.keys():
                self._give_up("is not supported", place, keyword)
        return self.pruned(shape)

    def _plain(self, place: Place) -> Shape:
        """What `type` and the keywords of single types say."""
        schema = place.schema
        shape = scalars.of_type(place)
        for keyword in ("enum", "const"):
            if keyword in schema:
                values = self._guarded(place, keyword, partial(scalars.of_values, place, keyword), sh.ALL)
                shape = sh.intersection(shape, values)
        parts: dict[str, object] = {}
        if shape.numbers and not schema.keys().isdisjoint(scalars.OF_NUMBERS):
            numbers = scalars.numbers(place)
            parts["numbers"] = () if numbers is None else sh.product(shape.numbers, (numbers,), nu.intersection)
        if shape.strings is not la.NONE and not schema.keys().isdisjoint(scalars.OF_TEXTS):
            parts["strings"] = self._texts(place, shape.strings)
        if shape.items and not schema.keys().isdisjoint(arrays.KEYWORDS):
            items = arrays.items(self.document, place)
            parts["items"] = () if items is None else sh.product(shape.items, (items,), sh.intersection_of_items)
        if shape.members and not schema.keys().isdisjoint(objects.KEYWORDS):
            members = self._members(place)
            parts["members"] = sh.product(shape.members, members, sh.intersection_of_members)
        return msgspec.structs.replace(shape, **parts) if parts else shape

    def _texts(self, place: Place, lang: la.Lang) -> la.Lang:
        for keyword in scalars.OF_TEXTS:
            if keyword in place.schema:
                lang = la.both(lang, self._guarded(place, keyword, partial(scalars.texts, place, keyword), la.ALL))
        return lang

    def _members(self, place: Place) -> tuple[Members, ...]:
        members = objects.members(self.document, place)
        found: Members | None = members
        if place.schema.get("patternProperties"):
            read = partial(objects.with_patterns, self.document, place, members)
            found = self._guarded(place, "patternProperties", read, found)
        if "propertyNames" in place.schema and found is not None:
            named = self._guarded(place, "propertyNames", lambda: self._with_names(place), sh.MEMBERS)
            found = sh.intersection_of_members(found, named)
        found = found and sh.tidy_members(found)
        return () if found is None else (found,)

    def _with_names(self, place: Place) -> Members:
        term = self.document.term(place.schema["propertyNames"], place, "propertyNames")
        names = self.expand(term).strings
        return sh.MEMBERS if names is la.ALL else objects.with_names(names)

    def _guarded(self, place: Place, keyword: str, read: Callable[[], T], otherwise: T) -> T:
        """What a keyword says; where it cannot be compiled, an error that names it, or `otherwise`."""
        try:
            return read()
        except (TooLarge, PatternError) as error:
            self._give_up(error.message, place, keyword)
        except SchemaError:
            if self.refuse:
                raise
            self.ignored.append(f"{place.pointer}/{keyword}")
        return otherwise

    def _give_up(self, message: str, place: Place, keyword: str) -> None:
        where = f"{place.pointer}/{keyword}"
        if self.refuse:
            raise SchemaError(f"{keyword!r}: {message}", keyword=keyword, pointer=where)
        self.ignored.append(where)

    # Emptiness ------------------------------------------------------------------------------------------------

    def is_empty(self, term: Term, depth: int = MAX_DEPTH_TO_PROVE_EMPTY) -> bool:
        """Whether no value is valid there, for sure; False also where proving it would take too long."""
        if isinstance(term, te.Always | te.Value) or depth == 0 or term in self._open or term in self._proving:
            return term is FALSE
        self._proving.add(term)
        try:
            return self.is_empty_shape(self.expand(term), depth)
        finally:
            self._proving.discard(term)

    def is_empty_shape(self, shape: Shape, depth: int = MAX_DEPTH_TO_PROVE_EMPTY) -> bool:
        if shape.null or shape.booleans or (shape.strings is not la.NONE and not automaton.is_empty(shape.strings)):
            return False
        return (
            all(self._no_numbers(one) for one in shape.numbers)
            and all(self._no_arrays(one, depth - 1) for one in shape.items)
            and all(self._no_objects(one, depth - 1) for one in shape.members)
        )

    def _no_numbers(self, numbers: nu.Numbers) -> bool:
        if numbers.among is not None:
            return not any(nu.holds(numbers, value) for value in numbers.among)
        return False

    def _no_arrays(self, items: Items, depth: int) -> bool:
        return items.low > 0 and (
            any(self.is_empty(term, depth) for term in items.prefix[: items.low])
            or (items.low > len(items.prefix) and self.is_empty(items.rest, depth))
        )

    def _no_objects(self, members: Members, depth: int) -> bool:
        return bool(members.required) and any(self.is_empty(members.under(name), depth) for name in members.required)

    def pruned(self, shape: Shape) -> Shape:
        """The shape without alternatives that are surely empty."""
        if len(shape.items) + len(shape.members) + len(shape.numbers) < 2:
            return shape
        items = tuple([one for one in shape.items if not self._no_arrays(one, 1)])
        members = tuple([one for one in shape.members if not self._no_objects(one, 1)])
        if len(items) == len(shape.items) and len(members) == len(shape.members):
            return shape
        return msgspec.structs.replace(shape, items=items, members=members)
