"""Grammars of answers that are free to call tools or not, and keep to a tool's schema once they do.

Where calls have a mark, everything up to it is free.  Where they have none, an answer
calls if it begins like a call of one of the tools, name and all: what begins otherwise,
even with a brace, is text.  On channels a message's header says whom it is for.  Each
time what is free is a regular language, written into the grammar like the end of
thinking (`power.grammar.compose`): nothing has to watch for a trigger.
"""

from __future__ import annotations

from collections.abc import Sequence

from power.grammar.compose import literal, unless, up_to, up_to_any
from power.grammar.dialects.channels import CHANNEL, MESSAGE, START
from power.grammar.dialects.constrain import Calls
from power.grammar.dialects.dialect import ID, NAME, Dialect, Syntax
from power.grammar.dialects.rulebook import LINES, Rulebook
from power.messages import Tool

ADDRESS = "to=functions."


def lazy_grammar(dialect: Dialect, tools: Sequence[Tool], *, parallel: bool, prompt: str = "") -> str:
    """GBNF of any text that is free of calls, or ends with such calls; empty where it cannot be told what calls.

    On channels it is of the whole answer, thinking and headers included, behind a `prompt` that may have begun one.
    """
    rules = Rulebook()
    calls = Calls(dialect, tools, rules, must=False)
    trigger = (dialect.opening.split(ID)[0].split(NAME)[0].split() or [""])[0]
    if dialect.syntax is Syntax.CHANNEL:
        return _with_headers(calls, rules, inside=MESSAGE in prompt.rpartition(START)[2])
    if len(trigger) < 3:
        return _with_heads(calls, rules, parallel=parallel)
    behind = rules.add("calls-behind", calls.all(parallel=parallel, after=trigger))
    rules.add_all(up_to(trigger, "free", then=behind, may_end=True))
    return rules.print("free-0")


def _with_heads(calls: Calls, rules: Rulebook, *, parallel: bool) -> str:
    heads = {}
    for number, (texts, rest) in enumerate(calls.heads()):
        behind = rules.add(f"call{number}-behind", f"{rest} {calls.after_call(parallel=parallel)}")
        heads.update(dict.fromkeys(texts, behind))
    if not heads or any(one != other and one.startswith(other) for one in heads for other in heads):
        return ""
    rules.add_all(unless(heads, "free"))
    return rules.print(f"{LINES} free-0")


def _with_headers(calls: Calls, rules: Rulebook, *, inside: bool) -> str:
    to = rules.add("addressed", " | ".join(f"{literal(name)} {rest}" for name, rest in calls.messages()))
    rules.add_all(up_to_any({ADDRESS: to, MESSAGE: "body-0"}, "header", may_end=True))
    rules.add_all(up_to_any({START: "header-0", CHANNEL: "header-0"}, "body", may_end=True))
    return rules.print("body-0" if inside else "header-0")
