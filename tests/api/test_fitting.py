"""A prompt that does not fit its context is shortened and says so, or is refused with both numbers."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import ollama
import openai
import pytest

from tests.api.conftest import STILL, ask

N_CTX = 256  # tokens, of the server under test
SYSTEM = {"role": "system", "content": "You are brief."}
TURNS = [
    {"role": role, "content": f"{role} says {n}, and some more words beside."}
    for n in range(20)
    for role in ("user", "assistant")
]
LAST = {"role": "user", "content": "Who are you?"}
CONVERSATION = [SYSTEM, *TURNS, LAST]
ENDLESS = "and on and on " * 200


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def truncated_prompts(http: httpx.Client) -> float:
    found = re.search(r'^power_prompts_truncated_total\{model="tiny:latest"\} (\S+)', http.get("/metrics").text, re.M)
    return float(found[1]) if found else 0.0


def test_the_oldest_turns_are_left_out_and_that_is_told(http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    before = truncated_prompts(http)
    response = http.post("/api/chat", json=ask(messages=CONVERSATION, stream=False, think=False))
    reply = response.json()

    n_left_out = reply["truncated"]["messages"]
    assert response.status_code == 200, response.text
    assert reply["message"]["content"]
    assert 0 < n_left_out < len(TURNS)
    assert n_left_out % 2 == 0  # whole turns
    assert reply["truncated"]["num_ctx"] == N_CTX
    assert reply["prompt_eval_count"] < N_CTX < reply["truncated"]["prompt_tokens"]
    assert f"messages={n_left_out}" in response.headers["X-Power-Truncated"]
    assert truncated_prompts(http) == before + 1
    assert f"{n_left_out} messages left out" in caplog.text


def test_what_is_left_is_the_prompt_of_the_shortened_conversation(http: httpx.Client) -> None:
    reply = http.post("/api/chat", json=ask(messages=CONVERSATION, stream=False, think=False)).json()
    kept = [SYSTEM, *TURNS[reply["truncated"]["messages"] :], LAST]
    same = http.post("/api/chat", json=ask(messages=kept, stream=False, think=False)).json()

    assert "truncated" not in same
    assert same["prompt_eval_count"] == reply["prompt_eval_count"]
    assert same["message"] == reply["message"]


def test_a_stream_tells_in_its_header_and_in_its_last_line(http: httpx.Client) -> None:
    response = http.post("/api/chat", json=ask(messages=CONVERSATION, think=False))
    *chunks, last = lines(response)

    assert "messages=" in response.headers["X-Power-Truncated"]
    assert last["truncated"]["messages"] > 0
    assert not any("truncated" in chunk for chunk in chunks)


def test_what_fits_says_nothing(http: httpx.Client) -> None:
    response = http.post("/api/chat", json=ask(stream=False))

    assert "truncated" not in response.json()
    assert "X-Power-Truncated" not in response.headers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"messages": CONVERSATION, "truncate": False}),
        ("/api/chat", {"messages": [SYSTEM, {"role": "user", "content": ENDLESS}], "truncate": False}),
        ("/api/chat", {"messages": [SYSTEM, {"role": "user", "content": ENDLESS}], "shift": False}),
        ("/api/generate", {"prompt": ENDLESS, "truncate": False}),
        ("/api/generate", {"prompt": ENDLESS, "raw": True, "shift": False}),
        ("/api/generate", {"prompt": "hi", "truncate": False, "context": [5] * 300}),
    ],
)
def test_otherwise_both_numbers_are_told(http: httpx.Client, path: str, body: dict[str, Any], stream: bool) -> None:
    response = http.post(path, json={"model": "tiny", "stream": stream, "options": STILL} | body)
    error = response.json()

    assert response.status_code == 400, response.text
    assert error["code"] == "exceed_context_size_error"
    assert error["n_ctx"] == N_CTX <= error["n_prompt_tokens"]
    assert str(error["n_prompt_tokens"]) in error["error"]


@pytest.mark.parametrize("num_keep", [0, 4, 60, 10_000, -1])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"messages": [SYSTEM, {"role": "user", "content": ENDLESS}]}),
        ("/api/chat", {"messages": [SYSTEM, *TURNS[:6], {"role": "user", "content": ENDLESS}]}),
        ("/api/generate", {"prompt": ENDLESS}),
        ("/api/generate", {"prompt": ENDLESS, "raw": True}),
        ("/api/generate", {"prompt": ENDLESS, "context": [5] * 300}),
    ],
)
def test_what_is_too_long_alone_loses_its_middle(
    http: httpx.Client, path: str, body: dict[str, Any], num_keep: int
) -> None:
    """As many tokens go as in Ollama: half of what is not kept is free for the answer."""
    options = STILL | {"num_keep": num_keep, "num_predict": 2}
    asked = {"model": "tiny", "stream": False, "think": False, "options": options} | body
    before = truncated_prompts(http)

    response = http.post(path, json=asked)
    *_, last = lines(http.post(path, json=asked | {"stream": True}))

    reply = response.json()
    assert response.status_code == 200, response.text
    n_first = N_CTX - 1 if num_keep < 0 else min(num_keep, N_CTX - 1)  # tiny's vocabulary puts no token in front
    assert reply["prompt_eval_count"] == N_CTX - max((N_CTX - n_first) // 2, 1)
    assert reply["truncated"]["tokens"] > 0
    assert reply["truncated"].get("messages", 0) == (6 if len(body.get("messages", ())) > 2 else 0)
    assert last["truncated"] == reply["truncated"]
    assert f"tokens={reply['truncated']['tokens']}" in response.headers["X-Power-Truncated"]
    assert truncated_prompts(http) == before + 2


@pytest.mark.parametrize("times", [1, 100])
def test_what_has_lost_its_middle_ends_as_it_did(http: httpx.Client, times: int) -> None:
    """The words at the end, and what asks for the answer; much too long a text is not read in its middle."""
    text = ENDLESS * times + LAST["content"]
    body = ask(messages=[{"role": "user", "content": text}], stream=False, think=False)

    shown = http.post("/api/chat", json=body | {"_debug_render_only": True}).json()["_debug_info"]["rendered_template"]

    reply = http.post("/api/chat", json=body).json()

    assert shown.rpartition(LAST["content"])[2].startswith("<|im_end|>\n<|im_start|>assistant")
    assert len(shown) < len(ENDLESS)
    left_out = reply["truncated"]
    assert left_out["prompt_tokens"] - left_out["tokens"] == pytest.approx(reply["prompt_eval_count"], abs=2)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": CONVERSATION}),
        ("/v1/chat/completions", {"messages": CONVERSATION, "truncate": True}),
        ("/v1/completions", {"prompt": ENDLESS}),
    ],
)
def test_openai_s_clients_are_always_told(http: httpx.Client, path: str, body: dict[str, Any], stream: bool) -> None:
    response = http.post(path, json={"model": "tiny", "stream": stream, "max_tokens": 4} | body)
    error = response.json()["error"]

    assert response.status_code == 400
    assert (error["type"], error["code"]) == ("exceed_context_size_error", "context_length_exceeded")
    assert error["n_ctx"] == N_CTX <= error["n_prompt_tokens"]


def test_the_openai_client_knows_the_error_by_its_code(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        openai_client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": ENDLESS}])

    assert raised.value.code == "context_length_exceeded"


def test_a_context_loses_its_oldest_tokens_but_for_those_to_keep(http: httpx.Client) -> None:
    context = [5] * 10 + list(range(6, 9)) * 100
    options = STILL | {"num_keep": 10}
    body = {"model": "tiny", "prompt": "Who are you?", "context": context, "options": options, "stream": False}
    reply = http.post("/api/generate", json=body | {"think": False}).json()

    n_left_out = reply["truncated"]["tokens"]
    n_kept = len(context) - n_left_out
    assert reply["context"][:n_kept] == context[:10] + context[10 + n_left_out :]
    assert reply["prompt_eval_count"] < N_CTX


def test_a_context_of_the_request_s_own_is_what_counts(http: httpx.Client) -> None:
    options = STILL | {"num_ctx": 128}
    reply = http.post("/api/chat", json=ask(messages=CONVERSATION, stream=False, options=options)).json()

    assert reply["truncated"]["num_ctx"] == 128
    assert reply["prompt_eval_count"] < 128


def test_the_model_s_own_messages_go_first(ollama_client: ollama.Client) -> None:
    ollama_client.create("taught", from_="tiny", messages=TURNS[:30], system="You are brief.")
    reply = ollama_client.chat("taught", [*TURNS[30:], LAST], options=STILL, think=False)
    ollama_client.delete("taught")

    assert reply.message.content
    assert reply.prompt_eval_count
    assert reply.prompt_eval_count < N_CTX


def test_two_hundred_turns_are_counted_a_few_times(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from power.sched.model import Model

    asked = []
    ask_worker = Model.ask

    async def counting(self: Model, question: Any) -> Any:
        asked.append(question)
        return await ask_worker(self, question)

    monkeypatch.setattr(Model, "ask", counting)
    response = http.post("/api/chat", json=ask(messages=[SYSTEM, *TURNS * 10, LAST], stream=False))

    assert response.json()["truncated"]["messages"] > 350
    assert len(asked) <= 8


def test_what_is_rendered_only_is_what_would_be_answered(http: httpx.Client) -> None:
    body = ask(messages=CONVERSATION, stream=False, think=False)
    shown = http.post("/api/chat", json=body | {"_debug_render_only": True}).json()["_debug_info"]["rendered_template"]
    reply = http.post("/api/chat", json=body).json()
    refused = http.post("/v1/chat/completions", json=body | {"_debug_render_only": True, "options": {}})

    raw = {"model": "tiny", "prompt": shown, "raw": True, "options": STILL, "stream": False}
    assert http.post("/api/generate", json=raw).json()["prompt_eval_count"] == reply["prompt_eval_count"]
    assert refused.status_code == 400
