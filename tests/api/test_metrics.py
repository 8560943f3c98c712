"""What `/metrics` adds up to, and what it does not touch."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families

from power.metrics import MAX_MODELS, OTHER_MODELS, Metrics
from tests.conftest import Serve

from .conftest import ask


async def numbers(client: httpx.AsyncClient) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample: name -> values of its labels -> value."""
    page = (await client.get("/metrics")).text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels[key] for key in sorted(sample.labels))] = sample.value
    return found


def openai_body(**fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "What is 2 + 3?"}], "max_tokens": 9} | fields


async def test_the_sums_are_those_of_the_usage_that_clients_were_told(serving: Serve) -> None:
    usage = {"prompt": 0, "generated": 0, "cached": 0}
    async with serving() as client:
        for limit in (2, 5, 9):
            told = (await client.post("/v1/chat/completions", json=openai_body(max_tokens=limit))).json()["usage"]
            usage["prompt"] += told["prompt_tokens"]
            usage["generated"] += told["completion_tokens"]
            usage["cached"] += told["prompt_tokens_details"]["cached_tokens"]
        tokens = {kind: value for (kind, _), value in (await numbers(client))["power_tokens_total"].items()}
        assert tokens == usage

        for limit in (1, 4):  # whose usage does not tell of the cache
            body = ask(stream=False, options={"num_predict": limit})
            native = (await client.post("/api/chat", json=body)).json()
            usage["prompt"] += native["prompt_eval_count"]
            usage["generated"] += native["eval_count"]
        found = await numbers(client)

    tokens = {kind: value for (kind, _), value in found["power_tokens_total"].items()}
    assert (tokens["prompt"], tokens["generated"]) == (usage["prompt"], usage["generated"])
    assert found["power_generations_total"]["tiny:latest", "finished"] == 5
    assert found["power_decoded_tokens_total"]["tiny:latest",] >= usage["generated"]


async def test_pauses_for_want_of_room_in_the_cache_are_counted(serving: Serve, endless: Path) -> None:
    options = {"num_predict": 200, "temperature": 0}

    async def generate(number: int) -> None:
        body = {"model": "m", "prompt": f"{number}", "raw": True, "stream": False, "options": options}
        answers.append((await client.post("/api/generate", json=body)).json())

    answers: list[dict[str, Any]] = []
    async with serving({"m": endless}, num_parallel=4, context_length=512, pool_tokens=512) as client:
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(generate, number)
        found = await numbers(client)

    assert [answer["eval_count"] for answer in answers] == [200] * 4  # of room for 512 altogether
    assert found["power_sequence_pauses_total"]["m:latest",] > 0
    assert found["power_sequences_paused"]["m:latest",] == 0


async def test_the_wait_of_embeddings_is_counted(serving: Serve) -> None:
    async with serving() as client:
        await client.post("/api/embed", json={"model": "tiny", "input": ["a", "b"]})
        found = await numbers(client)

    assert found["power_queue_seconds_count"]["tiny:latest",] == 1


async def test_routers_find_the_gauges_they_look_for(serving: Serve) -> None:
    async with serving() as client:
        await client.post("/api/chat", json=ask(stream=False))
        found = await numbers(client)

    for name in ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"):
        assert found[name] == {("tiny:latest",): 0.0}


async def test_asking_how_it_is_neither_loads_a_model_nor_keeps_one(serving: Serve) -> None:
    paths = ("/health", "/health/live", "/health/ready", "/v1/health", "/metrics", "/api/ps", "/api/tags", "/v1/models")
    async with serving() as client:
        for path in paths:
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/api/ps")).json()["models"] == []

        await client.post("/api/chat", json=ask(stream=False))
        before = (await client.get("/api/ps")).json()["models"][0]
        for path in paths:
            await client.get(path)
        after = (await client.get("/api/ps")).json()["models"][0]

    moved = datetime.fromisoformat(after["expires_at"]) - datetime.fromisoformat(before["expires_at"])
    assert abs(moved) < timedelta(milliseconds=1)
    assert before["size"] > 10**6
    assert before["size_vram"] == 0


async def test_every_number_is_finite_and_every_slot_is_idle_in_the_end(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}) as client:
        for path in ("/api/chat", "/api/generate", "/nowhere"):
            await client.post(path, json={"model": "m", "prompt": "x", "raw": True, "options": {"num_predict": 3}})
        found = await numbers(client)

    for name, values in found.items():
        if not name.endswith("_bucket"):
            assert all(abs(value) < 1e15 for value in values.values()), name
    assert set(found["power_requests_running"].values()) == {0.0}
    assert set(found["power_requests_waiting"].values()) == {0.0}


def test_made_up_names_get_no_label_of_their_own_for_ever() -> None:
    metrics = Metrics()
    for number in range(2 * MAX_MODELS):
        metrics.of(f"m{number}")
        metrics.accepted(f"m{number}", 1.0)

    page = metrics.render().decode()
    assert f'power_requests_running{{model="m{MAX_MODELS - 1}"}}' in page
    assert f'power_requests_running{{model="m{MAX_MODELS}"}}' not in page
    assert f'power_queue_seconds_count{{model="{OTHER_MODELS}"}} {float(MAX_MODELS)}' in page
