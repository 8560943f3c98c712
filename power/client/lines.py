"""Streams of the native API: its lines, read as parts of an answer or as steps of some work."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import msgspec

from power.client.values import Chunk, ServerRefused, Step
from power.errors import PowerError


async def chunks(lines: AsyncIterator[str]) -> AsyncGenerator[Chunk, None]:
    done = False
    async for line in lines:
        if line:
            chunk = _chunk(line)
            done = done or chunk.usage is not None
            yield chunk
    if not done:
        raise PowerError("the server ended its answer half-way")


async def steps(lines: AsyncIterator[str]) -> AsyncGenerator[Step, None]:
    status = ""
    async for line in lines:
        if line:
            step = _step(line)
            status = step.status
            yield step
    if status != "success":
        raise PowerError("the server gave up half-way")


def _step(line: str) -> Step:
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        if "error" in fields:
            raise ServerRefused(str(fields["error"]), 500)
        return msgspec.convert(given(fields), Step)
    except msgspec.DecodeError as error:
        raise PowerError(f"the server sent a line that is no progress: {line[:100]!r}") from error


def _progress(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    status, progress = fields.get("status"), fields.get("progress")
    return {**progress, "status": status} if status and isinstance(progress, dict) else None


def _chunk(line: str) -> Chunk:
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        if "error" in fields:
            raise ServerRefused(str(fields["error"]), 500)
        message = fields.get("message") or {}
        return msgspec.convert(
            {
                "content": message.get("content") or fields.get("response") or "",
                "thinking": message.get("thinking") or fields.get("thinking") or "",
                "tool_calls": message.get("tool_calls") or (),
                "done_reason": fields.get("done_reason") or "",
                "usage": fields if fields.get("done") else None,
                "progress": _progress(fields),
            },
            Chunk,
        )
    except (msgspec.DecodeError, AttributeError) as error:
        raise PowerError(f"the server sent a line that is no part of an answer: {line[:100]!r}") from error


def given(body: Mapping[str, Any]) -> dict[str, Any]:
    """What of a body, or of a line, says something."""
    return {name: value for name, value in body.items() if value is not None}
