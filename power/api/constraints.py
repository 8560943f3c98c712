"""The fields by which clients say what an answer has to be like: ours, OpenAI's, llama-server's and vLLM's.

All routes that generate take all of them but `format` and `response_format`,
which are one API's each.  A request has at most one constraint; two of them are
refused, since whatever were done about it, one would be dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from power.errors import BadRequest
from power.grammar import Constraint, choice_constraint, schema_constraint


class ConstraintFields(msgspec.Struct, kw_only=True):
    """What every body may say about its answer's form. A null, and an empty text, say nothing."""

    grammar: Any = None  # GBNF, as in llama-server
    json_schema: Any = None  # as in llama-server
    regex: Any = None
    choice: Any = None
    structured_outputs: dict[str, Any] | None = None  # vLLM's
    guided_json: Any = None  # and what it called them before
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None


def read_constraint(body: ConstraintFields, *own: Constraint | None) -> Constraint | None:
    """The one constraint of a body, `own` being what the API's own field says.

    Raises:
        BadRequest: there is more than one, or one is of the wrong type; `field` and message name them.
    """
    found = [constraint for constraint in own if constraint is not None]
    for name, read in _READERS.items():
        if (value := getattr(body, name)) is not None and value != "":
            found += read(value, name)
    if len(found) > 1:
        fields = [constraint.field for constraint in found]
        raise BadRequest(f"an answer can have one form only: {' and '.join(fields)} were given", field=fields[1])
    return found[0] if found else None


def read_format(value: Any) -> Constraint | None:
    """Ollama's `format`: "json", a schema, or nothing said."""
    if value is None or value == "":
        return None
    if value == "json":
        return Constraint(kind="json", field="format")
    if isinstance(value, dict):
        return schema_constraint(value, field="format")
    shown = msgspec.json.encode(value).decode()
    raise BadRequest(f'invalid format: {shown}; expected "json" or a valid JSON Schema object', field="format")


class SchemaFormat(msgspec.Struct):
    schema: dict[str, Any] | bool | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct):
    """OpenAI's; llama-server takes a `schema` beside the type as well."""

    type: str
    json_schema: SchemaFormat | None = None
    schema: dict[str, Any] | None = None


def read_response_format(wanted: ResponseFormat | None) -> Constraint | None:
    """Raises BadRequest for a type there is not, or one without its schema."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type not in ("json_object", "json_schema"):
        raise BadRequest(f'invalid response_format type: "{wanted.type}"', field="response_format.type")
    if wanted.schema is not None:
        return schema_constraint(wanted.schema, field="response_format.schema")
    if wanted.type == "json_object":
        return Constraint(kind="json", field="response_format")
    if wanted.json_schema is None:
        raise BadRequest("response_format has no json_schema", field="response_format.json_schema")
    if wanted.json_schema.schema is None:
        raise BadRequest("response_format.json_schema has no schema", field="response_format.json_schema.schema")
    strict = bool(wanted.json_schema.strict)
    return schema_constraint(wanted.json_schema.schema, field="response_format.json_schema.schema", strict=strict)


def _schema(value: Any, field: str) -> list[Constraint]:
    if isinstance(value, str):  # vLLM's clients send it written out as well
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f'invalid "{field}": no JSON: {error}', field=field) from None
    if not isinstance(value, dict | bool):
        raise BadRequest(f'invalid "{field}": expected a JSON Schema', field=field)
    return [schema_constraint(value, field=field)]


def _regex(value: Any, field: str) -> list[Constraint]:
    return [Constraint(kind="regex", text=_text(value, field), field=field)]


def _grammar(value: Any, field: str) -> list[Constraint]:
    return [Constraint(kind="gbnf", text=_text(value, field), field=field)]


def _choice(value: Any, field: str) -> list[Constraint]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise BadRequest(f'invalid "{field}": expected an array of strings, at least one', field=field)
    return [choice_constraint(value, field=field)]


def _json_object(value: Any, field: str) -> list[Constraint]:
    if not isinstance(value, bool):
        raise BadRequest(f'invalid "{field}": expected a boolean', field=field)
    return [Constraint(kind="json", field=field)] if value else []


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise BadRequest(f'invalid "{field}": expected a string', field=field)
    return value


def _structured_outputs(value: dict[str, Any], field: str) -> list[Constraint]:
    """vLLM's object; of its other members, those that ask for something we do not do are refused."""
    found = []
    for name, inner in value.items():
        if inner is None or inner is False or inner == "":
            continue
        where = f"{field}.{name}"
        if name not in _STRUCTURED:
            raise BadRequest(f'"{where}" is not supported', field=where)
        found += _STRUCTURED[name](inner, where)
    return found


_Read = Callable[[Any, str], list[Constraint]]
_STRUCTURED: dict[str, _Read] = {
    "json": _schema,
    "json_object": _json_object,
    "regex": _regex,
    "choice": _choice,
    "grammar": _grammar,
    "disable_fallback": lambda value, field: [],  # to another engine; there is none
}
_READERS: dict[str, _Read] = {
    "grammar": _grammar,
    "json_schema": _schema,
    "regex": _regex,
    "choice": _choice,
    "structured_outputs": _structured_outputs,
    "guided_json": _schema,
    "guided_regex": _regex,
    "guided_choice": _choice,
    "guided_grammar": _grammar,
}
