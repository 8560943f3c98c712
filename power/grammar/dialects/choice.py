"""What a request's choice of tools asks of the grammar."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from power.errors import BadRequest
from power.grammar.compose import either
from power.grammar.dialects.channels import START
from power.grammar.dialects.constrain import calls_grammar
from power.grammar.dialects.dialect import Dialect, Syntax
from power.grammar.dialects.free import Lazy, lazy_grammar, triggers_of
from power.grammar.dialects.marks import overlap
from power.messages import Tool, ToolChoice

log = logging.getLogger(__name__)

# Characters: some 250 tools of ten parameters. A grammar of free text that ends in calls is a convenience, is made in a
# fifth of a second (once for all turns with the same tools), and goes to the worker with every request, which reads it
# in 15 ms; what a model was trained to write it mostly writes without.
MAX_LAZY = 500_000


class Constrained(msgspec.Struct, frozen=True):
    """What an answer is held to."""

    grammar: str = ""  # GBNF; empty: nothing
    behind: tuple[str, ...] = ()  # texts behind which whatever begins as a call is one, and keeps to a tool's schema
    whole: bool = False  # thinking is in the grammar already


def constrain_calls(
    dialect: Dialect | None, tools: Sequence[Tool], choice: ToolChoice, *, answer: str = "", prompt: str = ""
) -> Constrained:
    """What holds an answer that may call tools, or has to; `answer` is the grammar of one that calls none, if any.

    Raises:
        BadRequest: a call is demanded, and it is not known how the model writes calls, or a tool's
            schema cannot be compiled.
    """
    free = Constrained(answer)
    if dialect is None or not tools:
        if choice.must:
            raise BadRequest("it is not known how this model calls tools, so none can be demanded", field="tool_choice")
        return free
    in_channels = dialect.syntax is Syntax.CHANNEL
    message = prompt[max(prompt.rfind(START), 0) :]
    begun = message if in_channels else overlap(prompt.rstrip(), dialect.opening.lstrip())
    called = [tool for tool in tools if not choice.names or _name(tool) in choice.names]
    held = _compiled(dialect, json.dumps(called), choice, begun, answer)
    if not choice.must and len(held.grammar) > MAX_LAZY:
        log.info("the calls of %d tools are not constrained: their grammar is too long", len(called))
        return free
    return Constrained(held.grammar, behind=held.behind, whole=in_channels and not choice.must)


@lru_cache(maxsize=32)  # clients send the same tools with every turn
def _compiled(dialect: Dialect, tools: str, choice: ToolChoice, begun: str, answer: str) -> Lazy:
    called = json.loads(tools)
    if not choice.must and (not answer or dialect.syntax is Syntax.CHANNEL):
        return lazy_grammar(dialect, called, parallel=choice.parallel, prompt=begun, answer=answer)
    calls = calls_grammar(dialect, called, parallel=choice.parallel, must=choice.must, prompt=begun)
    if choice.must:
        return Lazy(calls, ("",))
    # An answer in JSON may look like a call that has no mark, or whose mark the prompt has begun.
    return Lazy(either(answer, calls), () if len(begun) > 1 else tuple(triggers_of(dialect)))


def _name(tool: Tool) -> object:
    function = tool.get("function", tool)
    return function.get("name") if isinstance(function, dict) else None
