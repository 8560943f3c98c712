"""Rules for the parts of a tool's schema: as JSON, or as texts that stand for themselves.

A call that has to be valid may not have a schema that cannot be compiled; a call that a
model makes by itself is free where it has one.
"""

from __future__ import annotations

import logging
from typing import Any

from power.errors import BadRequest
from power.grammar.compile import schema_to_gbnf
from power.grammar.compose import literal
from power.grammar.dialects.rulebook import Rulebook
from power.grammar.dialects.typed import Schema
from power.grammar.errors import SchemaError
from power.grammar.plain import text_to_gbnf

log = logging.getLogger(__name__)


class Parts:
    """Of one tool's schema.

    Every method raises BadRequest for what cannot be compiled, if the calls are `strict`.
    """

    def __init__(self, rules: Rulebook, root: Schema, tool: str, *, strict: bool) -> None:
        self._rules = rules
        self._root = root
        self._tool = tool
        self._strict = strict

    def json(self, schema: Any, name: str) -> str:
        """A rule for the JSON of a part."""
        try:
            grammar = schema_to_gbnf(self._whole(schema))
        except SchemaError as error:
            self._fail(error)
            kind = schema.get("type") if isinstance(schema, dict) else None
            grammar = schema_to_gbnf({"type": "object"} if kind == "object" else {})
        return self._rules.include(grammar, name)

    def text(self, schema: Any, close: str, name: str) -> str:
        """The body of a rule for a text of a part, as it is, and what closes it."""
        return f"{text} {literal(close)}" if (text := self.bound_text(schema, close, name)) else self._any(close)

    def bound_text(self, schema: Any, close: str, name: str) -> str:
        """A rule for the text alone; empty where it may be any."""
        try:
            grammar = text_to_gbnf(self._whole(schema), close.strip()) if isinstance(schema, dict) else ""
        except SchemaError as error:
            self._fail(error)
            return ""
        return self._rules.include(grammar, name) if grammar else ""

    def _any(self, close: str) -> str:
        return self._rules.text_before(close)

    def _whole(self, schema: Any) -> Any:
        """A part, with what its references may mean."""
        defined = {key: self._root[key] for key in ("$defs", "definitions") if key in self._root}
        return {**defined, **schema} if isinstance(schema, dict) else schema

    def _fail(self, error: SchemaError) -> None:
        if self._strict:
            message = f"the parameters of tool '{self._tool}': {error.message}"
            raise BadRequest(message, field="tools") from error
        log.warning("the parameters of tool '%s' are not constrained: %s", self._tool, error.message)
