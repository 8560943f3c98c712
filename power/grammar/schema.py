"""A schema document: its places, and what a `$ref` points to.

Embedded resources (`$id`), anchors and the older drafts' spellings are resolved
here.  Nothing is ever fetched: a reference out of the document is refused.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urljoin

import msgspec

from power.grammar import terms as te
from power.grammar.errors import SchemaError
from power.grammar.terms import Term

MAX_NODES = 200_000  # objects, arrays and scalars in one schema
MAX_DEPTH = 200  # of nesting; JSON readers give up at about a thousand

_DRAFTS = {"draft-03": 3, "draft-04": 4, "draft-06": 6, "draft-07": 7, "2019-09": 2019, "2020-12": 2020}
_CONTAINERS = (dict, list)
_NEVER: tuple[Any, ...] = ({"not": {}}, {"not": True})  # draft-04 has no boolean schemas
# Keywords whose values are data and no schemas.
_DATA = frozenset(["enum", "const", "default", "examples", "example"])


def escaped(name: str) -> str:
    """The name as a JSON pointer has it (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1") if "~" in name or "/" in name else name


def _split(base: str, reference: str) -> tuple[str, str]:
    """The URL of what a reference means, and the fragment in it."""
    if reference.startswith("#"):
        return base, reference[1:]
    url, _, fragment = (urljoin(base, reference) if base else reference).partition("#")
    return url, fragment


class Place(msgspec.Struct, frozen=True, eq=False):
    """One schema of the document; `pointer` is where, `base` what references are relative to."""

    schema: Any
    base: str
    pointer: str


class Document:
    """A schema, and numbers for the places in it that somebody asked about."""

    def __init__(self, schema: Any) -> None:
        self.root = schema
        self.places: list[Place] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._resources: dict[str, Place] | None = None
        self._dynamic: dict[str, list[Place]] = {}
        self.has_unevaluated = False
        self._survey()
        self.draft = self._draft()
        base = self._id_of(schema, "") if isinstance(schema, dict) else ""
        self.top = Place(schema, base, "")

    def _survey(self) -> None:
        """Hold the whole document against the limits, and note which rare features it has."""
        n_nodes, level, depth = 1, [self.root], 0
        while level:
            depth += 1
            if depth > MAX_DEPTH:
                raise SchemaError(f"the schema is nested deeper than {MAX_DEPTH}")
            deeper: list[Any] = []
            for node in level:
                if isinstance(node, dict):
                    if "unevaluatedProperties" in node or "unevaluatedItems" in node:
                        self.has_unevaluated = True
                    deeper += node.values()
                elif isinstance(node, list):
                    deeper += node
            n_nodes += len(deeper)
            if n_nodes > MAX_NODES:
                raise SchemaError(f"the schema has more than {MAX_NODES} values in it")
            level = [node for node in deeper if isinstance(node, _CONTAINERS)]

    def _draft(self) -> int:
        named = self.root.get("$schema") if isinstance(self.root, dict) else None
        if isinstance(named, str):
            for part, number in _DRAFTS.items():
                if part in named:
                    return number
        return 2020

    def term(self, schema: Any, parent: Place, *path: str | int) -> Term:
        """The term of a schema that lies at `path` below `parent`; raises SchemaError if it is none."""
        if schema is True or schema == {}:
            return te.TRUE
        if schema is False or schema in _NEVER:
            return te.FALSE
        pointer = parent.pointer
        for part in path:
            pointer += f"/{part if isinstance(part, int) else escaped(part)}"
        if not isinstance(schema, dict):
            raise SchemaError("a schema is an object or a boolean", pointer=pointer)
        return te.at(self.number(Place(schema, self._id_of(schema, parent.base), pointer)))

    def terms(self, schemas: Any, parent: Place, keyword: str) -> tuple[Term, ...]:
        """The terms of a keyword's list of schemas."""
        if not isinstance(schemas, list):
            raise SchemaError(
                f"{keyword!r} is a list of schemas", keyword=keyword, pointer=f"{parent.pointer}/{keyword}"
            )
        return tuple(self.term(one, parent, keyword, index) for index, one in enumerate(schemas))

    def number(self, place: Place) -> int:
        # The document keeps its schemas alive, so an identity stays theirs.
        number = self._numbers.setdefault((id(place.schema), place.base), len(self.places))
        if number == len(self.places):
            self.places.append(place)
        return number

    def _id_of(self, schema: dict[str, Any], base: str) -> str:
        if "$id" not in schema and "id" not in schema:
            return base
        name = schema.get("$id", schema.get("id") if self.draft <= 4 else None)
        if not isinstance(name, str) or name.startswith("#") or (self.draft <= 7 and "$ref" in schema):
            return base
        return _split(base, name)[0]

    def resolve(self, reference: Any, origin: Place, keyword: str) -> Place:
        """The place that a reference at `origin` means.

        Raises:
            SchemaError: there is no such place in the document.
        """
        where = f"{origin.pointer}/{keyword}"
        if not isinstance(reference, str):
            raise SchemaError(f"{keyword!r} is no text", keyword=keyword, pointer=where)
        if keyword in ("$dynamicRef", "$recursiveRef"):
            self._demand_static(reference, keyword, where)
        url, fragment = _split(origin.base, reference)
        place = self._resource(url)
        if place is not None and fragment:
            place = self._within(place, unquote(fragment))
        if place is None:
            outside = " (references out of the document are not fetched)" if url else ""
            raise SchemaError(
                f"{keyword!r} points to {reference!r}, which is not there{outside}", keyword=keyword, pointer=where
            )
        return place

    def _demand_static(self, reference: str, keyword: str, where: str) -> None:
        """Dynamic references are followed where they can mean only one thing."""
        self._index()
        name = "" if keyword == "$recursiveRef" else reference.rpartition("#")[2]
        if len(self._dynamic.get(name, ())) > 1:
            raise SchemaError(
                f"{keyword!r} with more than one dynamic anchor is not supported", keyword=keyword, pointer=where
            )

    def _resource(self, url: str) -> Place | None:
        if url in ("", self.top.base):
            return self.top
        return self._index().get(url)

    def _within(self, resource: Place, fragment: str) -> Place | None:
        if not fragment.startswith("/"):
            return self._index().get(f"{resource.base}#{fragment}")
        schema, place = resource.schema, resource
        for part in fragment[1:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(schema, dict) and part in schema:
                schema = schema[part]
            elif isinstance(schema, list) and part.isdecimal() and int(part) < len(schema):
                schema = schema[int(part)]
            else:
                return None
            base = self._id_of(schema, place.base) if isinstance(schema, dict) else place.base
            place = Place(schema, base, f"{place.pointer}/{escaped(part)}")
        return place if isinstance(schema, dict | bool) else None

    def _index(self) -> dict[str, Place]:
        """Every place that has a name of its own, by its absolute URL."""
        if self._resources is None:
            self._resources = {}
            todo = [self.top]
            while todo:
                place = todo.pop()
                if isinstance(place.schema, dict):
                    self._name(place)
                    todo += self._children(place)
        return self._resources

    def _name(self, place: Place) -> None:
        assert self._resources is not None
        name = place.schema.get("$id", place.schema.get("id"))
        if isinstance(name, str) and name.startswith("#"):
            self._resources.setdefault(f"{place.base}{name}", place)
        elif isinstance(name, str):
            self._resources.setdefault(place.base, place)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(anchor := place.schema.get(keyword), str):
                self._resources.setdefault(f"{place.base}#{anchor}", place)
                if keyword == "$dynamicAnchor":
                    self._dynamic.setdefault(anchor, []).append(place)
        if place.schema.get("$recursiveAnchor") is True:
            self._dynamic.setdefault("", []).append(place)

    def _children(self, place: Place) -> list[Place]:
        todo: list[tuple[Any, str]] = [
            (child, f"{place.pointer}/{key}") for key, child in place.schema.items() if key not in _DATA
        ]
        out = []
        for child, pointer in todo:
            if isinstance(child, dict):
                base = self._id_of(child, place.base)
                out.append(Place(child, base, pointer))
            elif isinstance(child, list):
                out += [
                    Place(one, self._id_of(one, place.base), f"{pointer}/{index}")
                    for index, one in enumerate(child)
                    if isinstance(one, dict)
                ]
        return out
