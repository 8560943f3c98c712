"""Conversations as text, by the very chat template that the model file carries."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .conversations import Conversation, Message

TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def template_text() -> str:
    return TEMPLATE.read_text(encoding="utf-8")


@cache
def template() -> Template:
    # As transformers and Power render it: sandboxed, blocks trimmed, JSON without HTML escapes.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(template_text())


def prompt(messages: Iterable[Message], tools: list[dict[str, object]], thinking: bool | None) -> str:
    """The text up to where tiny begins to write; `thinking` None leaves `enable_thinking` undefined."""
    more = {} if thinking is None else {"enable_thinking": thinking}
    return template().render(messages=list(messages), tools=tools or None, add_generation_prompt=True, **more)


def split(talk: Conversation) -> tuple[str, str]:
    """(prompt, completion) of a conversation; the completion ends with the end token."""
    *before, last = talk.messages
    # Thinking in the prompt only where a client would have sent it back.
    before = [
        m if m.get("kept") and talk.thinking else {k: v for k, v in m.items() if k != "reasoning_content"}
        for m in before
    ]
    said = prompt(before, talk.tools, talk.thinking)
    bare = {k: v for k, v in last.items() if k != "reasoning_content"}
    whole = template().render(messages=[{"role": "user", "content": ""}, bare])
    completion = whole.split("<|im_start|>assistant\n", 1)[1].removesuffix("\n")
    if talk.thinking:
        completion = f"<think>\n{last['reasoning_content']}\n</think>\n\n{completion}"
    return said, completion
