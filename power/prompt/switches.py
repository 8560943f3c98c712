"""How a template is told to think, or not to, and how much.

Every family has a variable of its own for it.  A template looks only at those it
knows, so all of them are set; where a template refuses a level, or does not do as
it was told, the next way to say it is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Variables = dict[str, Any]

ON: Variables = {
    "enable_thinking": True,  # Qwen, GLM, Nemotron, Gemma, …
    "thinking": True,  # DeepSeek, Granite, Kimi
    "thinking_mode": "enabled",  # MiniMax
    "thinking_option": "on",  # Ling
    "include_thinking": True,  # Reka
}
OFF: Variables = {
    "enable_thinking": False,
    "thinking": False,
    "thinking_mode": "disabled",
    "thinking_option": "off",
    "include_thinking": False,
    "thinking_budget": 0,  # Seed
    "skip_thinking": True,  # Cohere
}
EFFORTS = ("reasoning_effort", "thinking_effort", "reasoning_strength")  # gpt-oss and others, Kimi, Glimmer
# What to say instead of a level that a template does not know, nearest first.
INSTEAD = {
    "low": ("low", "medium", "high"),
    "medium": ("medium", "high", "low"),
    "high": ("high", "max", "medium"),
    "max": ("max", "high", "medium"),
}


def switches(think: bool | str | None, template: str) -> Iterator[Variables]:
    """Ways to say it, the best one first; each is for a template that refuses the one before."""
    if think is None:
        yield {}
    elif think is False:
        yield OFF
    elif think is True:
        yield ON
    else:
        levels = [level for level in INSTEAD[think] if level != "max" or _knows(template, level)]
        yield from (ON | dict.fromkeys(EFFORTS, level) for level in levels)
        yield ON


def more_clearly(think: bool | str | None) -> Iterator[Variables]:
    """Ways to say it to a template that opens thinking though it should not, or closes it though it should not."""
    if think is False:
        yield from (OFF | dict.fromkeys(EFFORTS, word) for word in ("none", "no_think", "minimal"))
    elif think is True:
        yield from (ON | dict.fromkeys(EFFORTS, level) for level in ("medium", "high"))


def _knows(template: str, level: str) -> bool:
    return re.search(f"""(['"`]){level}\\1""", template) is not None
