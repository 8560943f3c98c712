"""Grammars of answers that are free to call tools or not, and keep to a tool's schema once they do.

Where calls have a mark, everything up to it is free.  Where they have none, an answer
calls if it begins like a call of one of the tools, name and all: what begins otherwise,
even with a brace, is text.  On channels a message's header says whom it is for.  Each
time what is free is a regular language, written into the grammar like the end of
thinking (`power.grammar.compose`): nothing has to watch for a trigger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product

import msgspec

from power.grammar.compose import literal, prefixed, unless, up_to_any
from power.grammar.dialects.channels import CHANNEL, MESSAGE, START
from power.grammar.dialects.constrain import Calls
from power.grammar.dialects.dialect import ID, INDEX, NAME, Dialect, Syntax
from power.grammar.dialects.rulebook import LINES, Rulebook
from power.messages import Tool

ADDRESS = "to=functions."
THINKING = "analysis"
SAID = "said-root"
# A tag as far as it goes, or a word with a sign in it that prose seldom has.
_MARK = re.compile(r"(?:<[^<>]*(?:>|$)|[\[|`{>])\S*")
MIN_TRIGGER = 3  # characters; a bracket alone opens many things


class Lazy(msgspec.Struct, frozen=True):
    """GBNF, and the texts behind which it holds; neither where it cannot be told what calls."""

    grammar: str = ""
    behind: tuple[str, ...] = ()


def lazy_grammar(
    dialect: Dialect, tools: Sequence[Tool], *, parallel: bool, prompt: str = "", answer: str = ""
) -> Lazy:
    """Any text that is free of calls, or ends with such calls; the `prompt` may have begun one.

    On channels it is the whole answer, thinking and headers included, and what is said to the user keeps to
    the grammar of an `answer`, if there is one.
    """
    rules = Rulebook()
    calls = Calls(dialect, tools, rules, must=False)
    if dialect.syntax is Syntax.CHANNEL:
        return Lazy(_with_headers(calls, rules, prompt.rpartition(START)[2], answer), ("",))
    triggers = triggers_of(dialect)
    if not triggers:
        return _with_heads(calls, rules, parallel=parallel)
    ends = {}
    for number, (text, opened) in enumerate(triggers.items()):
        ends[text] = rules.add(f"calls-behind{number}", calls.all(parallel=parallel, after=opened))
    opened = dialect.opening.lstrip()
    if prompt and prompt.endswith(opened) and (heads := _named(calls, rules, parallel=parallel)):
        rules.add_all(unless(heads, "free", ends))
        return Lazy(rules.print("free-all"), ("",))
    rules.add_all(up_to_any(ends, "free", may_end=True))
    return Lazy(rules.print("free-0"), () if len(prompt) > 1 else tuple(triggers))


def triggers_of(dialect: Dialect) -> dict[str, str]:
    """What no answer has but one that calls, each with what of a call's opening has been written then.

    The first words of the opening, as far as to one that looks like a mark: `Action:` alone may be prose.  A mark
    that ends an answer's words, too, is one only together with what follows.  Of tags on lines of their own a model
    may forget the first.
    """
    found: dict[str, str] = {}
    start = 0
    for part in re.split(f"({ID}|{INDEX}|{NAME})", dialect.opening):
        begun = len(part) - len(part.lstrip())
        for mark in _MARK.finditer(part):
            if found and not (part[: mark.start()].endswith("\n") and mark[0].startswith("<")):
                continue
            text = mark[0] if found else part[begun : mark.end()]
            is_another = text not in dialect.content_close and not any(text in other for other in found)
            if len(text) >= MIN_TRIGGER and is_another:
                found[text] = dialect.opening[: start + mark.end()]
        start += len(part)
    return found


def _named(calls: Calls, rules: Rulebook, *, parallel: bool) -> dict[str, str]:
    """Behind an opening that the prompt has written: the names that make a call of it, and what comes then."""
    heads = {}
    for number, (text, rest) in enumerate(calls.names()):
        heads[text] = rules.add(f"named{number}", f"{rest} {calls.after_call(parallel=parallel)}")
    return {} if _overlap(heads) else heads


def _overlap(heads: Iterable[str]) -> bool:
    return any(one != other and one.startswith(other) for one, other in product(heads, repeat=2))


def _with_heads(calls: Calls, rules: Rulebook, *, parallel: bool) -> Lazy:
    heads = {}
    for number, (texts, rest) in enumerate(calls.heads()):
        behind = rules.add(f"call{number}-behind", f"{rest} {calls.after_call(parallel=parallel)}")
        heads.update(dict.fromkeys(texts, behind))
    if not heads or _overlap(heads):
        return Lazy()
    rules.add_all(unless(heads, "free"))
    return Lazy(rules.print(f"{LINES} free-all"), tuple(heads))


def _with_headers(calls: Calls, rules: Rulebook, begun: str, answer: str) -> str:
    to = rules.add("addressed", " | ".join(f"{literal(name)} {rest}" for name, rest in calls.messages()))
    rules.add_all(up_to_any({START: "header-0", CHANNEL: "header-0"}, "body", may_end=True))
    is_inside = MESSAGE in begun
    if not answer:
        rules.add_all(up_to_any({ADDRESS: to, MESSAGE: "body-0"}, "header", may_end=True))
        return rules.print("body-0" if is_inside else "header-0")
    thought = rules.add("thought", f'{literal(MESSAGE)} body-0 | " " thinking-0')
    rules.add_all(up_to_any({ADDRESS: to, MESSAGE: "body-0"}, "thinking"))
    rules.add_all(up_to_any({ADDRESS: to, THINKING: thought, MESSAGE: SAID}, "header"))
    told = "body-0" if is_inside else thought
    untold = SAID if is_inside else "header-0"
    root = told if THINKING in begun else untold
    return f"{rules.print(root)}{prefixed(answer, 'said')}"
