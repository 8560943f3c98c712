"""Dialects of models whose templates write no calls, by what they tell the model to write.

Some templates only offer tools: the model was trained on calls that its template
never shows.  What a syntax looks like is known by the marks that offer it.
"""

from __future__ import annotations

import re

from power.grammar.dialects.dialect import HERMES, Dialect, Syntax

GRANITE = Dialect(syntax=Syntax.OBJECT, section_open="<|tool_call|>[", section_close="]", separator=", ")
LFM2 = Dialect(
    syntax=Syntax.PYTHON,
    section_open="<|tool_call_start|>[",
    section_close="]<|tool_call_end|>",
    separator=", ",
    python_words=True,
)
DEEPSEEK_R1 = Dialect(
    syntax=Syntax.ARGUMENTS,
    section_open="<｜tool▁calls▁begin｜>",
    section_close="<｜tool▁calls▁end｜>",
    call_open="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    call_close="\n```<｜tool▁call▁end｜>",
    separator="\n",
    name_end="\n```json\n",
)

# What a prompt with tools shows, and what it means.
_SIGNS: tuple[tuple[str, Dialect], ...] = (
    (r"<tool_call>\s*\{\s*\"?name", HERMES),
    (r"<\|tool_call\|> followed by a JSON list", GRANITE),
    (r"List of tools: (?:<\|tool_list_start\|>)?\[", LFM2),
    (r"<｜tool▁calls▁begin｜>", DEEPSEEK_R1),
)


def taught(prompt: str, template: str = "") -> Dialect | None:
    """The dialect that a prompt with tools asks for, or that its template knows of."""
    for text in (prompt, template):
        for sign, dialect in _SIGNS:
            if re.search(sign, text):
                return dialect
    return None
