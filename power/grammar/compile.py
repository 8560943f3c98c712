"""The compiler from end to end: schema -> shapes -> expressions -> GBNF."""

from __future__ import annotations

import gc
from typing import Any, Literal

import msgspec

from power.grammar import terms as te
from power.grammar.errors import SchemaError
from power.grammar.expressions import NOTHING
from power.grammar.printing import Written, write_rules
from power.grammar.reading import Reader
from power.grammar.rules import Rules, without_unproductive
from power.grammar.schema import Document
from power.grammar.values import ValueWriter

MAX_GRAMMAR = 1_000_000  # characters

Objects = Literal["closed", "open"]
OnUnsupported = Literal["refuse", "warn"]


class Compiled(msgspec.Struct, frozen=True):
    """A grammar, and the pointers of the keywords that it leaves out (only with `on_unsupported="warn"`)."""

    written: Written
    ignored: tuple[str, ...] = ()

    @property
    def grammar(self) -> str:
        return self.written.text


def compile_schema(
    schema: Any,
    *,
    objects: Objects = "closed",
    on_unsupported: OnUnsupported = "refuse",
) -> Compiled:
    """Compile a JSON Schema (decoded JSON) to GBNF.

    `objects` says whether objects that declare properties and say nothing about
    others may have others.  With `on_unsupported="warn"`, a keyword that cannot
    be compiled is left out and reported instead of refused.

    Raises:
        SchemaError: what cannot be compiled, with its keyword and JSON pointer.
    """
    if not isinstance(schema, dict | bool):
        raise SchemaError("a schema is an object or a boolean")
    # A compilation makes many small values and no cycles; looking for cycles would take longer than all else.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _compile(schema, closed=objects == "closed", refuse=on_unsupported == "refuse")
    except RecursionError:
        # Nesting is bounded, and so are chains; their combination may still be deeper than Python goes.
        raise SchemaError("the schema is nested too deeply") from None
    finally:
        if was_enabled:
            gc.enable()


def _compile(schema: dict[str, Any] | bool, *, closed: bool, refuse: bool) -> Compiled:
    document = Document(schema)
    reader = Reader(document, refuse=refuse)
    rules = Rules()
    writer = ValueWriter(reader, rules, closed=closed)
    writer.write_root(te.at(document.number(document.top)))
    bodies = without_unproductive(rules.bodies) if rules.is_recursive else rules.bodies
    if bodies["root"] is NOTHING:
        raise SchemaError("no value is valid against this schema")
    written = write_rules(bodies)
    if len(written.text) > MAX_GRAMMAR:
        raise SchemaError(f"the grammar would be longer than {MAX_GRAMMAR} characters")
    return Compiled(written, tuple(dict.fromkeys(reader.ignored)))


def schema_to_gbnf(
    schema: Any,
    *,
    objects: Objects = "closed",
    on_unsupported: OnUnsupported = "refuse",
) -> str:
    """The grammar of `compile_schema` alone."""
    return compile_schema(schema, objects=objects, on_unsupported=on_unsupported).grammar


# A little of what most schemas have.
_TYPICAL: dict[str, Any] = {
    "$id": "https://example.org/typical",
    "definitions": {
        "name": {"type": "string", "minLength": 1, "maxLength": 80},
        "place": {"oneOf": [{"type": "string", "format": "uri"}, {"type": "object", "properties": {"at": {}}}]},
    },
    "type": "object",
    "required": ["id", "kind"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1, "maximum": 65535},
        "kind": {"enum": ["one", "two", "three", "four", None, 5]},
        "names": {"type": "array", "items": {"$ref": "#/definitions/name"}, "minItems": 1, "uniqueItems": False},
        "version": {"type": ["string", "null"], "pattern": "^v?[0-9]+(\\.[0-9]+){0,2}$", "description": "a version"},
        "places": {"type": "object", "additionalProperties": {"$ref": "#/definitions/place"}},
        "size": {"allOf": [{"type": "object"}, {"properties": {"x": {"type": "number"}, "y": {"const": True}}}]},
        "tags": {"type": "object", "patternProperties": {"^x-": {"type": "boolean"}}, "minProperties": 1},
    },
}


def _learn() -> None:
    """Compile something typical, whose parts others have as well.

    The first request would otherwise wait for tables to be made, and for the
    interpreter to see which of its instructions the code needs.
    """
    compile_schema(_TYPICAL, objects="closed")
    compile_schema(_TYPICAL, objects="open")


_learn()
