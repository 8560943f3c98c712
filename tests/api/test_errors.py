"""Errors as answers: each API's envelope, and nothing of ours in what nobody planned."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from power.api.encode import Response
from power.api.errors import as_power_error, error_response
from power.errors import (
    BadRequest,
    BodyTooLarge,
    LoadFailed,
    ModelNotFound,
    Overloaded,
    PromptTooLong,
    WorkerDied,
)


async def body(response: Response) -> Any:
    return json.loads(await response.get_data())


@pytest.mark.parametrize(
    ("error", "status", "type", "code"),
    [
        (BadRequest("no", field="options.stop"), 400, "invalid_request_error", None),
        (PromptTooLong(9, 5), 400, "exceed_context_size_error", "context_length_exceeded"),
        (BodyTooLarge("no"), 413, "invalid_request_error", None),
        (ModelNotFound("m"), 404, "not_found_error", "model_not_found"),
        (Overloaded("later"), 503, "api_error", None),
        (LoadFailed("broken"), 500, "api_error", None),
        (WorkerDied("gone"), 500, "api_error", None),
        (ExceptionGroup("g", [ExceptionGroup("h", [ModelNotFound("m")])]), 404, "not_found_error", "model_not_found"),
    ],
)
async def test_an_error_is_the_same_in_both_envelopes(
    error: Exception, status: int, type: str, code: str | None
) -> None:
    native, openai = error_response("/api/chat", error), error_response("/v1/chat/completions", error)

    message = as_power_error(error).message
    assert native.status_code == openai.status_code == status
    assert (await body(native))["error"] == message
    field = getattr(as_power_error(error), "field", None)
    param = field and field.removeprefix("options.")
    told = (await body(openai))["error"]
    assert {name: told[name] for name in ("message", "type", "param", "code")} == {
        "message": message, "type": type, "param": param, "code": code,
    }  # fmt: skip


def test_whoever_has_to_come_back_is_told_when() -> None:
    assert error_response("/api/chat", Overloaded("later", retry_after=7)).headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        ExceptionGroup("g", [ModelNotFound("m"), ValueError("secret")]),
        ExceptionGroup("g", [KeyError()]),
    ],
)
async def test_what_nobody_planned_is_logged_and_not_told(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    response = error_response("/v1/completions", error)

    assert response.status_code == 500
    assert (await body(response))["error"]["type"] == "api_error"
    assert b"secret" not in await response.get_data()
    [record] = caplog.records
    assert record.exc_info
    assert record.exc_info[1] is error


def test_a_client_s_mistake_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    as_power_error(BadRequest("no"))
    as_power_error(Overloaded("later"))

    assert not caplog.records
