"""`/v1` over a real socket, by hand and with the `openai` package."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from .conftest import STILL, ask
from .test_native import WEATHER

CHAT: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "Who are you?"}],
    "temperature": 0,
    "max_tokens": 12,
    "reasoning_effort": "none",
}
COMPLETION: dict[str, Any] = {"model": "tiny", "prompt": "Who are you?", "temperature": 0, "max_tokens": 12}


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The stream's events; that it ends with `[DONE]` is checked."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith("text/event-stream")
    *chunks, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]


def test_a_chat_is_streamed_as_deltas(http: httpx.Client) -> None:
    first, *rest, last = events(http.post("/v1/chat/completions", json=CHAT | {"stream": True}))

    assert first.keys() == {"id", "object", "created", "model", "system_fingerprint", "choices"}
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": last["choices"][0]["finish_reason"]}]
    for chunk in (first, *rest):
        assert isinstance(chunk["choices"][0]["delta"]["content"], str)
        assert chunk["choices"][0]["finish_reason"] is None
    for chunk in (*rest, last):
        assert (chunk["id"], chunk["created"]) == (first["id"], first["created"])
        assert "role" not in chunk["choices"][0]["delta"]


def test_usage_comes_last_and_only_if_asked_for(http: httpx.Client) -> None:
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = events(http.post("/v1/chat/completions", json=body))
    whole = http.post("/v1/chat/completions", json=CHAT).json()

    assert last["choices"] == []
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert last["usage"][name] == whole["usage"][name] > 0
    assert 0 <= whole["usage"]["prompt_tokens_details"]["cached_tokens"] <= whole["usage"]["prompt_tokens"]
    assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize("effort", ["none", "high"])
def test_a_streamed_chat_says_what_a_whole_one_says(http: httpx.Client, effort: str) -> None:
    body = CHAT | {"reasoning_effort": effort}
    chunks = events(http.post("/v1/chat/completions", json=body | {"stream": True}))
    [choice] = http.post("/v1/chat/completions", json=body).json()["choices"]

    for part in ("content", "reasoning"):
        streamed = "".join(chunk["choices"][0]["delta"].get(part, "") for chunk in chunks)
        assert streamed == choice["message"].get(part, "")
    assert chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"]


def test_a_streamed_completion_says_what_a_whole_one_says(http: httpx.Client) -> None:
    chunks = events(http.post("/v1/completions", json=COMPLETION | {"stream": True}))
    [choice] = http.post("/v1/completions", json=COMPLETION).json()["choices"]

    for part in ("text", "reasoning"):
        assert "".join(chunk["choices"][0].get(part, "") for chunk in chunks) == choice.get(part, "")
    assert choice["text"] or choice["reasoning"]


def test_every_answer_has_an_id_of_its_own(http: httpx.Client) -> None:
    ids = [http.post("/v1/chat/completions", json=CHAT | {"max_tokens": 1}).json()["id"] for _ in range(3)]

    assert len(set(ids)) == 3
    assert all(id.startswith("chatcmpl-") for id in ids)


def test_an_error_has_openai_s_envelope(http: httpx.Client) -> None:
    missing = http.post("/v1/chat/completions", json=CHAT | {"model": "nobody"})
    hot = http.post("/v1/chat/completions", json=CHAT | {"temperature": 3})
    biased = http.post("/v1/chat/completions", json=CHAT | {"logit_bias": {"x": 1}})

    assert missing.status_code == 404
    assert missing.json() == {
        "error": {
            "message": "model 'nobody' not found",
            "type": "not_found_error",
            "param": None,
            "code": "model_not_found",
        }
    }
    assert hot.status_code == biased.status_code == 400
    assert hot.json()["error"]["param"] == "temperature"
    assert hot.json()["error"]["type"] == "invalid_request_error"
    assert biased.json()["error"]["param"] == "logit_bias"


def test_a_completion_without_a_prompt_loads_the_model(http: httpx.Client) -> None:
    [choice] = http.post("/v1/completions", json={"model": "tiny"}).json()["choices"]
    [chunk] = events(http.post("/v1/completions", json={"model": "tiny", "stream": True}))

    assert choice == chunk["choices"][0]
    assert choice["finish_reason"] == "load"


# -- with the openai package --


def test_the_openai_client_chats(openai_client: openai.OpenAI) -> None:
    whole = openai_client.chat.completions.create(**CHAT)
    stream = openai_client.chat.completions.create(**CHAT, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    assert text == whole.choices[0].message.content
    assert whole.usage
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_the_openai_client_completes_with_logprobs(openai_client: openai.OpenAI) -> None:
    whole = openai_client.completions.create(**COMPLETION | {"max_tokens": 100}, logprobs=2)

    logprobs = whole.choices[0].logprobs
    assert whole.usage
    assert logprobs
    assert logprobs.tokens
    assert len(logprobs.tokens) == len(logprobs.token_logprobs or ()) == len(logprobs.text_offset or ())


def test_the_openai_client_gets_logprobs_of_a_chat(openai_client: openai.OpenAI) -> None:
    whole = openai_client.chat.completions.create(**CHAT, logprobs=True, top_logprobs=1)

    logprobs = whole.choices[0].logprobs
    assert logprobs
    assert whole.usage
    assert len(logprobs.content or ()) == whole.usage.completion_tokens
    assert all(len(item.top_logprobs) == 1 for item in logprobs.content or ())


def test_the_openai_client_gets_tool_calls_streamed_and_whole(openai_client: openai.OpenAI) -> None:
    body: dict[str, Any] = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [WEATHER],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "temperature": 0,
        "reasoning_effort": "none",
    }
    whole = openai_client.chat.completions.create(**body).choices[0]
    chunks = [chunk.choices[0] for chunk in openai_client.chat.completions.create(**body, stream=True)]
    deltas = [call for chunk in chunks for call in chunk.delta.tool_calls or () if call.function]

    assert whole.finish_reason == chunks[-1].finish_reason == "tool_calls"
    calls = [call.function for call in whole.message.tool_calls or () if call.type == "function"]
    assert deltas[0].function
    assert deltas[0].function.name
    assert not deltas[0].function.arguments
    for index, call in enumerate(calls):
        parts = [delta.function for delta in deltas if delta.index == index and delta.function]
        assert [part.name for part in parts if part.name] == [call.name]
        assert "".join(part.arguments or "" for part in parts) == call.arguments
    assert all(isinstance(json.loads(call.arguments), dict) for call in calls)


def test_the_openai_client_lists_models(openai_client: openai.OpenAI) -> None:
    models = {model.id: model for model in openai_client.models.list().data}

    model = models["tiny:latest"]
    assert model.owned_by == "library"
    assert openai_client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("hf.co/somebody/something:Q4_K_M")


def test_the_openai_client_is_told_what_is_wrong(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.chat.completions.create(**CHAT | {"n": 65})

    assert caught.value.param == "n"


def test_several_prompts_and_answers_come_in_order(openai_client: openai.OpenAI) -> None:
    prompts = ["Who are you?", "What is 2 + 3?"]
    ask = COMPLETION | {"max_tokens": 60}
    alone = [openai_client.completions.create(**ask | {"prompt": prompt}) for prompt in prompts]
    together = openai_client.completions.create(**ask | {"prompt": prompts}, n=2, best_of=2)

    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    texts = [whole.choices[0].text for whole in alone]
    assert [choice.text for choice in together.choices] == [texts[0], texts[0], texts[1], texts[1]]
    assert together.usage
    assert together.usage.prompt_tokens == sum(whole.usage.prompt_tokens for whole in alone if whole.usage)
    chat = openai_client.chat.completions.create(**CHAT, n=3)
    assert len({choice.message.content for choice in chat.choices}) == 1
    assert [choice.index for choice in chat.choices] == [0, 1, 2]


def test_a_prompt_may_be_token_ids(http: httpx.Client, openai_client: openai.OpenAI) -> None:
    body = {"model": "tiny", "prompt": "Who are", "raw": True, "stream": False, "options": {"temperature": 0}}
    raw = http.post("/api/generate", json=body | {"options": {"temperature": 0, "num_predict": 12}}).json()
    tokens = http.post("/tokenize", json={"model": "tiny", "content": "Who are"}).json()["tokens"]
    found = openai_client.completions.create(**COMPLETION | {"prompt": tokens})

    assert found.choices[0].text == raw["response"]
    assert found.usage
    assert found.usage.prompt_tokens == raw["prompt_eval_count"]


def test_a_prompt_may_be_pieces_of_text_and_token_ids(http: httpx.Client) -> None:
    def tokens(text: str, add_special: bool = False) -> list[int]:
        body = {"model": "tiny", "content": text, "add_special": add_special}
        return list(http.post("/tokenize", json=body).json()["tokens"])

    whole = [*tokens("The", True), *tokens(" weather"), *tokens(" is")]
    pieces = ["The", *tokens(" weather"), " is"]
    expected = http.post("/v1/completions", json=COMPLETION | {"prompt": whole}).json()
    found = http.post("/v1/completions", json=COMPLETION | {"prompt": pieces}).json()
    several = http.post("/v1/completions", json=COMPLETION | {"prompt": [pieces, whole, "Who are you?"]}).json()
    named = http.post("/v1/completions", json=COMPLETION | {"prompt": {"prompt_string": "Who are you?"}}).json()

    assert found["choices"] == expected["choices"]
    assert [choice["text"] for choice in several["choices"][:2]] == [expected["choices"][0]["text"]] * 2
    assert named["choices"][0]["text"] == several["choices"][2]["text"]


@pytest.mark.parametrize(
    "prompt",
    [["a", 1.5], ["a", -1], ["a", True], [["a", None]], {"prompt_string": 5}, {}, [{"text": "a"}],
     {"prompt_string": "a", "multimodal_data": ["aGVsbG8="]}],
)  # fmt: skip
def test_what_is_no_prompt_is_refused_by_its_name(http: httpx.Client, prompt: Any) -> None:
    reply = http.post("/v1/completions", json=COMPLETION | {"prompt": prompt})

    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "prompt"


@pytest.mark.parametrize("bias", [{"TOKEN": -100}, [["TOKEN", -100.0]], [["the", -100], ["TOKEN", -100]]])
def test_a_bias_may_be_said_in_any_of_its_forms(http: httpx.Client, bias: Any) -> None:
    body = CHAT | {"logprobs": True}
    first = http.post("/v1/chat/completions", json=body).json()["choices"][0]["logprobs"]["content"][0]["token"]
    [token] = http.post("/tokenize", json={"model": "tiny", "content": first}).json()["tokens"]
    said = json.loads(json.dumps(bias).replace("TOKEN", str(token)).replace(f'["{token}"', f"[{token}"))
    other = http.post("/v1/chat/completions", json=body | {"logit_bias": said}).json()["choices"][0]

    assert other["logprobs"]["content"][0]["token"] != first


@pytest.mark.parametrize("bias", [["a"], [["a", 1, 2]], [[1.5, 1]], [{"a": 1}], 5])
def test_a_bias_in_no_form_is_refused_by_its_name(http: httpx.Client, bias: Any) -> None:
    reply = http.post("/v1/chat/completions", json=CHAT | {"logit_bias": bias})

    assert reply.status_code == 400
    assert reply.json()["error"]["param"].startswith("logit_bias")


# -- both APIs are one --


@pytest.mark.parametrize("think", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_both_apis_give_the_same_answer_to_the_same_chat(http: httpx.Client, think: bool, stream: bool) -> None:
    options = STILL | {"top_p": 1.0, "seed": 3, "temperature": 0.8}
    native = http.post("/api/chat", json=ask(options=options, think=think, stream=False)).json()["message"]
    body = CHAT | {
        "temperature": options["temperature"],
        "seed": options["seed"],
        "max_tokens": options["num_predict"],
        "reasoning_effort": "medium" if think else "none",
        "stream": stream,
    }
    response = http.post("/v1/chat/completions", json=body)

    if stream:
        deltas = [chunk["choices"][0]["delta"] for chunk in events(response)]
    else:
        deltas = [response.json()["choices"][0]["message"]]
    assert "".join(delta.get("content", "") for delta in deltas) == native["content"]
    assert "".join(delta.get("reasoning", "") for delta in deltas) == native.get("thinking", "")


def test_both_apis_give_the_same_answer_to_the_same_prompt(http: httpx.Client) -> None:
    options = STILL | {"top_p": 1.0}
    native = http.post(
        "/api/generate", json={"model": "tiny", "prompt": "Hi", "options": options, "stream": False}
    ).json()
    [choice] = http.post("/v1/completions", json={"model": "tiny", "prompt": "Hi", "options": options}).json()[
        "choices"
    ]

    assert choice["text"] == native["response"]
    assert choice.get("reasoning", "") == native.get("thinking", "")
    assert choice["finish_reason"] == native["done_reason"]


def test_both_apis_render_the_same_prompt(http: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the weather in Paris?"},
    ]
    native = http.post("/api/chat", json=ask(messages=messages, tools=[WEATHER], _debug_render_only=True)).json()
    openai = http.post(
        "/v1/chat/completions",
        json={"model": "tiny", "messages": messages, "tools": [WEATHER], "_debug_render_only": True},
    ).json()

    assert native["_debug_info"] == openai["_debug_info"]
