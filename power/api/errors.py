"""Errors as answers, each API in its own envelope.

Whatever a handler raises becomes a `PowerError` here: ours as they are, anything
else is logged with its traceback and told to the client as an internal error.
Native routes say `{"error": "…"}`, everything under `/v1` says what OpenAI says.
"""

from __future__ import annotations

import logging
from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from power.api.encode import Response, json_response, line_bytes, text_response
from power.errors import BadRequest, ModelNotFound, Overloaded, PowerError, PromptTooLong

# llama-server's word for it, in a field where its clients look; OpenAI's own is the code.
TOO_LONG = "exceed_context_size_error"

log = logging.getLogger("power.api")

OPENAI_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "invalid_request_error",
    501: "not_supported_error",
}


def as_power_error(error: BaseException) -> PowerError:
    """The error to tell the client; one that is not ours is logged first."""
    ours = power_error_in(error)
    if ours is None:
        log.error("a request failed in a way nobody planned", exc_info=error)
        return PowerError("internal error: the server's log says more")
    if ours.status >= 500 and not isinstance(ours, Overloaded):
        log.warning("a request failed: %s", ours)
    return ours


def error_response(path: str, error: BaseException) -> Response:
    """The whole answer to a request on `path` that failed before its first byte."""
    ours = as_power_error(error)
    headers = {"Retry-After": str(ours.retry_after)} if isinstance(ours, Overloaded) else {}
    if ours.status in (408, 413):
        headers["Connection"] = "close"  # the rest of the body is of no use to anybody
    body = openai_envelope(ours) if is_openai(path) else native_envelope(ours)
    return json_response(body, ours.status, headers)


def is_openai(path: str) -> bool:
    return path.startswith("/v1/")


def native_envelope(error: PowerError) -> dict[str, Any]:
    code = {"code": TOO_LONG} if isinstance(error, PromptTooLong) else {}
    return {"error": error.message} | code | _numbers(error)


def openai_envelope(error: PowerError) -> dict[str, Any]:
    field = error.field if isinstance(error, BadRequest) else None
    return {
        "error": {
            "message": error.message,
            "type": TOO_LONG if isinstance(error, PromptTooLong) else OPENAI_TYPES.get(error.status, "api_error"),
            "param": field and field.removeprefix("options."),
            "code": _openai_code(error),
            **_numbers(error),
        }
    }


def ndjson_error(error: PowerError) -> bytes:
    """The last line of a native stream that failed."""
    return line_bytes(native_envelope(error)) + b"\n"


def sse_error(error: PowerError) -> bytes:
    """The last event of an OpenAI stream that failed; no `[DONE]` follows it."""
    return b"data: " + line_bytes(openai_envelope(error)) + b"\n\n"


def routing_response(error: HTTPException) -> Response:
    """What a path or method that is not ours gets: two plain texts, or a redirect."""
    if isinstance(error, NotFound):
        return text_response("404 page not found", 404)
    if isinstance(error, MethodNotAllowed):
        return text_response("405 method not allowed", 405, {"Allow": ", ".join(sorted(error.valid_methods or ()))})
    location = dict(error.get_headers()).get("Location") or error.get_response().headers.get("Location", "/")
    return text_response("", error.code or 500, {"Location": location})


def power_error_in(error: BaseException) -> PowerError | None:
    """Our error in `error`, be it alone or in a group with nothing else in it."""
    if isinstance(error, PowerError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [power_error_in(inner) for inner in error.exceptions]
        return found[0] if all(found) else None
    return None


def _numbers(error: PowerError) -> dict[str, Any]:
    """What a client can shorten a prompt by, in llama-server's words."""
    if not isinstance(error, PromptTooLong):
        return {}
    return {"n_prompt_tokens": error.n_prompt, "n_ctx": error.n_ctx}


def _openai_code(error: PowerError) -> str | None:
    if isinstance(error, ModelNotFound):
        return "model_not_found"
    if isinstance(error, PromptTooLong):
        return "context_length_exceeded"
    return None
