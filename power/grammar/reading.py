"""From the keywords of a schema to the shape of the values they allow.

Each keyword, or group of keywords that only make sense together, is one method
that returns a shape; a schema is the intersection of its keywords' shapes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import msgspec

from power.grammar import automaton, formats, keywords
from power.grammar import languages as la
from power.grammar import numbers as nu
from power.grammar import shapes as sh
from power.grammar import terms as te
from power.grammar.errors import PatternError, SchemaError, TooLarge
from power.grammar.pattern import search_language
from power.grammar.schema import Document, Place
from power.grammar.shapes import Items, Members, Shape
from power.grammar.terms import FALSE, OPEN, Term

MAX_CHAIN = 60  # of schemas that apply at the same place: `$ref` to `$ref`, `allOf` in `allOf`
MAX_WORK = 20_000  # places and combinations looked at; a real schema has some hundreds
MAX_DEPTH_TO_PROVE_EMPTY = 3

_TYPES = frozenset(["null", "boolean", "integer", "number", "string", "array", "object"])
_NUMERIC = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TEXTUAL = ("minLength", "maxLength", "pattern", "format")
_OF_ARRAYS = ("items", "prefixItems", "additionalItems", "minItems", "maxItems", "contains", "uniqueItems")
_OF_OBJECTS = (
    "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
    "maxProperties",
)  # fmt: skip
_APPLIED = (
    "$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "not", "if", "dependentRequired",
    "dependentSchemas", "dependencies",
)  # fmt: skip


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
        self._count()
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

    def _count(self) -> None:
        self._work += 1
        if self._work > MAX_WORK:
            raise SchemaError(f"the schema makes more than {MAX_WORK} combinations", pointer=self.pointer(te.TRUE))

    def _expand(self, term: Term) -> Shape:
        match term:
            case te.Always():
                return sh.ALL
            case te.Never():
                return sh.EMPTY
            case te.At():
                return self._read(self.document.places[term.index])
            case te.Value():
                return shape_of_value(json.loads(term.text))
            case te.Every():
                shape = sh.ALL
                for part in term.terms:
                    shape = sh.intersection(shape, self.expand(part))
                return self._pruned(shape)
            case te.Some():
                return sh.union(self.expand(part) for part in term.terms)
            case te.Neg():
                return self._pruned(sh.complement(self.expand(term.term)))
        raise AssertionError(term)

    def pointer(self, term: Term) -> str:
        """Where in the document the term, or what we are looking into, comes from."""
        for one in [term, *reversed(self._open)]:
            while isinstance(one, te.Every | te.Some | te.Neg):
                one = one.term if isinstance(one, te.Neg) else one.terms[0]
            if isinstance(one, te.At):
                return self.document.places[one.index].pointer
        return ""

    # Emptiness ------------------------------------------------------------------------------------------------

    def is_empty(self, term: Term, depth: int = MAX_DEPTH_TO_PROVE_EMPTY) -> bool:
        """Whether no value is valid there, for sure; False also where proving it would take too long."""
        if isinstance(term, te.Always | te.Value) or depth == 0 or term in self._open or term in self._proving:
            return term == FALSE
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
        return any(self.is_empty(term, depth) for term in items.prefix[: items.low]) or (
            items.low > len(items.prefix) and self.is_empty(items.rest, depth)
        )

    def _no_objects(self, members: Members, depth: int) -> bool:
        return any(self.is_empty(members.under(name), depth) for name in members.required)

    def _pruned(self, shape: Shape) -> Shape:
        """The shape without alternatives that are surely empty."""
        if len(shape.items) + len(shape.members) + len(shape.numbers) < 2:
            return shape
        return msgspec.structs.replace(
            shape,
            items=tuple(one for one in shape.items if not self._no_arrays(one, 1)),
            members=tuple(one for one in shape.members if not self._no_objects(one, 1)),
        )

    # One schema -----------------------------------------------------------------------------------------------

    def _read(self, place: Place) -> Shape:
        schema = place.schema
        if isinstance(schema, bool):
            return sh.ALL if schema else sh.EMPTY
        if "$ref" in schema and self.document.draft <= 7:
            return self._guarded(place, "$ref", self._ref)
        shape = self._plain(place)
        for keyword in _APPLIED:
            if keyword in schema:
                shape = sh.intersection(shape, self._guarded(place, keyword, _METHODS[keyword].__get__(self)))
        if self.document.has_unevaluated:
            shape = self._unevaluated(place, shape)
        self._refuse_unknown(place)
        return self._pruned(shape)

    def _guarded(self, place: Place, keyword: str, read: Callable[[Place, str], Shape]) -> Shape:
        """A keyword's shape; where it cannot be compiled, an error that names it, or everything."""
        try:
            return read(place, keyword)
        except (TooLarge, PatternError) as error:
            return self._give_up(error.message, place, keyword)
        except SchemaError:
            if self.refuse:
                raise
            self.ignored.append(f"{place.pointer}/{keyword}")
            return sh.ALL

    def _give_up(self, message: str, place: Place, keyword: str) -> Shape:
        where = f"{place.pointer}/{keyword}"
        if self.refuse:
            raise SchemaError(f"{keyword!r}: {message}", keyword=keyword, pointer=where)
        self.ignored.append(where)
        return sh.ALL

    def _refuse_unknown(self, place: Place) -> None:
        for keyword in keywords.REFUSED.keys() & place.schema.keys():
            self._give_up("is not supported", place, keyword)

    def _plain(self, place: Place) -> Shape:
        """What `type` and the keywords of single types say."""
        schema = place.schema
        names = self._type_names(place)
        shape = Shape(
            "null" in names,
            sh.BOOLEANS if "boolean" in names else frozenset(),
            (nu.of_types(names, self.document.draft),) if names & {"integer", "number"} else (),
            la.ALL if "string" in names else la.NONE,
            (sh.ITEMS,) if "array" in names else (),
            (sh.MEMBERS,) if "object" in names else (),
        )
        for keyword in ("enum", "const"):
            if keyword in schema:
                shape = sh.intersection(shape, self._guarded(place, keyword, self._values))
        if shape.numbers and not schema.keys().isdisjoint(_NUMERIC):
            shape = sh.intersection(shape, _only(numbers=tuple(self._numbers(place))))
        if shape.strings is not la.NONE:
            for keyword in _TEXTUAL:
                if keyword in schema:
                    shape = sh.intersection(shape, self._guarded(place, keyword, self._text))
        if shape.items and not schema.keys().isdisjoint(_OF_ARRAYS):
            shape = sh.intersection(shape, self._items(place))
        if shape.members and not schema.keys().isdisjoint(_OF_OBJECTS):
            shape = sh.intersection(shape, self._members(place))
        return shape

    def _type_names(self, place: Place) -> frozenset[str]:
        named = place.schema.get("type")
        if named is None:
            return _TYPES
        names = named if isinstance(named, list) else [named]
        if not all(isinstance(name, str) and (name in _TYPES or name == "any") for name in names):
            raise SchemaError("an unknown type", keyword="type", pointer=f"{place.pointer}/type")
        return _TYPES if "any" in names else frozenset(names)

    def _values(self, place: Place, keyword: str) -> Shape:
        values = place.schema[keyword] if keyword == "enum" else [place.schema[keyword]]
        if not isinstance(values, list):
            raise SchemaError("'enum' is a list", keyword=keyword, pointer=f"{place.pointer}/{keyword}")
        texts = la.words(value for value in values if isinstance(value, str))
        others = [shape_of_value(value) for value in values if not isinstance(value, str)]
        return sh.union([msgspec.structs.replace(sh.EMPTY, strings=texts), *others])

    # Numbers and texts ----------------------------------------------------------------------------------------

    def _numbers(self, place: Place) -> Iterator[nu.Numbers]:
        schema = place.schema
        low, high = (self._number(place, keyword) for keyword in ("minimum", "maximum"))
        numbers = nu.Numbers(low=low, high=high)
        for keyword, sign in (("exclusiveMinimum", 1), ("exclusiveMaximum", -1)):
            bound = schema.get(keyword)
            if isinstance(bound, bool):
                change = {"low_open": bound} if sign > 0 else {"high_open": bound}
                numbers = msgspec.structs.replace(numbers, **change)
            elif (exact := self._number(place, keyword)) is not None:
                other = nu.Numbers(low=exact, low_open=True) if sign > 0 else nu.Numbers(high=exact, high_open=True)
                joined = nu.intersection(numbers, other)
                if joined is None:
                    return
                numbers = joined
        divisor = self._number(place, "multipleOf")
        if divisor is not None:
            if divisor <= 0:
                raise SchemaError(
                    "'multipleOf' is above zero", keyword="multipleOf", pointer=f"{place.pointer}/multipleOf"
                )
            numbers = msgspec.structs.replace(numbers, multiples=frozenset([divisor]))
        if not (low is not None and high is not None and low > high):
            yield numbers

    def _number(self, place: Place, keyword: str) -> Fraction | None:
        value = place.schema.get(keyword)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1e300:
            raise SchemaError(f"{keyword!r} is a number", keyword=keyword, pointer=f"{place.pointer}/{keyword}")
        return Fraction(str(value))

    def _natural(self, place: Place, keyword: str, default: int | None) -> int | None:
        value = place.schema.get(keyword)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(min(value, 1e18)):
            raise SchemaError(f"{keyword!r} is a whole number", keyword=keyword, pointer=f"{place.pointer}/{keyword}")
        return int(value)

    def _text(self, place: Place, keyword: str) -> Shape:
        value = place.schema[keyword]
        if keyword == "minLength":
            return _only(strings=la.length(self._natural(place, keyword, 0) or 0, None))
        if keyword == "maxLength":
            return _only(strings=la.length(0, self._natural(place, keyword, None)))
        if not isinstance(value, str):
            raise SchemaError(f"{keyword!r} is a text", keyword=keyword, pointer=f"{place.pointer}/{keyword}")
        if keyword == "pattern":
            return _only(strings=search_language(value))
        known = formats.language(value)
        return sh.ALL if known is None else _only(strings=known)

    # Arrays ---------------------------------------------------------------------------------------------------

    def _items(self, place: Place) -> Shape:
        schema = place.schema
        prefix, rest = self._prefix_and_rest(place)
        low, high = self._natural(place, "minItems", 0) or 0, self._natural(place, "maxItems", None)
        contains: tuple[tuple[Term, int, int | None], ...] = ()
        seen_like: tuple[Term, ...] = ()
        if "contains" in schema and self.document.draft != 4:
            term = self.document.term(schema["contains"], place, "contains")
            least = self._natural(place, "minContains", 1)
            contains = ((term, 1 if least is None else least, self._natural(place, "maxContains", None)),)
            seen_like = (term,) if self.document.has_unevaluated else ()
        unique = True if schema.get("uniqueItems") is True else None
        seen = None if rest is not OPEN else len(prefix)
        items = sh.tidy_items(
            Items(prefix, rest, low, high, contains, unique, seen if self.document.has_unevaluated else 0, seen_like)
        )
        return _only(items=() if items is None else (items,))

    def _prefix_and_rest(self, place: Place) -> tuple[tuple[Term, ...], Term]:
        schema, term = place.schema, self.document.term
        listed, keyword = schema.get("prefixItems"), "prefixItems"
        following, after = schema.get("items"), "items"
        if isinstance(following, list):
            listed, keyword = following, "items"
            following, after = schema.get("additionalItems"), "additionalItems"
        prefix = () if listed is None else self._terms(listed, place, keyword)
        return prefix, OPEN if following is None else term(following, place, after)

    def _terms(self, schemas: Any, place: Place, keyword: str) -> tuple[Term, ...]:
        if not isinstance(schemas, list):
            raise SchemaError(
                f"{keyword!r} is a list of schemas", keyword=keyword, pointer=f"{place.pointer}/{keyword}"
            )
        return tuple(self.document.term(one, place, keyword, index) for index, one in enumerate(schemas))

    # Objects --------------------------------------------------------------------------------------------------

    def _members(self, place: Place) -> Shape:
        schema, term = place.schema, self.document.term
        named = {name: term(one, place, "properties", name) for name, one in self._mapping(place, "properties").items()}
        required = schema.get("required", ())
        names = tuple(name for name in required if isinstance(name, str)) if isinstance(required, list) else ()
        rest: Term = OPEN
        if "additionalProperties" in schema:
            rest = term(schema["additionalProperties"], place, "additionalProperties")
        seen: la.Lang = la.NONE
        if self.document.has_unevaluated:
            seen = la.ALL if rest is not OPEN else la.words(named)
        members = Members(
            tuple(named.items()), names, (), rest,
            self._natural(place, "minProperties", 0) or 0, self._natural(place, "maxProperties", None), (), seen,
        )  # fmt: skip
        shape = _only(members=(members,))
        if schema.get("patternProperties"):
            shape = self._guarded(place, "patternProperties", lambda place, keyword: self._patterned(place, members))
        if "propertyNames" in schema:
            shape = sh.intersection(shape, self._guarded(place, "propertyNames", self._names))
        return msgspec.structs.replace(shape, members=tuple(filter(None, map(sh.tidy_members, shape.members))))

    def _mapping(self, place: Place, keyword: str) -> dict[str, Any]:
        found = place.schema.get(keyword, {})
        if not isinstance(found, dict):
            raise SchemaError(f"{keyword!r} is an object", keyword=keyword, pointer=f"{place.pointer}/{keyword}")
        return found

    def _patterned(self, place: Place, members: Members) -> Shape:
        """The members with `patternProperties`, which apply to declared names as well, and go before `rest`."""
        free = msgspec.structs.replace(members, rest=OPEN)
        joined: Members | None = Members()
        covered: list[la.Lang] = []
        for source, one in self._mapping(place, "patternProperties").items():
            names = search_language(source)
            term = self.document.term(one, place, "patternProperties", source)
            term = te.TRUE if term == OPEN else term
            seen = names if self.document.has_unevaluated else la.NONE
            region = Members(regions=((names, term),), seen=seen)
            joined = region if not covered else joined and sh.intersection_of_members(joined, region)
            covered.append(names)
        joined = joined and sh.intersection_of_members(free, joined)
        if joined is None:
            return sh.EMPTY
        others = la.negation(la.either(*covered, la.words(name for name, _ in members.named)))
        if members.rest != OPEN:
            # Names that neither `properties` nor a pattern speaks of.
            known = dict(members.named)
            named = tuple(
                (name, te.every(one, members.rest) if name not in known and la.matches(others, name) else one)
                for name, one in joined.named
            )
            joined = msgspec.structs.replace(joined, named=named, rest=members.rest)
        return _only(members=(joined,))

    def _names(self, place: Place, keyword: str) -> Shape:
        """`propertyNames`: whatever has another name must not be there."""
        term = self.document.term(place.schema[keyword], place, keyword)
        names = self.expand(term).strings
        if names == la.ALL:
            return sh.ALL
        return _only(members=(Members(regions=((la.negation(names), FALSE),)),))

    # Schemas that apply at the same place ---------------------------------------------------------------------

    def _ref(self, place: Place, keyword: str) -> Shape:
        target = self.document.resolve(place.schema[keyword], place, keyword)
        return self.expand(te.at(self.document.number(target)))

    def _all_of(self, place: Place, keyword: str) -> Shape:
        shape = sh.ALL
        for term in self._terms(place.schema[keyword], place, keyword):
            shape = sh.intersection(shape, self.expand(term))
        return shape

    def _any_of(self, place: Place, keyword: str) -> Shape:
        shapes = [self.expand(term) for term in self._terms(place.schema[keyword], place, keyword)]
        if self.document.has_unevaluated and len(shapes) <= 4:
            # Whoever is valid in several places has been evaluated in all of them.
            for index, one in enumerate(list(shapes)):
                shapes += [sh.intersection(one, other) for other in shapes[index + 1 :]]
        return sh.union(shapes) if shapes else sh.EMPTY

    def _one_of(self, place: Place, keyword: str) -> Shape:
        shapes = [self.expand(term) for term in self._terms(place.schema[keyword], place, keyword)]
        alone = list(shapes)
        for i, one in enumerate(shapes):
            for j in range(i + 1, len(shapes)):
                if not self._disjoint(one, shapes[j]):
                    self._count()
                    alone[i] = self._pruned(sh.intersection(alone[i], sh.complement(shapes[j])))
                    alone[j] = self._pruned(sh.intersection(alone[j], sh.complement(one)))
        return sh.union(alone) if alone else sh.EMPTY

    def _disjoint(self, one: Shape, other: Shape) -> bool:
        self._count()
        return self.is_empty_shape(sh.intersection(one, other))

    def _not(self, place: Place, keyword: str) -> Shape:
        return sh.complement(self.expand(self.document.term(place.schema[keyword], place, keyword)))

    def _if(self, place: Place, keyword: str) -> Shape:
        schema = place.schema
        condition = self.expand(self.document.term(schema["if"], place, "if"))
        then, otherwise = (
            self.expand(self.document.term(schema[word], place, word)) if word in schema else sh.ALL
            for word in ("then", "else")
        )
        if then is sh.ALL and otherwise is sh.ALL and not self.document.has_unevaluated:
            return sh.ALL
        return sh.union([sh.intersection(condition, then), sh.intersection(sh.complement(condition), otherwise)])

    def _dependent_required(self, place: Place, keyword: str) -> Shape:
        shape = sh.ALL
        for name, names in self._mapping(place, keyword).items():
            shape = sh.intersection(shape, _if_there(name, _only(members=(Members(required=_names_in(names)),))))
        return shape

    def _dependent_schemas(self, place: Place, keyword: str) -> Shape:
        shape = sh.ALL
        for name, one in self._mapping(place, keyword).items():
            if isinstance(one, list | str):
                then = _only(members=(Members(required=_names_in([one] if isinstance(one, str) else one)),))
            else:
                then = self.expand(self.document.term(one, place, keyword, name))
            shape = self._pruned(sh.intersection(shape, _if_there(name, then)))
        return shape

    # Unevaluated ----------------------------------------------------------------------------------------------

    def _unevaluated(self, place: Place, shape: Shape) -> Shape:
        schema, term = place.schema, self.document.term
        if "unevaluatedProperties" in schema:
            left = term(schema["unevaluatedProperties"], place, "unevaluatedProperties")
            joined = [_with_unevaluated_members(one, left) for one in shape.members]
            shape = msgspec.structs.replace(shape, members=tuple(one for one in joined if one is not None))
        if "unevaluatedItems" in schema:
            left = term(schema["unevaluatedItems"], place, "unevaluatedItems")
            arrays = [_with_unevaluated_items(one, left) for one in shape.items]
            shape = msgspec.structs.replace(shape, items=tuple(one for one in arrays if one is not None))
        return shape


_METHODS: dict[str, Any] = {
    "$ref": Reader._ref,
    "$dynamicRef": Reader._ref,
    "$recursiveRef": Reader._ref,
    "allOf": Reader._all_of,
    "anyOf": Reader._any_of,
    "oneOf": Reader._one_of,
    "not": Reader._not,
    "if": Reader._if,
    "dependentRequired": Reader._dependent_required,
    "dependentSchemas": Reader._dependent_schemas,
    "dependencies": Reader._dependent_schemas,
}


def _names_in(names: Any) -> tuple[str, ...]:
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _only(**parts: Any) -> Shape:
    """Everything, but of the types given only these."""
    return msgspec.structs.replace(sh.ALL, **parts)


def _if_there(name: str, then: Shape) -> Shape:
    """`then` for objects that have a member of this name; everything else is free."""
    without = _only(members=(Members(((name, FALSE),)),))
    having = msgspec.structs.replace(sh.EMPTY, members=(Members(required=(name,)),))
    return sh.union([without, sh.intersection(having, then)])


def _with_unevaluated_members(members: Members, left: Term) -> Members | None:
    named = tuple((name, one if la.matches(members.seen, name) else te.every(one, left)) for name, one in members.named)
    unseen = la.negation(members.seen)
    regions = []
    for names, term in members.regions:
        regions += [(la.both(names, members.seen), term), (la.both(names, unseen), te.every(term, left))]
    free = la.both(
        members.seen, la.negation(la.either(la.words(n for n, _ in named), *(n for n, _ in members.regions)))
    )
    rest = te.every(members.rest, left)
    if not automaton.is_empty(free):
        regions.append((free, members.rest))
    kept = tuple((names, term) for names, term in regions if not automaton.is_empty(names))
    return sh.tidy_members(msgspec.structs.replace(members, named=named, regions=kept, rest=rest, seen=la.ALL))


def _with_unevaluated_items(items: Items, left: Term) -> Items | None:
    if items.seen is None:
        return items
    allowed = te.some(left, *items.seen_like)
    n_prefix = max(items.seen, len(items.prefix))
    prefix = tuple(
        items.item(index) if index < items.seen else te.every(items.item(index), allowed) for index in range(n_prefix)
    )
    return sh.tidy_items(msgspec.structs.replace(items, prefix=prefix, rest=te.every(items.rest, allowed), seen=None))


def shape_of_value(value: Any) -> Shape:
    """The shape of exactly this JSON value."""
    match value:
        case None:
            return msgspec.structs.replace(sh.EMPTY, null=True)
        case bool():
            return msgspec.structs.replace(sh.EMPTY, booleans=frozenset([value]))
        case int() | float():
            among = frozenset([Fraction(str(value))])
            return msgspec.structs.replace(sh.EMPTY, numbers=(nu.Numbers(among=among),))
        case str():
            return msgspec.structs.replace(sh.EMPTY, strings=la.words([value]))
        case list():
            prefix = tuple(_term_of(one) for one in value)
            return msgspec.structs.replace(sh.EMPTY, items=(Items(prefix, FALSE, len(prefix), len(prefix)),))
        case dict():
            named = tuple((name, _term_of(one)) for name, one in value.items())
            members = Members(named, tuple(value), (), FALSE)
            return msgspec.structs.replace(sh.EMPTY, members=(members,))
    raise AssertionError(value)


def _term_of(value: Any) -> Term:
    return te.value(json.dumps(value, ensure_ascii=False, sort_keys=True))
