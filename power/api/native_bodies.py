"""What `/api/generate` and `/api/chat` take, and the generations it asks for."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from power.api.constraints import ConstraintFields, read_constraint, read_format
from power.api.requests import body_decoder, read_probs, read_think, read_tools
from power.api.tool_choice import read_tool_choice
from power.durations import parse_keep_alive
from power.errors import BadRequest, ModelNotFound
from power.generate import Generation
from power.messages import Message, ToolCall


class Body(ConstraintFields, kw_only=True):
    """What both routes take. A null, as in Go, says nothing."""

    model: str | None = None
    stream: bool | None = None
    format: Any = None
    keep_alive: Any = None
    options: dict[str, Any] | None = None
    think: Any = None
    think_budget: int | None = None  # not Ollama's: `options.think_budget` by another way
    logprobs: bool | None = None
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None
    priority: int | None = None
    max_queue_seconds: float | None = None
    return_progress: bool | None = None  # llama-server's, of streams
    debug_render_only: bool | None = msgspec.field(name="_debug_render_only", default=None)


class GenerateBody(Body, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: tuple[int, ...] | None = None
    raw: bool | None = None
    images: tuple[bytes, ...] | None = None  # base64 on the wire


class FunctionBody(msgspec.Struct):
    name: str
    arguments: dict[str, Any] | str | None = None  # an object; as OpenAI's clients keep it, its JSON


class ToolCallBody(msgspec.Struct):
    function: FunctionBody
    id: str | None = None


class PartBody(msgspec.Struct):
    type: Literal["text"]
    text: str


class MessageBody(msgspec.Struct, kw_only=True):
    role: str
    content: str | list[PartBody] | None = None  # a text; as OpenAI's clients keep it, its parts
    thinking: str | None = None
    images: tuple[bytes, ...] | None = None
    tool_calls: list[ToolCallBody] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class ChatBody(Body, kw_only=True):
    messages: list[MessageBody] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None  # not Ollama's, as the next
    parallel_tool_calls: bool | None = None


generate_body = body_decoder(GenerateBody)
chat_body = body_decoder(ChatBody)


def is_load_only(body: GenerateBody) -> bool:
    """Does it ask for nothing but the model in memory, or out of it?"""
    return not (body.prompt or body.suffix or body.images)


def generation_of_prompt(body: GenerateBody) -> Generation:
    """The generation a generate body asks for; raises BadRequest or ModelNotFound."""
    common = _common(body)
    if not body.model:
        raise ModelNotFound("")
    if body.raw and (body.template or body.system or body.context):
        raise BadRequest("raw mode does not support template, system, or context", field="raw")
    return Generation(
        **common,
        prompt=body.prompt or "",
        raw=bool(body.raw),
        system=body.system or None,
        template=body.template or None,
        context=_token_ids(body.context or ()),
        suffix=body.suffix or "",
        images=body.images or (),
        want_tokens=not body.raw,  # they come back as `context`, which raw mode has not
    )


def generation_of_messages(body: ChatBody) -> Generation:
    """The generation a chat body asks for; raises BadRequest."""
    common = _common(body)
    if not body.model:
        raise BadRequest("model is required", field="model")
    messages = tuple(message(item) for item in body.messages or ())
    tools, choice = read_tool_choice(body.tool_choice, body.parallel_tool_calls, read_tools(body.tools))
    return Generation(**common, messages=messages, tools=tools, tool_choice=choice)


def _common(body: Body) -> dict[str, Any]:
    return {
        "n_probs": read_probs(body.logprobs, body.top_logprobs),
        "model": body.model or "",
        "think": read_think(body.think),
        "truncate": body.truncate is not False,
        "shift": body.shift,
        "constraint": read_constraint(body, read_format(body.format)),
        "options": (body.options or {}) | ({} if body.think_budget is None else {"think_budget": body.think_budget}),
        "want_progress": body.return_progress is True and body.stream is not False,
        "keep_alive": None if body.keep_alive is None else parse_keep_alive(body.keep_alive),
    }


def _token_ids(context: tuple[int, ...]) -> tuple[int, ...]:
    # Whether an id is one of the model's is for its worker to say; here it only has to be able to be one.
    if not all(0 <= token < 2**31 for token in context):
        raise BadRequest('invalid "context": it has a number that is no token id', field="context")
    return context


def message(body: MessageBody) -> Message:
    return Message(
        role=body.role.lower(),
        content=body.content if isinstance(body.content, str) else "\n".join(part.text for part in body.content or ()),
        thinking=body.thinking or "",
        images=body.images or (),
        tool_calls=tuple(
            ToolCall(name=call.function.name, arguments=_arguments(call.function.arguments), id=call.id or "")
            for call in body.tool_calls or ()
        ),
        tool_name=body.tool_name or "",
        tool_call_id=body.tool_call_id or "",
    )


def _arguments(arguments: dict[str, Any] | str | None) -> dict[str, Any]:
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest("a tool call's arguments are no JSON object", field="messages.tool_calls") from None
