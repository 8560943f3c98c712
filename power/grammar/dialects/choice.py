"""What a request's choice of tools asks of the grammar."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import lru_cache

from power.errors import BadRequest
from power.grammar.compose import either
from power.grammar.dialects.constrain import calls_grammar, lazy_grammar
from power.grammar.dialects.dialect import Dialect, Syntax
from power.grammar.dialects.marks import overlap
from power.messages import Tool, ToolChoice

log = logging.getLogger(__name__)

# Characters. A grammar of free text that ends in calls is a convenience, and goes to the worker with every request;
# what a model was trained to write it mostly writes without.
MAX_LAZY = 100_000


def constrain_calls(
    dialect: Dialect | None, tools: Sequence[Tool], choice: ToolChoice, *, answer: str = "", prompt: str = ""
) -> str:
    """GBNF for an answer that may call tools, or has to; `answer` is that of one that calls none, empty if it is free.

    Raises:
        BadRequest: a call is demanded, and it is not known how the model writes calls, or a tool's
            schema cannot be compiled.
    """
    if dialect is None or not tools:
        if choice.must:
            raise BadRequest("it is not known how this model calls tools, so none can be demanded", field="tool_choice")
        return answer
    if dialect.syntax is Syntax.CHANNEL and not choice.must:
        return answer  # a message is said or calls something by its header, which the model writes freely
    begun = overlap(prompt.rstrip(), dialect.opening.lstrip())
    called = [tool for tool in tools if not choice.names or _name(tool) in choice.names]
    grammar = _compiled(dialect, json.dumps(called), choice, begun, answer)
    if not choice.must and len(grammar) > MAX_LAZY:
        log.info("the calls of %d tools are not constrained: their grammar is too long", len(called))
        return answer
    return grammar


@lru_cache(maxsize=32)  # clients send the same tools with every turn
def _compiled(dialect: Dialect, tools: str, choice: ToolChoice, begun: str, answer: str) -> str:
    called = json.loads(tools)
    if choice.must:
        return calls_grammar(dialect, called, parallel=choice.parallel, must=True, prompt=begun)
    if answer:
        calls = calls_grammar(dialect, called, parallel=choice.parallel, must=False, prompt=begun)
        return either(answer, calls)
    return lazy_grammar(dialect, called, parallel=choice.parallel)


def _name(tool: Tool) -> object:
    function = tool.get("function", tool)
    return function.get("name") if isinstance(function, dict) else None
