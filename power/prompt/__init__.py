"""From conversations to prompts, with the model's own template."""

from power.prompt.chat import collate, prompt_messages, render_chat
from power.prompt.choose import CHATML, Choice, capabilities, choose
from power.prompt.fit import Fitted, fit
from power.prompt.insert import render_insert
from power.prompt.template import ChatTemplate, compile_template

__all__ = [
    "CHATML",
    "ChatTemplate",
    "Choice",
    "Fitted",
    "capabilities",
    "choose",
    "collate",
    "compile_template",
    "fit",
    "prompt_messages",
    "render_chat",
    "render_insert",
]
