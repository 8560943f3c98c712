"""What a model may write, and what it wrote: grammars and tool calls.

    schema -> shapes -> expressions -> GBNF

`schema` resolves references, `reading` turns keywords into `shapes` (sets of
JSON values with intersection, union and complement), `values` with `objects`,
`arrays` and `texts` writes them as `expressions`, and `printing` as text.
Everything about characters is a regular `languages` value.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from power.grammar.acceptor import Acceptor, Machine, Mismatch, State, mismatch
    from power.grammar.answers import Answer, AnswerReader
    from power.grammar.calls import ToolCallReader, new_call_id
    from power.grammar.checking import check_gbnf
    from power.grammar.compile import Compiled, Objects, OnUnsupported, compile_schema, schema_to_gbnf
    from power.grammar.constraints import (
        Constraint,
        choice_constraint,
        choice_to_gbnf,
        compile_constraint,
        regex_to_gbnf,
        schema_constraint,
    )
    from power.grammar.dialects import Dialect
    from power.grammar.errors import GrammarError, PatternError, SchemaError
    from power.grammar.json_object import JSON_GRAMMAR
    from power.grammar.parsing import Grammar, parse_gbnf

__all__ = [
    "JSON_GRAMMAR",
    "Acceptor",
    "Answer",
    "AnswerReader",
    "Compiled",
    "Constraint",
    "Dialect",
    "Grammar",
    "GrammarError",
    "Machine",
    "Mismatch",
    "Objects",
    "OnUnsupported",
    "PatternError",
    "SchemaError",
    "State",
    "ToolCallReader",
    "check_gbnf",
    "choice_constraint",
    "choice_to_gbnf",
    "compile_constraint",
    "compile_schema",
    "mismatch",
    "new_call_id",
    "parse_gbnf",
    "regex_to_gbnf",
    "schema_constraint",
    "schema_to_gbnf",
]

# Each is imported when it is first wanted: a worker needs two of these modules, and starts for every load.
_HOMES = {
    "Acceptor": "acceptor",
    "Answer": "answers",
    "AnswerReader": "answers",
    "Compiled": "compile",
    "Constraint": "constraints",
    "Dialect": "dialects",
    "Grammar": "parsing",
    "GrammarError": "errors",
    "JSON_GRAMMAR": "json_object",
    "Machine": "acceptor",
    "Mismatch": "acceptor",
    "Objects": "compile",
    "OnUnsupported": "compile",
    "PatternError": "errors",
    "SchemaError": "errors",
    "State": "acceptor",
    "ToolCallReader": "calls",
    "check_gbnf": "checking",
    "choice_constraint": "constraints",
    "choice_to_gbnf": "constraints",
    "compile_constraint": "constraints",
    "compile_schema": "compile",
    "mismatch": "acceptor",
    "new_call_id": "calls",
    "parse_gbnf": "parsing",
    "regex_to_gbnf": "constraints",
    "schema_constraint": "constraints",
    "schema_to_gbnf": "compile",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'power.grammar' has no attribute {name!r}")
    return getattr(import_module(f"power.grammar.{_HOMES[name]}"), name)
