"""Schemas that apply at the same place: references, combinators, conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from power.grammar import shapes as sh
from power.grammar.reading import fields
from power.grammar.schema import Place
from power.grammar.shapes import Members, Shape
from power.grammar.terms import FALSE, at

if TYPE_CHECKING:
    from power.grammar.reading.reader import Reader


def ref(reader: Reader, place: Place, keyword: str) -> Shape:
    target = reader.document.resolve(place.schema[keyword], place, keyword)
    return reader.expand(at(reader.document.number(target)))


def _all_of(reader: Reader, place: Place, keyword: str) -> Shape:
    shape = sh.ALL
    for term in reader.document.terms(place.schema[keyword], place, keyword):
        shape = sh.intersection(shape, reader.expand(term))
    return shape


def _any_of(reader: Reader, place: Place, keyword: str) -> Shape:
    shapes = [reader.expand(term) for term in reader.document.terms(place.schema[keyword], place, keyword)]
    if reader.document.has_unevaluated and len(shapes) <= 4:
        # Whoever is valid in several places has been evaluated in all of them.
        for index, one in enumerate(list(shapes)):
            shapes += [sh.intersection(one, other) for other in shapes[index + 1 :]]
    return sh.union(shapes) if shapes else sh.EMPTY


def _one_of(reader: Reader, place: Place, keyword: str) -> Shape:
    shapes = [reader.expand(term) for term in reader.document.terms(place.schema[keyword], place, keyword)]
    alone = list(shapes)
    for i, one in enumerate(shapes):
        for j in range(i + 1, len(shapes)):
            reader.count()
            if not reader.is_empty_shape(sh.intersection(one, shapes[j])):
                reader.count()
                alone[i] = reader.pruned(sh.intersection(alone[i], sh.complement(shapes[j])))
                alone[j] = reader.pruned(sh.intersection(alone[j], sh.complement(one)))
    return sh.union(alone) if alone else sh.EMPTY


def _not(reader: Reader, place: Place, keyword: str) -> Shape:
    return sh.complement(reader.expand(reader.document.term(place.schema[keyword], place, keyword)))


def _if(reader: Reader, place: Place, keyword: str) -> Shape:
    schema, term = place.schema, reader.document.term
    condition = reader.expand(term(schema["if"], place, "if"))
    then, otherwise = (
        reader.expand(term(schema[word], place, word)) if word in schema else sh.ALL for word in ("then", "else")
    )
    if then is sh.ALL and otherwise is sh.ALL and not reader.document.has_unevaluated:
        return sh.ALL
    return sh.union([sh.intersection(condition, then), sh.intersection(sh.complement(condition), otherwise)])


def _dependent(reader: Reader, place: Place, keyword: str) -> Shape:
    """`dependentRequired`, `dependentSchemas`, and `dependencies`, which may be both."""
    shape = sh.ALL
    for name, one in fields.mapping(place, keyword).items():
        if isinstance(one, list | str):
            then = _requiring(fields.names([one] if isinstance(one, str) else one))
        elif keyword == "dependentRequired":
            then = _requiring(())
        else:
            then = reader.expand(reader.document.term(one, place, keyword, name))
        shape = reader.pruned(sh.intersection(shape, _if_there(name, then)))
    return shape


def _requiring(names: tuple[str, ...]) -> Shape:
    return msgspec.structs.replace(sh.ALL, members=(Members(required=names),))


def _if_there(name: str, then: Shape) -> Shape:
    """`then` for objects that have a member of this name; everything else is free."""
    without = msgspec.structs.replace(sh.ALL, members=(Members(((name, FALSE),)),))
    having = msgspec.structs.replace(sh.EMPTY, members=(Members(required=(name,)),))
    return sh.union([without, sh.intersection(having, then)])


METHODS: dict[str, Callable[[Reader, Place, str], Shape]] = {
    "$ref": ref,
    "$dynamicRef": ref,
    "$recursiveRef": ref,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "dependentRequired": _dependent,
    "dependentSchemas": _dependent,
    "dependencies": _dependent,
}
KEYWORDS = frozenset(METHODS)
