"""Which prompt a model is asked with, and how its thinking is told from its answer, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest

from power.gguf import open_gguf, rewrite_gguf
from tests.api.conftest import STILL, ask
from tests.support import TINY

QUESTION = "What is 2 + 3?"
GO = (
    '{{ .Tools }}{{ range .Messages }}{{ if eq .Role "tool" }}{{ end }}{{ .ToolCalls }}{{ end }}'
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ if .Thinking }}<think>\n{{ .Thinking }}\n</think>\n\n{{ end }}"
    "{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n{{ if not .Think }}<think>\n\n</think>\n\n{{ end }}"
)
LONG = STILL | {"num_predict": 60}


def rendered(http: httpx.Client, path: str, **body: Any) -> str:
    reply = http.post(path, json={"model": "tiny", "_debug_render_only": True} | body).json()
    return str(reply["_debug_info"]["rendered_template"])


def messages(**more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": QUESTION, **more}]


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.fixture(scope="module")
def gone(ollama_client: ollama.Client) -> Iterator[str]:
    """`tiny` with a Go template."""
    ollama_client.create("gone", from_="tiny", template=GO, system="Be brief.")
    yield "gone"
    ollama_client.delete("gone")


def test_a_template_in_the_request_serves_it(http: httpx.Client) -> None:
    body = {"prompt": "hi", "system": "Be brief.", "template": "<{{ .System }}|{{ .Prompt }}>"}

    assert rendered(http, "/api/generate", **body) == "<Be brief.|hi>"
    assert rendered(http, "/api/generate", **body | {"template": "{{ range .Messages }}[{{ .Role }}]{{ end }}"}) == (
        "[system][user]"
    )
    assert rendered(http, "/api/generate", prompt="a", suffix="b", template="{{ .Prompt }}_{{ .Suffix }}") == "a_b"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ .Prompt", "line 1"),
        ("{{ range .Messages }}", "line 1"),
        ("{{ range $i, $c := .Prompt }}{{ end }}", ""),
        ('{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}', ""),
        ("{{ range .Messages }}" * 200 + "{{ end }}" * 200, ""),
    ],
)
def test_a_bad_template_in_the_request_is_refused(http: httpx.Client, template: str, complaint: str) -> None:
    response = http.post("/api/generate", json={"model": "tiny", "prompt": "hi", "template": template})

    assert response.status_code == 400, response.text
    assert complaint in response.json()["error"]


ENDLESS_JINJA = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
ENDLESS_GO = "{{ range $i := 99999 }}{{ range $j := 99999 }}{{ end }}{{ end }}{{ .Messages }}"


@pytest.mark.parametrize("thinks", ["", "{# reasoning <think> </think> #}"])
@pytest.mark.parametrize(
    "jinja",
    [
        ENDLESS_JINJA,
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ 'x' * 10**9 }}",
        "{{ raise_exception('no') }}",
    ],
)
def test_a_hostile_template_in_a_file_is_a_400(
    http: httpx.Client, ollama_client: ollama.Client, tmp_path: Path, jinja: str, thinks: str
) -> None:
    gguf = open_gguf(TINY)
    hostile = gguf.metadata.encoded() | {"tokenizer.chat_template": thinks + jinja}
    rewrite_gguf(gguf, tmp_path / "hostile.gguf", hostile)
    ollama_client.create("hostile", files={"m.gguf": ollama_client.create_blob(tmp_path / "hostile.gguf")})

    response = http.post("/api/chat", json=ask(model="hostile"))
    shown = http.post("/api/show", json={"model": "hostile"})
    ollama_client.delete("hostile")

    assert (response.status_code, shown.status_code) == (400, 200)
    assert "chat template" in response.json()["error"]


def test_a_hostile_go_template_is_a_400_wherever_it_comes_from(
    http: httpx.Client, ollama_client: ollama.Client
) -> None:
    ollama_client.create("hostile", from_="tiny", template=ENDLESS_GO + GO)
    of_model = http.post("/api/chat", json=ask(model="hostile"))
    ollama_client.delete("hostile")
    of_request = http.post("/api/generate", json={"model": "tiny", "prompt": "hi", "template": ENDLESS_GO})

    assert (of_model.status_code, of_request.status_code) == (400, 400)
    assert "more time or memory" in of_request.json()["error"]


def test_a_go_template_serves_the_model_made_with_it(http: httpx.Client, gone: str) -> None:
    shown = http.post("/api/show", json={"model": gone}).json()
    thinks = rendered(http, "/api/chat", model=gone, messages=messages(), think=True)
    does_not = rendered(http, "/api/generate", model=gone, prompt=QUESTION, think=False)

    asked = (
        "[][][]<|im_start|>system\nBe brief.<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (thinks, does_not) == (asked, f"{asked}<think>\n\n</think>\n\n")
    assert shown["capabilities"][:2] == ["tools", "thinking"]
    assert shown["template"] == GO


def test_thinking_is_told_by_the_tags_of_the_go_template_too(http: httpx.Client, gone: str) -> None:
    options = {"temperature": 0, "num_predict": 60}
    reply = http.post("/api/chat", json=ask(model=gone, messages=messages(), options=options, stream=False)).json()

    assert reply["message"]["thinking"]
    assert "think>" not in reply["message"]["thinking"] + reply["message"]["content"]


@pytest.mark.parametrize("budget", [{"options": LONG | {"think_budget": 4}}, {"options": LONG, "think_budget": 4}])
def test_a_budget_ends_the_thinking(http: httpx.Client, budget: dict[str, Any]) -> None:
    free = http.post("/api/chat", json=ask(messages=messages(), think=True, stream=False, options=LONG)).json()
    bounded = http.post("/api/chat", json=ask(messages=messages(), think=True, stream=False) | budget).json()
    streamed = lines(http.post("/api/chat", json=ask(messages=messages(), think=True) | budget))

    thought = bounded["message"]["thinking"]
    assert free["message"]["thinking"].startswith(thought.rstrip())
    assert len(thought) < len(free["message"]["thinking"])
    assert bounded["message"]["content"]
    for part in ("thinking", "content"):
        assert "".join(line["message"].get(part, "") for line in streamed) == bounded["message"][part]


@pytest.mark.parametrize(
    "budget",
    [
        {"think_budget": 4},
        {"reasoning_budget": 4},
        {"thinking_budget_tokens": 4},
        {"reasoning": {"effort": "high", "max_tokens": 4}},
        {"options": {"think_budget": 4}},
    ],
)
def test_a_budget_by_any_of_its_names(openai_client: openai.OpenAI, http: httpx.Client, budget: dict[str, Any]) -> None:
    body = ask(messages=messages(), think="high", stream=False, options=LONG | {"think_budget": 4})
    native = http.post("/api/chat", json=body).json()["message"]

    completion = openai_client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": QUESTION}],
        temperature=0,
        seed=1,
        max_tokens=60,
        extra_body={"reasoning_effort": "high"} | budget,
    )

    message = completion.choices[0].message.model_dump()
    assert message["reasoning"] == message["reasoning_content"] == native["thinking"]
    assert message["content"] == native["content"]


def test_completions_take_efforts_and_budgets_as_chats_do(http: httpx.Client) -> None:
    def answer(**fields: Any) -> dict[str, Any]:
        body = {"model": "tiny", "prompt": QUESTION, "temperature": 0, "seed": 1, "max_tokens": 60} | fields
        response = http.post("/v1/completions", json=body)
        assert response.status_code == 200, response.text
        choice: dict[str, Any] = response.json()["choices"][0]
        return choice

    free, bounded, none = (
        answer(**fields) for fields in ({"reasoning_effort": "high"}, {"think_budget": 4}, {"reasoning_effort": "none"})
    )

    assert len(bounded["reasoning"]) < len(free["reasoning"])
    assert "reasoning" not in none
    assert none["text"]
    refused = http.post("/v1/completions", json={"model": "tiny", "prompt": "a", "reasoning_effort": "so"})
    assert refused.status_code == 400
    assert "reasoning" in refused.text


def test_a_bad_budget_is_refused_by_its_name(http: httpx.Client) -> None:
    response = http.post("/api/chat", json=ask(think_budget=-2))

    assert (response.status_code, "think_budget" in response.json()["error"]) == (400, True)


def test_variables_for_the_template_may_come_with_the_request(http: httpx.Client) -> None:
    def prompt(**kwargs: Any) -> str:
        return rendered(http, "/v1/chat/completions", messages=messages(), **kwargs)

    off, on = prompt(reasoning_effort="none"), prompt(reasoning_effort="high")
    assert off != on
    assert prompt(chat_template_kwargs={"enable_thinking": False}) == off
    assert prompt(reasoning={"enabled": False}) == off
    assert prompt(chat_template_kwargs={"enable_thinking": True}) == on


def test_a_thought_of_the_client_s_is_gone_on_with(http: httpx.Client) -> None:
    begun = [*messages(), {"role": "assistant", "content": "", "thinking": "2 and 3 "}]
    reply = http.post("/api/chat", json=ask(messages=begun, stream=False, options=LONG)).json()

    assert rendered(http, "/api/chat", messages=begun).endswith("<think>\n2 and 3 ")
    assert reply["message"]["thinking"]
    assert "think>" not in reply["message"]["thinking"]


def test_nobody_thinks_who_is_told_not_to(ollama_client: ollama.Client) -> None:
    reply = ollama_client.chat("tiny", messages(), think=False, options=STILL)

    assert reply.message.content
    assert not reply.message.thinking
