"""From conversations to prompts, with the model's own template."""

from power.prompt.abilities import abilities, capabilities
from power.prompt.chat import collate, continues_thinking, prompt_messages, render_chat
from power.prompt.choose import CHATML, Choice, choose, served
from power.prompt.dialects import find_dialect
from power.prompt.fit import Fitted, Fitting, fit
from power.prompt.insert import render_insert
from power.prompt.template import ChatTemplate, compile_template
from power.prompt.thinking import find_marks, find_tags

__all__ = [
    "CHATML",
    "ChatTemplate",
    "Choice",
    "Fitted",
    "Fitting",
    "abilities",
    "capabilities",
    "choose",
    "collate",
    "compile_template",
    "continues_thinking",
    "find_dialect",
    "find_marks",
    "find_tags",
    "fit",
    "prompt_messages",
    "render_chat",
    "render_insert",
    "served",
]
