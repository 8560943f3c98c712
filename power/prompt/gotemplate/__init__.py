"""Go's text/template, and Ollama's way from a conversation to a prompt with it."""

from power.prompt.gotemplate.chat import (
    capabilities,
    chat_template,
    render_insert,
    render_messages,
    thinking_apart,
    thinking_tags,
)
from power.prompt.gotemplate.errors import GoTemplateError
from power.prompt.gotemplate.parse import GoTemplate, parse
from power.prompt.gotemplate.run import execute

__all__ = [
    "GoTemplate",
    "GoTemplateError",
    "capabilities",
    "chat_template",
    "execute",
    "parse",
    "render_insert",
    "render_messages",
    "thinking_apart",
    "thinking_tags",
]
