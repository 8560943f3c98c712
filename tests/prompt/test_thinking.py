"""What a template puts around thinking is found by having it write some."""

from __future__ import annotations

from pathlib import Path

import pytest

from power.messages import Message
from power.prompt import Choice, find_marks, find_tags, render_chat
from power.prompt.thinking import Marks
from power.stream.thinking import prompt_opens_thinking
from tests.prompt.models import model
from tests.support import sdist

TEMPLATES = sdist() / "vendor/llama.cpp/models/templates"
LEVELS = ("low", "medium", "high", "max")
ODD = {
    "Apriel-1.6-15b-Thinker-fixed": ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
    "ByteDance-Seed-OSS": ("<seed:think>", "</seed:think>"),
    "Cohere2MoE": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "Kimi-K3": ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    "MiniMax-M3": ("<mm:think>", "</mm:think>"),
    "google-gemma-4-31B-it": ("<|channel>thought", "<channel|>"),
    "mistralai-Ministral-3-14B-Reasoning-2512": ("[THINK]", "[/THINK]"),
    "muse-glimmer": ("to=self<|message|>", "<|eom|>"),
    "openai-gpt-oss-120b": ("<|channel|>analysis<|message|>", "<|end|>"),
    "tencent-Hy3": ("<think:opensource>", "</think:opensource>"),
}


def of(path: Path) -> Choice:
    return Choice("jinja", path.read_text())


@pytest.mark.parametrize(("name", "tags"), ODD.items())
def test_unusual_tags_are_found(name: str, tags: tuple[str, str]) -> None:
    assert find_tags(of(TEMPLATES / f"{name}.jinja")) == tags


def test_every_template_that_names_think_tags_has_them() -> None:
    for path in TEMPLATES.glob("*.jinja"):
        text = path.read_text()
        if "'<think>" in text and "</think>'" in text:
            assert find_tags(of(path)) == ("<think>", "</think>"), path.stem


@pytest.mark.parametrize(
    "written",
    [
        "<hm>{{ t }}</hm>",
        "<hm>\n{{ t }}\n</hm>\n",
        "[HM]{{ t }}[/HM]",
        "<|hm|>{{ t }}<|mh|>",
        "<|a|>hm<|b|>{{ t }}<|c|>",
    ],
)
def test_tags_that_nobody_has_seen_before_are_found(written: str) -> None:
    shown = written.replace("{{ t }}", "{{ m.reasoning_content }}")
    template = (
        "{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content %}" + shown + "{% endif %}{{ m.content }}"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )

    marks = find_marks(Choice("jinja", template))

    opening, _, ending = written.partition("{{ t }}")
    assert marks == Marks(opening.strip(), ending.strip(), ending.replace("\n\n", "\n"))


def test_a_model_that_does_not_think_has_none() -> None:
    assert find_marks(Choice("jinja", "{{ messages }}")) is None
    assert find_marks(Choice("jinja", "{{ raise_exception('reasoning') }}")) is None
    assert find_marks(Choice("go", "{{ .Prompt }}")) is None


def test_a_go_template_shows_its_tags() -> None:
    go = "{{ range .Messages }}{{ if .Thinking }}<t>\n{{ .Thinking }}\n</t>{{ end }}{{ .Content }}{{ end }}"

    assert find_marks(Choice("go", go)) == Marks("<t>", "</t>", "\n</t>\n\n")


def test_a_thought_is_gone_on_with() -> None:
    qwen = model((TEMPLATES / "Qwen-Qwen3-0.6B.jinja").read_text())
    asked = Message(role="user", content="hi")

    thinks = render_chat(qwen, [asked, Message(role="assistant", thinking="Hm, ")], think=True)
    answers = render_chat(qwen, [asked, Message(role="assistant", thinking="Hm.", content="Well, ")], think=True)

    assert thinks.endswith("<|im_start|>assistant\n<think>\nHm, ")
    assert answers.endswith("<|im_start|>assistant\n<think>\nHm.\n</think>\n\nWell, ")


def test_prompts_that_open_the_block_are_seen() -> None:
    asked = [Message(role="user", content="hi")]
    for name, on, off in (("Qwen3.5-4B", True, False), ("Kimi-K3", True, False), ("Qwen-Qwen3-0.6B", False, False)):
        template = of(TEMPLATES / f"{name}.jinja")
        tags = find_tags(template)

        assert tags is not None
        assert prompt_opens_thinking(render_chat(model(template.text), asked, think=True), tags) is on, name
        assert prompt_opens_thinking(render_chat(model(template.text), asked, think=False), tags) is off, name


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.stem)
def test_every_template_does_as_it_is_told(path: Path) -> None:
    template = of(path)
    tags = find_tags(template)
    asked = [Message(role="user", content="hi")]
    if tags is None:
        return

    prompts = {think: render_chat(model(template.text), asked, think=think) for think in (False, True, *LEVELS)}

    assert not prompt_opens_thinking(prompts[False], tags)
    for think in (True, *LEVELS):
        assert not prompts[think].rstrip().endswith(tags[1]), think


def test_levels_are_said_in_the_words_that_a_template_knows() -> None:
    asked = [Message(role="user", content="hi")]

    def said(name: str, level: str) -> str:
        return render_chat(model((TEMPLATES / f"{name}.jinja").read_text()), asked, think=level)

    assert "Reasoning: high" in said("openai-gpt-oss-120b", "max")
    assert "Reasoning: low" in said("openai-gpt-oss-120b", "low")
    assert "thinking_effort=max" in said("Kimi-K3", "max")
    assert "thinking_effort=high" in said("Kimi-K3", "medium")  # it refuses "medium"
    assert "reasoning_effort:high" in said("tencent-Hy3", "medium")
