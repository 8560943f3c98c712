"""Which template serves a model that has several."""

import logging
from pathlib import Path

import pytest
from gguf import GGUFWriter

from power.errors import BadRequest
from power.gguf import read_facts
from power.messages import Message, Tool
from power.prompt import CHATML, Choice, capabilities, choose, render_chat, render_insert
from power.prompt.choose import go_takes_results, jinja_takes_results
from tests.prompt.models import Config, model

GO = "{{ .Prompt }}"
GO_TOOLS = "{{ .Messages }}{{ .Tools }}"
GO_ANSWERS = GO_TOOLS + '{{ range .Messages }}{{ .ToolCalls }}{{ if eq .Role "tool" }}{{ end }}{{ end }}'
GO_THINKS = "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ end }}"
JINJA = "{{ messages }}"
JINJA_TOOLS = "{{ messages }}{{ tools }}"
JINJA_ANSWERS = JINJA_TOOLS + "{{ message.tool_calls }}{% if message.role == 'tool' %}{% endif %}"
JINJA_THINKS = "{{ messages }}<think></think>"
TOOL: Tool = {"type": "function", "function": {"name": "f"}}
BROKEN = "{{ .Prompt"


@pytest.mark.parametrize(
    ("go", "jinja", "engine"),
    [
        (GO, JINJA, "go"),
        (GO, JINJA_TOOLS, "jinja"),
        (GO, JINJA_THINKS, "jinja"),
        (GO_TOOLS, JINJA_TOOLS, "go"),
        (GO_TOOLS, JINJA_ANSWERS, "jinja"),
        (GO_ANSWERS, JINJA_ANSWERS, "go"),
        (GO_ANSWERS, JINJA_TOOLS, "go"),
        (GO_ANSWERS, JINJA_TOOLS + "<think></think>", "go"),  # a result that is understood is worth more
        (GO_ANSWERS, JINJA_ANSWERS + "<think></think>", "jinja"),
        (GO_THINKS, JINJA_THINKS, "go"),
        (GO_THINKS, JINJA_TOOLS, "go"),
        (BROKEN, JINJA, "jinja"),
        (BROKEN, None, "go"),
        (GO, None, "go"),
        (None, JINJA, "jinja"),
    ],
)
def test_the_go_template_serves_unless_the_other_can_do_more(go: str | None, jinja: str | None, engine: str) -> None:
    assert choose(model(jinja, go=go)).engine == engine


def test_the_operator_may_decide() -> None:
    assert choose(model(JINJA_ANSWERS, go=GO, go_template=True)) == Choice("go", GO)
    assert choose(model(JINJA_ANSWERS, go=GO, go_template=False)) == Choice("jinja", JINJA_ANSWERS)
    assert choose(model(None, go=GO, go_template=False)).engine == "go"  # there is no other


def test_what_the_config_says_counts() -> None:
    harmony = "<|start|>{{ .Prompt }}<|end|>"

    assert choose(model(JINJA, go=GO, config=Config(renderer="qwen3-coder"))).engine == "jinja"
    assert choose(model(JINJA_TOOLS, go=GO, config=Config(parser="qwen3"))).engine == "go"
    assert choose(model(JINJA_TOOLS, go=harmony, family="gptoss")).engine == "go"
    assert choose(model(JINJA_TOOLS, go=harmony)).engine == "jinja"


def test_a_template_for_tools_serves_where_there_are_tools() -> None:
    several = model(JINJA, named={"tool_use": "T", "rag": "R"})

    assert choose(several).text == JINJA
    assert choose(several, tools=True).text == "T"
    assert choose(model(JINJA), tools=True).text == JINJA
    assert choose(model(None, named={"default": "D"})).text == "D"
    assert render_chat(several, [Message(role="user", content="hi")], [TOOL]) == "T"


def test_named_templates_are_read_from_the_file(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_chat_template([{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    facts = read_facts(tmp_path / "m.gguf")
    assert (facts.chat_template, facts.chat_templates) == ("D", {"tool_use": "T"})


def test_a_model_without_any_gets_chatml_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        chosen = [choose(model(None, name="naked")) for _ in range(3)]

    assert chosen == [Choice("jinja", CHATML)] * 3
    assert caplog.text.count("naked") == 1


def test_a_model_with_a_go_template_only_is_served_by_it() -> None:
    go = "{{ .System }}|{{ range .Messages }}[{{ .Role }}] {{ .Content }}{{ end }}"
    own = (Message(role="user", content="Q"), Message(role="assistant", content="A"))
    pirate = model(None, go=go, system="Arr.", messages=own)

    assert (
        render_chat(pirate, [Message(role="user", content="hi")]) == "Arr.|[system] Arr.[user] Q[assistant] A[user] hi"
    )
    request = [Message(role="system", content="Be kind."), Message(role="user", content="hi")]
    assert render_chat(pirate, request) == "Be kind.|[user] Q[assistant] A[system] Be kind.[user] hi"


def test_capabilities_are_those_of_the_templates_that_serve() -> None:
    assert capabilities(model(JINJA_THINKS, go=GO_TOOLS)) == ("tools",)
    assert capabilities(model(JINJA_THINKS, go=GO_TOOLS, go_template=False)) == ("thinking",)
    assert capabilities(model(JINJA_TOOLS, go="{{ .Prompt }}{{ .Suffix }}")) == ("tools", "insert")
    assert capabilities(model(None, go="{{ .Prompt }}{{ .Suffix }}")) == ("insert",)
    assert capabilities(model(JINJA, named={"tool_use": JINJA_TOOLS}, go=BROKEN)) == ("tools",)
    assert capabilities(model(None)) == ()


def test_a_round_trip_needs_offer_call_and_result() -> None:
    assert go_takes_results(GO_ANSWERS)
    assert not go_takes_results(GO_TOOLS)
    assert jinja_takes_results(JINJA_ANSWERS)
    assert not jinja_takes_results(JINJA_TOOLS)


def test_a_gap_is_filled_by_template_or_by_tokens() -> None:
    go = "<A>{{ .Prompt }}<B>{{ .Suffix }}<C>"

    assert render_insert(model(None, go=go), "x", "y") == "<A>x<B>y<C>"
    assert render_insert(model(JINJA, fim_tokens=("<p>", "<s>", "<m>")), "x", "y") == "<p>x<s>y<m>"
    with pytest.raises(BadRequest, match="does not support insert"):
        render_insert(model(JINJA), "x", "y")
