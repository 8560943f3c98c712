"""Which dialect of tool calls a template's model speaks: asked of the template once, and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from power.grammar.dialects import Dialect, discover
from power.messages import Message, Tool
from power.prompt import gotemplate
from power.prompt.choose import Choice
from power.prompt.fuel import sharing_time
from power.prompt.render import render_jinja

MAX_SECONDS = 0.5  # of computing, for all that is asked of a template; llama.cpp's slowest takes a fifth of it


@lru_cache(maxsize=64)
def find_dialect(template: Choice) -> Dialect | None:
    """How calls are written by the models that a template is of; None if they write none, or nobody knows how."""

    def render(messages: Sequence[Message], tools: Sequence[Tool], *, generate: bool) -> str:
        if template.engine == "go":
            return gotemplate.render_messages(template.text, messages, tools)
        return render_jinja(template.text, messages, tools, add_generation_prompt=generate)

    with sharing_time(MAX_SECONDS):  # what is not found out by then is not known
        return discover(render, template.text)
