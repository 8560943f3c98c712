"""OpenAI's messages as Power's: content parts, pictures in data URLs, arguments written as strings."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from power.errors import BadRequest
from power.messages import Message, ToolCall

DATA_URL = re.compile(r"data:(?:image/(?:jpeg|jpg|png|webp))?;base64,")


class ImageURL(msgspec.Struct):
    url: str


class Part(msgspec.Struct, kw_only=True):
    type: str
    text: str | None = None
    image_url: str | ImageURL | None = None


class FunctionBody(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] | None = None  # an object is not OpenAI's, but clear enough


class ToolCallBody(msgspec.Struct):
    function: FunctionBody
    id: str | None = None


class MessageBody(msgspec.Struct, kw_only=True):
    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallBody] | None = None
    tool_call_id: str | None = None


def messages_of(bodies: Sequence[MessageBody]) -> tuple[Message, ...]:
    """Each body as one message; raises BadRequest with the place of what is wrong."""
    named: dict[str, str] = {}  # tool call id -> the tool it called, in the messages before
    messages = []
    for index, body in enumerate(bodies):
        messages.append(_message(body, named, f"messages[{index}]"))
        named |= {call.id: call.name for call in messages[-1].tool_calls}
    return tuple(messages)


def _message(body: MessageBody, named: dict[str, str], place: str) -> Message:
    text, images = _content(body, place)
    call_id = body.tool_call_id or ""
    role = body.role.lower()
    return Message(
        role="system" if role == "developer" else role,  # OpenAI's newer word, which templates do not know
        content=text,
        thinking=body.reasoning or body.reasoning_content or "",
        images=images,
        tool_calls=tuple(
            _tool_call(call, f"{place}.tool_calls[{index}]") for index, call in enumerate(body.tool_calls or ())
        ),
        tool_name=(body.name or named.get(call_id, "")) if role == "tool" else "",
        tool_call_id=call_id,
    )


def _content(body: MessageBody, place: str) -> tuple[str, tuple[bytes, ...]]:
    """The text, parts joined by newlines, and the pictures."""
    if body.content is None:
        if not (body.tool_calls or body.reasoning or body.reasoning_content):
            raise BadRequest(f'invalid "{place}.content": a message needs content', field=f"{place}.content")
        return "", ()
    if isinstance(body.content, str):
        return body.content, ()
    texts, images = [], []
    for index, part in enumerate(body.content):
        where = f"{place}.content[{index}]"
        if part.type == "text" and part.text is not None:
            texts.append(part.text)
        elif part.type == "image_url" and part.image_url is not None:
            images.append(_image(part.image_url, where))
        else:
            raise BadRequest(f'invalid "{where}": parts of type "{part.type}" are not supported', field=where)
    return "\n".join(texts), tuple(images)


def _image(image: str | ImageURL, place: str) -> bytes:
    url = image if isinstance(image, str) else image.url
    if url.startswith(("http://", "https://")):
        raise BadRequest("image URLs are not currently supported, please use base64 encoded data instead", field=place)
    prefix = DATA_URL.match(url)
    try:
        return binascii.a2b_base64(url[prefix.end() :], strict_mode=True) if prefix else _fail(place)
    except ValueError:
        return _fail(place)


def _fail(place: str) -> bytes:
    raise BadRequest(f'invalid image input (at "{place}")', field=place)


def _tool_call(body: ToolCallBody, place: str) -> ToolCall:
    return ToolCall(name=body.function.name, arguments=_arguments(body.function.arguments, place), id=body.id or "")


def _arguments(arguments: str | dict[str, Any] | None, place: str) -> dict[str, Any]:
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        where = f"{place}.function.arguments"
        raise BadRequest(f'invalid tool call arguments (at "{where}")', field=where) from None
