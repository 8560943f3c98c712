"""What an answer may be held to: JSON, a schema, a regular expression, a choice of texts, a grammar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import msgspec

from power.errors import BadRequest
from power.grammar import languages as la
from power.grammar.checking import check
from power.grammar.compile import MAX_GRAMMAR, Compiled, Objects, OnUnsupported, compile_schema
from power.grammar.errors import GrammarError, PatternError, SchemaError, TooLarge
from power.grammar.expressions import NOTHING, Chars
from power.grammar.json_object import JSON_GRAMMAR
from power.grammar.parsing import parse_gbnf
from power.grammar.pattern import full_language
from power.grammar.printing import Written, write_rules
from power.grammar.rules import Rules
from power.grammar.texts import TextWriter

MAX_SCHEMA = 2_000_000  # characters; to work through more takes seconds, of which most hold up everything else
MAX_CHOICES = 10_000
MAX_CHOICE_LENGTH = 100_000  # characters of all choices together

Kind = Literal["json", "schema", "regex", "choice", "gbnf"]


class Constraint(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks its answer to be like; hashes, so that equal ones are compiled once.

    `text` is empty for JSON, JSON for a schema and for a choice, and otherwise
    the expression or grammar itself.
    """

    kind: Kind
    text: str = ""
    field: str  # of the request; errors name it
    strict: bool = False  # a schema is kept in every keyword, whatever the server is set to


def compile_constraint(
    constraint: Constraint, *, objects: Objects = "closed", on_unsupported: OnUnsupported = "refuse"
) -> Compiled:
    """The grammar that holds an answer to the constraint. `objects` and `on_unsupported` are as in `compile_schema`.

    Raises:
        BadRequest: it is malformed, too large, not supported or cannot be met; `field` is the constraint's.
    """
    try:
        match constraint.kind:
            case "json":
                return Compiled(_json())
            case "schema":
                refuse: OnUnsupported = "refuse" if constraint.strict else on_unsupported
                return compile_schema(json.loads(constraint.text), objects=objects, on_unsupported=refuse)
            case "regex":
                return Compiled(_regex(constraint.text))
            case "choice":
                return Compiled(_choice(json.loads(constraint.text)))
            case "gbnf":
                return Compiled(_checked(constraint.text))
    except BadRequest as error:
        error.field = constraint.field
        raise
    raise AssertionError(constraint.kind)


@cache
def _json() -> Written:
    return Written(JSON_GRAMMAR, parse_gbnf(JSON_GRAMMAR).rules)


def _checked(grammar: str) -> Written:
    """The grammar, if llama.cpp may have it, in the words that it came in.

    Raises:
        GrammarError: malformed or dangerous, with the place.
    """
    if len(grammar) > MAX_GRAMMAR:
        raise GrammarError(f"the grammar is longer than {MAX_GRAMMAR} characters", 1, 1)
    parsed = parse_gbnf(grammar)
    check(parsed)
    return Written(grammar, parsed.rules)


def regex_to_gbnf(pattern: str) -> str:
    """The grammar of the texts that the ECMA-262 pattern matches from end to end.

    Raises:
        BadRequest: malformed, not supported, too large, or without any match; `field` is `regex`.
    """
    return _regex(pattern).text


def choice_to_gbnf(choices: Sequence[str]) -> str:
    """The grammar of exactly these texts.

    Raises:
        BadRequest: there are none, too many, or they are no texts; `field` is `choice`.
    """
    return _choice(choices).text


def _regex(pattern: str) -> Written:
    try:
        return _grammar(full_language(pattern))
    except TooLarge as error:
        raise BadRequest(error.message, field="regex") from error
    except RecursionError:
        raise PatternError("the pattern is nested too deeply", 0) from None


def _choice(choices: Sequence[str]) -> Written:
    if not choices or not all(isinstance(choice, str) for choice in choices):
        raise BadRequest("a choice needs at least one text", field="choice")
    if len(choices) > MAX_CHOICES or sum(map(len, choices)) > MAX_CHOICE_LENGTH:
        raise BadRequest(
            f"a choice is of at most {MAX_CHOICES} texts and {MAX_CHOICE_LENGTH} characters", field="choice"
        )
    return _grammar(la.words(choices))


def _grammar(lang: la.Lang) -> Written:
    rules = Rules()
    body = TextWriter(rules, Chars, str).write(lang)
    if body is NOTHING:
        raise BadRequest("no text matches the pattern", field="regex")
    return write_rules({**rules.bodies, "root": body})


def schema_constraint(schema: dict[str, Any] | bool, *, field: str, strict: bool = False) -> Constraint:
    """Raises SchemaError for one that is too large, and for a number that is none to a reader: JSON's 1e999."""
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise SchemaError("the schema has a number that is too large") from error
    if len(text) > MAX_SCHEMA:
        raise SchemaError(f"the schema is longer than {MAX_SCHEMA} characters")
    return Constraint(kind="schema", text=text, field=field, strict=strict)


def choice_constraint(choices: Sequence[str], *, field: str) -> Constraint:
    return Constraint(kind="choice", text=json.dumps(choices, ensure_ascii=False), field=field)
