"""`/api/generate` and `/api/chat` over a real socket, by hand and with the `ollama` package."""

from __future__ import annotations

import itertools
import json
import re
from datetime import datetime
from typing import Any

import httpx
import ollama
import pytest

from tests.support import PATIENCE

from .conftest import STILL, ask

METRICS = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        # Few cities, so that a call that is demanded always comes to its end.
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Oslo"]}},
            "required": ["city"],
        },
    },
}


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/x-ndjson"
    assert response.text.endswith("\n")
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_single_token_took_some_time(http: httpx.Client) -> None:
    """Clients divide by it."""
    last = http.post("/api/chat", json=ask(think=False, stream=False, options=STILL | {"num_predict": 1})).json()

    assert last["eval_count"] == 1
    assert last["eval_duration"] > 0


def test_a_chat_is_streamed_line_by_line_and_ends_with_its_numbers(http: httpx.Client) -> None:
    *chunks, last = lines(http.post("/api/chat", json=ask(think=False)))

    assert chunks
    for chunk in chunks:
        assert chunk.keys() == {"model", "created_at", "message", "done"}
        assert chunk["model"] == "tiny"
        assert not chunk["done"]
        assert chunk["message"]["role"] == "assistant"
        assert RFC3339.fullmatch(chunk["created_at"])
    assert last.keys() == {"model", "created_at", "message", "done", "done_reason"} | METRICS
    assert last["done"] is True
    assert last["message"] == {"role": "assistant", "content": ""}
    assert all(isinstance(last[name], int) and last[name] >= 0 for name in METRICS)
    assert last["eval_count"] <= STILL["num_predict"]


@pytest.mark.parametrize("think", [False, True])
def test_a_streamed_chat_says_what_a_whole_one_says(http: httpx.Client, think: bool) -> None:
    chunks = lines(http.post("/api/chat", json=ask(think=think)))
    whole = http.post("/api/chat", json=ask(think=think, stream=False)).json()

    for part in ("content", "thinking"):
        assert "".join(chunk["message"].get(part, "") for chunk in chunks) == whole["message"].get(part, "")
    assert whole["done_reason"] == chunks[-1]["done_reason"]
    assert whole["eval_count"] == chunks[-1]["eval_count"]


def test_a_streamed_answer_says_what_a_whole_one_says(http: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": "Who are you?", "options": STILL, "think": False}
    chunks = lines(http.post("/api/generate", json=body))
    whole = http.post("/api/generate", json=body | {"stream": False}).json()

    assert "".join(chunk["response"] for chunk in chunks) == whole["response"]
    assert whole["response"]
    assert whole.keys() == {"model", "created_at", "response", "done", "done_reason", "context"} | METRICS
    assert whole["context"] == chunks[-1]["context"]
    assert all("context" not in chunk for chunk in chunks[:-1])


def test_context_goes_on_where_the_answer_before_ended(http: httpx.Client) -> None:
    body = {"model": "tiny", "options": STILL, "think": False, "stream": False}
    first = http.post("/api/generate", json=body | {"prompt": "My name is Ada."}).json()
    second = http.post("/api/generate", json=body | {"prompt": "What is my name?", "context": first["context"]}).json()

    assert second["context"][: len(first["context"])] == first["context"]
    assert second["prompt_eval_count"] > len(first["context"])


def test_a_raw_prompt_has_no_template_and_no_context(http: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": "Hello", "raw": True, "stream": False, "options": STILL}
    raw = http.post("/api/generate", json=body).json()
    templated = http.post("/api/generate", json=body | {"raw": False}).json()

    assert "context" not in raw
    assert raw["prompt_eval_count"] < templated["prompt_eval_count"]


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
@pytest.mark.parametrize(
    ("keep_alive", "reason"), [({}, "load"), ({"keep_alive": "1m"}, "load"), ({"keep_alive": 0}, "unload")]
)
def test_without_a_prompt_the_model_is_loaded_or_unloaded(
    http: httpx.Client, path: str, keep_alive: dict[str, Any], reason: str
) -> None:
    reply = http.post(path, json={"model": "tiny"} | keep_alive).json()

    assert RFC3339.fullmatch(reply.pop("created_at"))
    text = {"response": ""} if path == "/api/generate" else {"message": {"role": "assistant", "content": ""}}
    assert reply == {"model": "tiny", "done": True, "done_reason": reason} | text


def test_an_unloaded_model_is_no_longer_listed(http: httpx.Client) -> None:
    http.post("/api/generate", json={"model": "tiny"})
    loaded = http.get("/api/ps").json()["models"]
    http.post("/api/generate", json={"model": "tiny", "keep_alive": 0})
    unloaded = http.get("/api/ps").json()["models"]

    assert [model["name"] for model in loaded] == ["tiny:latest"]
    assert unloaded == []


@pytest.mark.parametrize(
    ("keep_alive", "low", "high"),
    [(60, 0, 61), ("1h30m", 5400 - PATIENCE, 5401), ("90", 0, 91), (-1, 10**9, 10**11), ("-1m", 10**9, 10**11)],
)
def test_keep_alive_sets_when_the_model_leaves(http: httpx.Client, keep_alive: Any, low: float, high: float) -> None:
    http.post("/api/generate", json={"model": "tiny", "keep_alive": keep_alive})

    expires = datetime.fromisoformat(http.get("/api/ps").json()["models"][0]["expires_at"])
    assert low < expires.timestamp() - datetime.now().timestamp() < high


def test_a_chat_can_be_rendered_without_being_answered(http: httpx.Client) -> None:
    reply = http.post("/api/chat", json=ask(_debug_render_only=True)).json()

    assert "Who are you?" in reply["_debug_info"]["rendered_template"]
    assert reply["done"] is False


def test_logprobs_come_with_each_token(http: httpx.Client) -> None:
    body = ask(logprobs=True, top_logprobs=2, stream=False, think=False)
    whole = http.post("/api/chat", json=body).json()
    chunks = lines(http.post("/api/chat", json=body | {"stream": True}))

    assert len(whole["logprobs"]) == whole["eval_count"]
    assert [item["token"] for item in whole["logprobs"]] == [
        item["token"] for chunk in chunks for item in chunk.get("logprobs", [])
    ]
    for item in whole["logprobs"]:
        assert item["logprob"] <= 0
        assert len(item["top_logprobs"]) == 2
        assert bytes(item["bytes"]).decode(errors="replace") == item["token"]


def test_num_predict_ends_the_answer(http: httpx.Client) -> None:
    reply = http.post("/api/chat", json=ask(options=STILL | {"num_predict": 2}, stream=False)).json()

    assert reply["done_reason"] == "length"
    assert reply["eval_count"] == 2


def test_a_stop_string_ends_the_answer_before_itself(http: httpx.Client) -> None:
    text = http.post("/api/chat", json=ask(stream=False, think=False)).json()["message"]["content"]
    stop = text[len(text) // 2 :][:3]

    reply = http.post("/api/chat", json=ask(stream=False, think=False, options=STILL | {"stop": [stop]})).json()

    assert reply["message"]["content"] == text.partition(stop)[0]
    assert reply["done_reason"] == "stop"


def test_the_same_seed_gives_the_same_text(http: httpx.Client) -> None:
    def answer(seed: int) -> str:
        options = {"seed": seed, "temperature": 10, "top_k": 0, "top_p": 1, "num_predict": 20}
        return str(http.post("/api/chat", json=ask(stream=False, options=options, think=False)).json()["message"])

    answers = [answer(seed) for seed in (1, 1, 2, 3, 4)]

    assert answers[0] == answers[1]
    assert len(set(answers)) > 1


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(http: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": "word " * 2000, "stream": False, "truncate": False}
    response = http.post("/api/generate", json=body)

    assert response.status_code == 400
    assert "context length" in response.json()["error"]


# -- with the ollama package --


def test_the_ollama_client_chats(ollama_client: ollama.Client) -> None:
    whole = ollama_client.chat("tiny", [{"role": "user", "content": "Hello!"}], options=STILL, think=False)
    chunks = list(
        ollama_client.chat("tiny", [{"role": "user", "content": "Hello!"}], options=STILL, think=False, stream=True)
    )

    assert whole.message.content
    assert "".join(chunk.message.content or "" for chunk in chunks) == whole.message.content
    assert chunks[-1].done


def test_the_ollama_client_generates(ollama_client: ollama.Client) -> None:
    whole = ollama_client.generate("tiny", "Hello!", options=STILL, think=False)
    chunks = list(ollama_client.generate("tiny", "Hello!", options=STILL, think=False, stream=True))

    assert "".join(chunk.response or "" for chunk in chunks) == whole.response
    assert whole.eval_count


def test_the_ollama_client_gets_tool_calls(ollama_client: ollama.Client) -> None:
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    reply = ollama_client.chat("tiny", question, tools=[WEATHER], options={"temperature": 0}, think=False)

    # Whether it calls is the model's affair, as this client cannot demand it.
    for call in reply.message.tool_calls or ():
        assert call.function.name
        assert isinstance(call.function.arguments, dict)
    assert reply.message.tool_calls or reply.message.content


def test_the_ollama_client_lists_and_shows(ollama_client: ollama.Client) -> None:
    listed = ollama_client.list().models
    shown = ollama_client.show("tiny")
    running = ollama_client.ps().models

    assert [model.model for model in listed] == ["tiny:latest"]
    assert listed[0].details
    assert listed[0].details.family == "llama"
    assert shown.modelinfo
    assert shown.modelinfo["general.architecture"] == "llama"
    assert "tools" in (shown.capabilities or [])
    assert all(model.model == "tiny:latest" for model in running)


def test_the_ollama_client_is_told_of_a_model_that_is_not_there(ollama_client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        ollama_client.chat("nobody", [{"role": "user", "content": "Hello!"}])

    assert caught.value.status_code == 404
    assert caught.value.error == "model 'nobody' not found"


def test_every_tool_call_has_an_id_of_its_own(http: httpx.Client) -> None:
    body = ask(
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        options={"temperature": 0},
        think=False,
    )
    replies = [lines(http.post("/api/chat", json=body)) for _ in range(2)]
    calls = [call for chunk in itertools.chain(*replies) for call in chunk["message"].get("tool_calls", [])]

    assert len(calls) == 2
    assert all(call["function"]["index"] == 0 for call in calls)
    assert len({call["id"] for call in calls}) == 2
