"""What an answer is held to: the request's constraint, calls of its tools, and thinking before either.

The compiler hands over what it made as values beside the text: llama.cpp reads
the text, the worker looks ahead in the values, and neither is made of the other.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from power.config import Config
from power.grammar import Compiled, Constraint, Objects, OnUnsupported, compile_constraint, parse_gbnf
from power.grammar.compose import after_thinking
from power.grammar.dialects import Dialect, constrain_calls
from power.grammar.expressions import Expr
from power.grammar.printing import Written
from power.stream.blocks import Thinking

if TYPE_CHECKING:
    from power.planning import Generation

log = logging.getLogger(__name__)

# Characters of a grammar: some 200 ms of reading, and a long message to the worker with every request.
MAX_FOLLOWED = 100_000
FREE = Written("", {})


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What holds one answer."""

    grammar: str = ""  # GBNF; empty: nothing
    rules: dict[str, Expr] = {}  # the same as values; empty: it is too long to look ahead in
    tells: tuple[str, ...] = ()  # behind any of these texts it is held to its dialect's calls
    ignored: tuple[str, ...] = ()  # JSON pointers into the schema, to what the grammar leaves out


def hold(
    request: Generation,
    config: Config,
    dialect: Dialect | None,
    thinking: Thinking | None,
    *,
    prompt: str,
    thinks: bool,
) -> Hold:
    """For an answer that continues the prompt; takes some tens of milliseconds, and for hostile schemas a little more.

    Raises:
        BadRequest: the constraint or a demand for calls cannot be kept to.
    """
    asked = _asked(request.constraint, config)
    answer = asked.written
    calls = constrain_calls(dialect, request.tools, request.tool_choice, answer=answer.text, prompt=prompt)
    whole = answer if calls.grammar == answer.text else _read(calls.grammar)
    if whole.text and thinking and (thinks or thinking.begun) and not calls.whole:
        # On channels more than a tag comes before an answer; a call has a header of its own.
        close = thinking.ending if thinking.channels and not request.tool_choice.must else thinking.close
        whole = after_thinking(whole, thinking.open, close, begun=thinking.begun)
    rules = whole.rules if len(whole.text) <= MAX_FOLLOWED else {}
    return Hold(grammar=whole.text, rules=rules, tells=calls.behind, ignored=asked.ignored)


def _asked(constraint: Constraint | None, config: Config) -> Compiled:
    """The grammar of what is asked for; what is left out of it is in the log."""
    if constraint is None:
        return Compiled(FREE)
    compiled = _compile(constraint, config.objects, config.on_unsupported)
    for pointer in compiled.ignored:
        log.warning("%s: an answer is not held to %s", constraint.field, pointer)
    return compiled


@lru_cache(maxsize=64)  # clients send the same few schemas again and again
def _compile(constraint: Constraint, objects: Objects, on_unsupported: OnUnsupported) -> Compiled:
    return compile_constraint(constraint, objects=objects, on_unsupported=on_unsupported)


@lru_cache(maxsize=64)
def _read(grammar: str) -> Written:
    """A grammar of calls, which is put together as text."""
    return Written(grammar, parse_gbnf(grammar).rules if len(grammar) <= MAX_FOLLOWED else {})
