"""`return_progress`: what a stream tells before its text."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest
import trio

from tests.conftest import Serve
from tests.support import lines, metric, wait_for
from tests.test_hangups import LONG, SHORT, hang_up

from .conftest import ask

WATCHED = {**SHORT, "return_progress": True}


@asynccontextmanager
async def busy(client: httpx.AsyncClient) -> AsyncIterator[trio.Event]:
    """The model's only slot is taken until the event is set, or the block ends."""
    async with trio.open_nursery() as nursery:
        stop = trio.Event()
        nursery.start_soon(hang_up, client, LONG, stop)
        await wait_for(client, "power_requests_running{", 1)
        yield stop
        stop.set()


async def test_the_position_in_the_queue_goes_down_as_others_end(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, num_parallel=1) as client, busy(client) as stop, trio.open_nursery() as nursery:
        next_one = trio.Event()
        nursery.start_soon(hang_up, client, LONG, next_one)
        await wait_for(client, "power_requests_waiting{", 1)
        told = []
        async with client.stream("POST", "/api/generate", json=WATCHED) as response:
            async for line in lines(response):
                told.append(line)
                if line.get("status") == "queued":
                    {2: stop, 1: next_one}[line["progress"]["position"]].set()

    positions = [line["progress"]["position"] for line in told if line.get("status") == "queued"]
    assert positions == [2, 1]
    assert all(line["response"] == "" and not line["done"] for line in told if "status" in line)
    assert told[-1]["done"]
    assert "status" not in told[-1]


async def test_the_place_in_the_line_for_memory_is_told(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, num_parallel=1, max_loaded_models=1) as client, busy(client) as stop:
        told = []
        async with client.stream("POST", "/api/generate", json=WATCHED | {"model": "tiny"}) as response:
            async for line in lines(response):
                told.append(line)
                if len(told) == 1:
                    await wait_for(client, "power_requests_waiting_for_memory", 1)
                stop.set()
        await wait_for(client, "power_requests_waiting_for_memory", 0)

    assert (told[0]["status"], told[0]["progress"]) == ("loading", {"loaded": 0.0, "position": 1})
    assert told[-1]["done"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_on_v1_too_the_position_is_told(serving: Serve, endless: Path, path: str) -> None:
    prompt = {"messages": ask()["messages"]} if "chat" in path else {"prompt": "y"}
    body = {"model": "m", "stream": True, "max_tokens": 1, "return_progress": True, **prompt}
    async with serving({"m": endless}, num_parallel=1) as client, busy(client) as stop:
        events = []
        async with client.stream("POST", path, json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    events.append(json.loads(line.removeprefix("data: ")))
                    stop.set()

    assert (events[0]["status"], events[0]["progress"]) == ("queued", {"position": 1})
    assert all(event["choices"] for event in events)
    assert events[-1]["choices"][0]["finish_reason"] == "length"


async def test_a_long_prompt_is_seen_being_read(serving: Serve, endless: Path) -> None:
    body = {**WATCHED, "prompt": "x " * 2000}
    async with (
        serving({"m": endless}, num_parallel=1, context_length=8000) as client,
        client.stream("POST", "/api/generate", json=body) as response,
    ):
        told = [line async for line in lines(response)]

    steps = [line["progress"] for line in told if line.get("status") == "prefill"]
    assert (steps[0]["processed"], steps[0]["cache"]) == (0, 0)
    assert [step["processed"] for step in steps] == sorted(step["processed"] for step in steps)
    assert {step["total"] for step in steps} == {told[-1]["prompt_eval_count"]}
    assert steps[-1]["processed"] == steps[-1]["total"]


async def test_hanging_up_while_the_position_is_told_frees_the_place(serving: Serve, endless: Path) -> None:
    told = trio.Event()

    async def watch() -> None:
        async with client.stream("POST", "/api/generate", json=WATCHED) as response:
            async for line in lines(response):
                assert line["progress"] == {"position": 1}
                told.set()

    async with serving({"m": endless}, num_parallel=1, max_queue=1) as client, busy(client):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await told.wait()
            assert (await client.post("/api/generate", json=WATCHED)).status_code == 503
            nursery.cancel_scope.cancel()

        await wait_for(client, "power_requests_waiting{", 0)


async def test_hanging_up_while_the_prompt_is_read_frees_the_slot(serving: Serve, endless: Path) -> None:
    told = trio.Event()

    async def watch() -> None:
        async with client.stream("POST", "/api/generate", json={**WATCHED, "prompt": "x " * 7000}) as response:
            async for line in lines(response):
                if line.get("status") == "prefill":
                    told.set()

    async with serving({"m": endless}, num_parallel=1, context_length=16_000) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await told.wait()
            nursery.cancel_scope.cancel()

        await wait_for(client, "power_requests_running{", 0)
        assert (await client.post("/api/generate", json={**SHORT, "stream": False})).json()["eval_count"] == 1


def test_what_fails_before_there_is_anything_to_tell_has_its_own_status(http: httpx.Client) -> None:
    messages = ask()["messages"]
    assert http.post("/api/chat", json=ask()).status_code == 200  # it is in memory: that is not to be waited for
    for path, body, status in (
        ("/api/chat", {**ask(), "model": "nosuch"}, 404),
        ("/api/chat", {**ask(), "options": {"temperature": "hot"}}, 400),
        ("/v1/chat/completions", {"model": "tiny", "messages": messages, "stream": True, "max_tokens": -7}, 400),
        ("/v1/completions", {"model": "tiny", "prompt": "far too long " * 400, "stream": True}, 400),
    ):
        answer = http.post(path, json={**body, "return_progress": True})

        assert answer.status_code == status, answer.text
        assert answer.json()["error"]


async def test_what_fails_after_something_was_told_is_told_in_the_stream(serving: Serve, endless: Path) -> None:
    async def ask_as_another() -> None:
        await client.post("/api/generate", json=SHORT, headers={"Authorization": "Bearer another"})

    told = []
    async with (
        serving({"m": endless}, num_parallel=1, max_queue=2) as client,
        busy(client),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(hang_up, client, SHORT, trio.Event())
        await wait_for(client, "power_requests_waiting{", 1)
        async with client.stream("POST", "/api/generate", json=WATCHED) as response:
            async for line in lines(response):
                told.append(line)
                if len(told) == 1:
                    nursery.start_soon(ask_as_another)  # whose turn comes at the cost of who has two waiting

        assert response.status_code == 200
        assert told[0]["progress"] == {"position": 2}
        assert "server busy" in told[-1]["error"]
        assert await metric(client, 'power_requests_rejected_total{reason="pushed-out"}') == 1
        nursery.cancel_scope.cancel()


def test_without_the_field_nothing_is_told(http: httpx.Client) -> None:
    no, null, whole = {"return_progress": False}, {"return_progress": None}, {"return_progress": True, "stream": False}
    for fields in ({}, no, null, whole):
        answer = http.post("/api/chat", json={**ask(), **fields})

        assert answer.status_code == 200
        assert '"status"' not in answer.text
        assert '"progress"' not in answer.text


def test_openais_client_reads_it_as_any_stream(openai_client: openai.OpenAI) -> None:
    def answer(**extra: Any) -> list[Any]:
        return list(
            openai_client.chat.completions.create(
                model="tiny",
                messages=[{"role": "user", "content": "Hello!"}],
                temperature=0,
                max_tokens=8,
                stream=True,
                extra_body=extra,
            )
        )

    def text(chunks: list[Any]) -> str:
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    told = answer(return_progress=True)

    assert text(told) == text(answer())
    steps = [chunk.prompt_progress for chunk in told if chunk.model_extra.get("prompt_progress")]
    assert steps[0]["processed"] == steps[0]["cache"]
    assert steps[-1]["processed"] == steps[-1]["total"]


def test_ollamas_client_reads_it_as_any_stream(http: httpx.Client) -> None:
    chat = http.post("/api/chat", json={**ask(), "stream": True, "return_progress": True}).text
    generate = http.post(
        "/api/generate", json={"model": "tiny", "prompt": "Hi", "return_progress": True, "options": {"num_predict": 4}}
    ).text

    assert '"prefill"' in chat
    assert '"prefill"' in generate
    assert [ollama.ChatResponse.model_validate_json(line) for line in chat.splitlines()][-1].done
    assert [ollama.GenerateResponse.model_validate_json(line) for line in generate.splitlines()][-1].done
