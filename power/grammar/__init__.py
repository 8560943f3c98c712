"""What a model may write, and what it wrote: grammars and tool calls."""

from power.grammar.calls import Dialect, ToolCallReader, dialect_of, new_call_id
from power.grammar.json_object import JSON_GRAMMAR

__all__ = ["JSON_GRAMMAR", "Dialect", "ToolCallReader", "dialect_of", "new_call_id"]
