"""What a model may write, and what it wrote: grammars and tool calls.

    schema -> shapes -> expressions -> GBNF

`schema` resolves references, `reading` turns keywords into `shapes` (sets of
JSON values with intersection, union and complement), `values` with `objects`,
`arrays` and `texts` writes them as `expressions`, and `printing` as text.
Everything about characters is a regular `languages` value.
"""

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
