"""From conversations to prompts, with the model's own template."""

from power.prompt.chat import CHATML, collate, prompt_messages, render_chat
from power.prompt.template import ChatTemplate, compile_template

__all__ = ["CHATML", "ChatTemplate", "collate", "compile_template", "prompt_messages", "render_chat"]
