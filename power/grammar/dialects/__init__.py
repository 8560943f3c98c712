"""Tool-call dialects: how models write calls, found out, read, written and constrained."""

from power.grammar.dialects.choice import constrain_calls
from power.grammar.dialects.dialect import HERMES, Dialect, Syntax
from power.grammar.dialects.discovery import discover
from power.grammar.dialects.probe import Render
from power.grammar.dialects.typed import Tools
from power.grammar.dialects.written import Written, written

__all__ = ["HERMES", "Dialect", "Render", "Syntax", "Tools", "Written", "constrain_calls", "discover", "written"]
