"""From a conversation to the prompt a model was trained on.

`render_chat` puts the model's own system text and messages first, brings every
message into the shape that Hugging Face's templates expect, and renders the
template of the GGUF.

Templates differ in what they take: most want a call's arguments as an object,
some as JSON text; some fail on a tool without a description or parameters.
So the shape that loses nothing is tried first, and the others where the
template refuses it; nothing is decided by a model's name.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from power.errors import BadRequest
from power.gguf.facts import Facts
from power.messages import Message, Tool, ToolCall
from power.prompt.template import compile_template
from power.stream.thinking import prompt_opens_thinking, thinking_tags

log = logging.getLogger(__name__)

# What llama.cpp falls back to as well: OpenAI's ChatML.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class Templated(Protocol):
    """What a prompt needs to know of a model; `store.StoredModel` is one."""

    @property
    def facts(self) -> Facts: ...
    @property
    def system(self) -> str: ...
    @property
    def messages(self) -> tuple[Message, ...]: ...


def render_chat(
    model: Templated,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    think: bool | str | None = None,
    *,
    add_generation_prompt: bool = True,
) -> str:
    """The prompt for a conversation.

    A last message of the assistant is continued: the prompt ends with its text.

    Raises:
        BadRequest: the template refuses the conversation or fails on it; the message is the template's.
    """
    template = model.facts.chat_template or _without_template(model.facts.name)
    conversation = collate(model, messages)
    begun: Message | None = None
    if add_generation_prompt and len(conversation) > 1 and conversation[-1].role == "assistant":
        begun = None if conversation[-1].tool_calls else conversation[-1]
    if begun is not None:
        conversation = conversation[:-1]
    prompt = _render(template, model.facts, conversation, tools, _variables(think, add_generation_prompt))
    return prompt if begun is None else prompt + _continue(begun, prompt, template)


def prompt_messages(prompt: str, *, system: str | None = None, images: tuple[bytes, ...] = ()) -> tuple[Message, ...]:
    """The conversation that a bare prompt stands for."""
    user = Message(role="user", content=prompt, images=images)
    return (Message(role="system", content=system), user) if system else (user,)


def collate(model: Templated, messages: Sequence[Message]) -> list[Message]:
    """The request's messages behind the model's own, with one system message in front if there is any."""
    request = list(messages)
    if request and request[0].role in ("system", "developer"):
        return [request[0], *model.messages, *request[1:]]
    system = [Message(role="system", content=model.system)] if model.system else []
    return [*system, *model.messages, *request]


class _Shape(NamedTuple):
    """A way to write what templates disagree on."""

    arguments_as_text: bool = False
    complete_tools: bool = False  # missing descriptions and parameters filled in with empty ones
    merge_turns: bool = False  # one system message, in front; neighbours of one role made one


_SHAPES = (
    _Shape(),
    _Shape(arguments_as_text=True),
    _Shape(complete_tools=True),
    _Shape(arguments_as_text=True, complete_tools=True),
    _Shape(merge_turns=True),
    _Shape(arguments_as_text=True, complete_tools=True, merge_turns=True),
)


def _render(
    template: str, facts: Facts, conversation: Sequence[Message], tools: Sequence[Tool], variables: dict[str, Any]
) -> str:
    compiled = compile_template(template)
    refusal: BadRequest | None = None
    for shape in _SHAPES:
        try:
            return compiled.render(
                {
                    **variables,
                    **_tool_variables(tools, shape),
                    "messages": list(_as_dicts(conversation, template, shape)),
                    "bos_token": facts.bos,
                    "eos_token": facts.eos,
                }
            )
        except BadRequest as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _tool_variables(tools: Sequence[Tool], shape: _Shape) -> dict[str, Any]:
    if not tools:
        return {"functions": "[]"}
    # Copies, for each attempt: a template may take from the lists it is given.
    shaped = [_complete(tool) if shape.complete_tools else copy.deepcopy(tool) for tool in tools]
    return {"tools": shaped, "functions": json.dumps(shaped, ensure_ascii=False)}  # firefunction's name for them


def _variables(think: bool | str | None, add_generation_prompt: bool) -> dict[str, Any]:
    variables: dict[str, Any] = {"add_generation_prompt": add_generation_prompt}
    variables["datetime"] = datetime.now().astimezone().strftime("%Y-%m-%d")  # firefunction's
    if think is not None:
        # Qwen's name for it, and DeepSeek's.
        variables["enable_thinking"] = variables["thinking"] = bool(think)
    if isinstance(think, str):
        variables["reasoning_effort"] = think
    return variables


def _as_dicts(conversation: Sequence[Message], template: str, shape: _Shape) -> Iterator[dict[str, Any]]:
    """Messages as templates expect them.

    Calls without an id get one, and a tool's message that does not say which
    call it answers is taken to answer the oldest open one.
    """
    open_calls: list[tuple[str, str]] = []  # id and name, oldest first
    for number, message in enumerate(_merged(conversation) if shape.merge_turns else conversation):
        calls = [(call, call.id or f"call{number:02}{n:03}") for n, call in enumerate(message.tool_calls)]
        written: dict[str, Any] = {"role": _role(message.role, template), "content": message.content}
        if message.thinking:
            written["reasoning_content"] = written["thinking"] = message.thinking
        if calls:
            written["tool_calls"] = [_call_as_dict(call, call_id, shape) for call, call_id in calls]
            open_calls += [(call_id, call.name) for call, call_id in calls]
        if message.role == "tool":
            written |= _answered(message, open_calls)
        yield written


def _merged(conversation: Sequence[Message]) -> list[Message]:
    """For templates that take one system message and strictly alternating turns."""
    system = [message.content for message in conversation if message.role in ("system", "developer")]
    merged = [Message(role="system", content="\n\n".join(system))] if system else []
    for message in conversation:
        last = merged[-1] if merged else None
        if message.role in ("system", "developer"):
            continue
        if last and message.role == last.role == "user":
            content = f"{last.content}\n\n{message.content}"
            merged[-1] = msgspec.structs.replace(last, content=content, images=last.images + message.images)
        else:
            merged.append(message)
    return merged


def _answered(message: Message, open_calls: list[tuple[str, str]]) -> dict[str, str]:
    """Which call a tool's message answers; that one is closed."""
    fits = [
        call
        for call in open_calls
        if message.tool_call_id in ("", call[0]) and (message.tool_call_id or message.tool_name in ("", call[1]))
    ]
    call_id, name = fits[0] if fits else ("", "")
    if fits:
        open_calls.remove(fits[0])
    answered = {"tool_call_id": message.tool_call_id or call_id, "name": message.tool_name or name}
    return {key: value for key, value in answered.items() if value}


def _call_as_dict(call: ToolCall, call_id: str, shape: _Shape) -> dict[str, Any]:
    arguments: Any = copy.deepcopy(call.arguments)
    if shape.arguments_as_text:
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _role(role: str, template: str) -> str:
    # OpenAI's newer name for system; templates that do not know it mostly refuse it.
    return "system" if role == "developer" and "developer" not in template else role


def _complete(tool: Tool) -> Tool:
    tool = copy.deepcopy(tool)
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    function.setdefault("description", "")
    parameters = function.setdefault("parameters", {"type": "object"})
    if isinstance(parameters, dict):
        parameters.setdefault("required", [])
        properties = parameters.setdefault("properties", {})
        for schema in properties.values() if isinstance(properties, dict) else ():
            if isinstance(schema, dict):
                schema.setdefault("description", "")
    return tool


def _continue(begun: Message, prompt: str, template: str) -> str:
    tags = thinking_tags(template)
    if tags is None or not prompt_opens_thinking(prompt, tags) or not begun.content:
        return begun.content
    return f"{begun.thinking}\n{tags[1]}\n\n{begun.content}"


@lru_cache(maxsize=64)  # so that the warning comes once for a model, not for every request
def _without_template(name: str) -> str:
    log.warning("model '%s' has no chat template: ChatML is used, which it may not have been trained on", name)
    return CHATML
