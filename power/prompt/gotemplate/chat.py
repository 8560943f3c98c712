"""Prompts from Go templates, as Ollama makes them (template/template.go).

A template that names `.Messages` is executed once, over the whole conversation.
One that does not is older than chats: it writes a single exchange of system,
prompt and response, and is executed for each, the last time only up to where the
model's response goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from power.messages import Message, Tool
from power.prompt.gotemplate.data import message_struct, tools_value
from power.prompt.gotemplate.nodes import Action, Branch, Call, Field, Item, List, Node, Pipe, Text, walk
from power.prompt.gotemplate.parse import GoTemplate, parse
from power.prompt.gotemplate.run import execute

RESPONSE = "{{ .Response }}"


@lru_cache(maxsize=64)
def chat_template(text: str) -> GoTemplate:
    """The template, with a place for the response if it names neither that nor messages. Raises GoTemplateError."""
    template = parse(text)
    return template if template.variables & {"messages", "response"} else parse(text + RESPONSE)


def render_messages(
    text: str, messages: Sequence[Message], tools: Sequence[Tool] = (), think: bool | str | None = None
) -> str:
    """The prompt for a conversation. Raises GoTemplateError, or BadRequest for one that asks for too much."""
    template = chat_template(text)
    system, collated = collate(messages)
    if "messages" not in template.variables:
        return _render_exchanges(template, collated, think)
    chat = {"Messages": [message_struct(message) for message in collated], "Tools": tools_value(tools)}
    return execute(template, {"System": system, "Response": "", **chat, **_thinking(think)})


def render_insert(text: str, prompt: str, suffix: str, think: bool | str | None = None) -> str:
    """The prompt for what goes between two texts. Raises like `render_messages`."""
    return execute(chat_template(text), {"Prompt": prompt, "Suffix": suffix, "Response": "", **_thinking(think)})


def collate(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    """All that systems say, and the messages with neighbours of one role made one; tools' stay as they are."""
    collated: list[Message] = []
    for message in messages:
        last = collated[-1] if collated else None
        if last is not None and last.role == message.role != "tool":
            collated[-1] = msgspec.structs.replace(last, content=f"{last.content}\n\n{message.content}")
        else:
            collated.append(message)
    return "\n\n".join(message.content for message in messages if message.role == "system"), collated


def thinking_apart(text: str, messages: Sequence[Message]) -> list[Message]:
    """Thinking that a client left in the text of past answers, put where the template looks for it."""
    tags = thinking_tags(text)
    return [_thinking_apart(message, *tags) for message in messages] if tags else list(messages)


def _thinking_apart(message: Message, opening: str, closing: str) -> Message:
    begun = message.content.lstrip()
    if message.role != "assistant" or message.thinking or not begun.startswith(opening) or closing not in begun:
        return message
    thinking, _, content = begun.removeprefix(opening).partition(closing)
    return msgspec.structs.replace(message, thinking=thinking.strip(), content=content.lstrip())


def _thinking(think: bool | str | None) -> dict[str, Any]:
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _render_exchanges(template: GoTemplate, messages: Sequence[Message], think: bool | str | None) -> str:
    exchange = {"system": "", "user": "", "assistant": ""}
    out: list[str] = []

    def write(root: List | None = None) -> None:
        data = {"System": exchange["system"], "Prompt": exchange["user"], "Response": exchange["assistant"]}
        out.append(execute(template, {**data, **_thinking(think)}, root))
        exchange.update(dict.fromkeys(exchange, ""))

    for message in messages:
        pending = {"system": ("user", "assistant"), "user": ("assistant",)}.get(message.role, ())
        if any(exchange[role] for role in pending):
            write()
        if message.role in exchange:
            exchange[message.role] = message.content
    write(cut_after_response(template.root))
    return "".join(out)


def cut_after_response(root: List) -> List:
    """The tree up to and with the first `.Response` outside of a condition: there the model goes on."""
    return _Cut().list(root)


class _Cut:
    def __init__(self) -> None:
        self._done = False

    def list(self, tree: List) -> List:
        items: list[Item] = []
        for item in tree.items:
            if self._done:
                break
            items.append(self._item(item))
        return List(items=tuple(items), at=tree.at)

    def _item(self, item: Item) -> Item:
        if isinstance(item, Branch):
            body = self.list(item.body)
            orelse = None if item.orelse is None or self._done else self.list(item.orelse)
            return Branch(keyword=item.keyword, pipe=item.pipe, body=body, orelse=orelse, at=item.at)
        if isinstance(item, Action):
            self._done = names_field(item.pipe, "Response")
        return item


def names_field(node: Node, name: str) -> bool:
    """Whether a field of that name is used anywhere in it; `$.Name` is a variable and does not count."""
    return any(isinstance(part, Field) and name in part.names for part in walk(node))


def thinking_tags(text: str) -> tuple[str, str] | None:
    """What a template writes around `.Thinking`: the texts that begin and end the list of nodes it stands in.

    Only where the nearest range goes over `.Messages`; the last find wins, for each tag by itself.
    """
    tags = _Tags()
    tags.visit(chat_template(text).root, None)
    return (tags.opening, tags.closing) if tags.opening and tags.closing else None


class _Tags:
    """Ollama's search (thinking/template.go), which also counts conditions on `.Thinking`."""

    def __init__(self) -> None:
        self.opening = self.closing = ""

    def visit(self, tree: List, over: Pipe | None) -> None:
        for item in tree.items:
            is_range = isinstance(item, Branch) and item.keyword == "range"
            if isinstance(item, Action | Branch | Call) and item.pipe is not None:
                inner = item.pipe if is_range else over
                if inner is not None and names_field(item.pipe, "Thinking") and names_field(inner, "Messages"):
                    self._take(tree)
            if isinstance(item, Branch):
                self.visit(item.body, item.pipe if is_range else over)
                self.visit(item.orelse or List(items=()), item.pipe if is_range else over)

    def _take(self, tree: List) -> None:
        first, last = tree.items[0], tree.items[-1]
        if isinstance(first, Text):
            self.opening = first.text.strip()
        if isinstance(last, Text):
            self.closing = last.text.strip()


def capabilities(text: str) -> tuple[str, ...]:
    """What a template shows that its model can do. Raises GoTemplateError."""
    variables = chat_template(text).variables
    found = {
        "tools": "tools" in variables,
        "insert": "suffix" in variables,
        "thinking": thinking_tags(text) is not None,
    }
    return tuple(name for name, there in found.items() if there)
