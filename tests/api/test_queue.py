"""Waiting for a slot, as clients see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import trio

from tests.conftest import Serve
from tests.support import wait_for
from tests.test_hangups import LONG, SHORT, hang_up

from .conftest import ask


@pytest.mark.parametrize(
    ("field", "value"), [("priority", 11), ("priority", -11), ("max_queue_seconds", 0), ("max_queue_seconds", -1)]
)
def test_a_claim_out_of_range_is_refused_by_its_name(http: httpx.Client, field: str, value: float) -> None:
    for path, body in (
        ("/api/chat", ask()),
        ("/v1/chat/completions", {"model": "tiny", "messages": ask()["messages"]}),
    ):
        answer = http.post(path, json={**body, field: value})

        assert answer.status_code == 400
        assert field in answer.text


def test_a_claim_changes_nothing_where_nobody_waits(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Hello!"}],
        extra_body={"priority": -3, "max_queue_seconds": 30, "options": {"num_predict": 4}},
    )

    assert answer.usage
    assert answer.usage.completion_tokens == 4


async def test_a_deadline_that_has_passed_is_a_503_that_says_when_to_come_back(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, num_parallel=1) as client, trio.open_nursery() as nursery:
        stop = trio.Event()
        nursery.start_soon(hang_up, client, LONG, stop)
        await wait_for(client, "power_requests_running{", 1)

        refused = await client.post("/api/generate", json={**SHORT, "max_queue_seconds": 0.05})

        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert "max_queue_seconds" in refused.json()["error"]
        await wait_for(client, 'power_requests_rejected_total{reason="deadline"}', 1)
        stop.set()


async def test_two_keys_behind_one_address_take_turns(serving: Serve, endless: Path) -> None:
    served: list[str] = []

    async def ask_as(client: httpx.AsyncClient, key: str, **fields: Any) -> None:
        body = {**SHORT, "stream": False, **fields}
        answer = await client.post("/api/generate", json=body, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        served.append(key)

    async with serving({"m": endless}, num_parallel=1) as client, trio.open_nursery() as nursery:
        stop = trio.Event()
        nursery.start_soon(hang_up, client, LONG, stop)
        await wait_for(client, "power_requests_running{", 1)
        for _ in range(6):
            nursery.start_soon(ask_as, client, "greedy")
        await wait_for(client, "power_requests_waiting{", 6)
        nursery.start_soon(ask_as, client, "modest")
        await wait_for(client, "power_requests_waiting{", 7)
        stop.set()

    assert served.index("modest") <= 2
