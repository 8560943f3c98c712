"""Many at once, and the same twice: what is shared must not show in the answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio

from .conftest import Serve
from .support import lines

QUESTIONS = [
    "Hello!",
    "Who are you?",
    "What is the capital of France?",
    "My name is Ada.",
    "What is 3 plus 4?",
    "What colour is the sky?",
    "What is the opposite of hot?",
    "Which day comes after Monday?",
]


def body(question: str, **options: Any) -> dict[str, Any]:
    return {
        "model": "tiny",
        "messages": [{"role": "user", "content": question}],
        "stream": False,
        "options": {"temperature": 0, **options},
    }


async def ask(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post("/api/chat", json=body)
    assert response.status_code == 200, response.text
    message: dict[str, Any] = response.json()["message"]
    return message


async def test_eight_at_once_over_four_slots_answer_as_they_do_alone(serving: Serve) -> None:
    async with serving(num_parallel=4) as client:
        alone = [await ask(client, body(question)) for question in QUESTIONS]
        together: dict[str, list[dict[str, Any]]] = {question: [] for question in QUESTIONS}

        async with trio.open_nursery() as nursery:

            async def one(question: str) -> None:
                together[question].append(await ask(client, body(question)))

            for question in QUESTIONS:
                nursery.start_soon(one, question)

    assert [together[question] for question in QUESTIONS] == [[answer] for answer in alone]
    assert len({json.dumps(answer) for answer in alone}) > 4


async def test_the_same_seed_gives_the_same_text_and_another_seed_another(serving: Serve) -> None:
    async with serving() as client:
        texts = [
            await ask(
                client, body("Tell me something.", temperature=3.0, top_k=0, top_p=1.0, seed=seed, num_predict=40)
            )
            for seed in (1, 1, 2, 3, 1)
        ]

    assert texts[0] == texts[1] == texts[4]
    assert texts[2] != texts[0]
    assert texts[3] != texts[2]


@pytest.mark.parametrize("think", [True, False])
async def test_a_stream_says_the_same_as_a_whole_answer(serving: Serve, think: bool) -> None:
    async with serving() as client:
        for question in QUESTIONS:
            request = {**body(question), "think": think}
            whole = await ask(client, request)
            parts: dict[str, str] = {"content": "", "thinking": ""}
            async with client.stream("POST", "/api/chat", json={**request, "stream": True}) as response:
                async for chunk in lines(response):
                    for key in parts:
                        parts[key] += chunk["message"].get(key, "")

            assert parts["content"] == whole["content"]
            assert parts["thinking"] == whole.get("thinking", "")


async def test_the_second_turn_finds_the_first_one_in_the_cache(serving: Serve) -> None:
    request = {"model": "tiny", "messages": [{"role": "user", "content": "My name is Ada. " * 20}], "max_tokens": 8}
    async with serving() as client:
        first = (await client.post("/v1/chat/completions", json=request)).json()
        second = (await client.post("/v1/chat/completions", json=request)).json()

    n_prompt = first["usage"]["prompt_tokens"]
    assert second["usage"]["prompt_tokens"] == n_prompt
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == n_prompt - 1


@pytest.mark.parametrize("n_slots", [1, 2, 4])
async def test_more_requests_than_slots_are_all_answered_as_alone(serving: Serve, n_slots: int) -> None:
    answers: dict[str, list[dict[str, Any]]] = {question: [] for question in QUESTIONS}

    async def client(question: str) -> None:
        answers[question].append(await ask(http, body(question, num_predict=24)))

    async with serving(num_parallel=n_slots, context_length=256) as http:
        for question in QUESTIONS:
            await client(question)
        async with trio.open_nursery() as nursery:
            for question in QUESTIONS:
                nursery.start_soon(client, question)

    assert all(alone == together for alone, together in answers.values())


async def test_how_much_a_step_takes_changes_nothing_that_is_said(serving: Serve) -> None:
    async with serving(context_length=256) as http:
        answers = [await ask(http, body(QUESTIONS[0], num_predict=24, num_batch=n)) for n in (8, 64, 512)]

    assert answers[0] == answers[1] == answers[2]
