"""A request becomes a plan: the template that serves, the prompt, and how the answer will be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from power.config import Config
from power.errors import BadRequest
from power.generate import Stages
from power.messages import Message
from power.planning import Generation, Plan, plan, read_request_options, start_command
from power.store import Store, StoredModel
from power.worker.wire import Piece
from tests.support import sdist

TEMPLATES = sdist() / "vendor/llama.cpp/models/templates"
HARMONY = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}"
HELLO = (Message(role="user", content="Hello"),)


@dataclass
class Said:
    thinking: str
    content: str


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    return Store(tmp_path_factory.mktemp("models")).find("tiny")


def with_template(stored: StoredModel, name: str) -> StoredModel:
    text = (TEMPLATES / f"{name}.jinja").read_text()
    return msgspec.structs.replace(stored, facts=msgspec.structs.replace(stored.facts, chat_template=text))


async def read(stored: StoredModel, answer: str, **request: Any) -> tuple[Plan, Said]:
    """The plan for a chat, and what is read of an answer that comes character by character."""
    generation = Generation(model="m", messages=HELLO, **request)
    made = await plan(stored, generation, Config())
    stages = Stages(made, generation)
    texts = [*(stages.feed(Piece(1, character)) for character in answer), stages.flush()]
    return made, Said("".join(text.thinking for text in texts), "".join(text.content for text in texts))


async def test_channels_are_thinking_and_answer(stored: StoredModel) -> None:
    oss = with_template(stored, "openai-gpt-oss-120b")
    made, said = await read(oss, HARMONY.format("hm", "Hi"), think="high")

    assert "thinking" in oss.capabilities
    assert "Reasoning: high" in made.prompt
    assert said == Said("hm", "Hi")
    assert "<|channel|>" in start_command(made, Generation(model="m")).visible


async def test_a_model_that_thinks_although_told_not_to_keeps_it_to_itself(stored: StoredModel) -> None:
    _, of_channels = await read(with_template(stored, "openai-gpt-oss-120b"), HARMONY.format("hm", "Hi"), think=False)
    _, of_tags = await read(with_template(stored, "Qwen-Qwen3-0.6B"), "<think>hm</think>Hi", think=False)

    assert of_channels == of_tags == Said("", "Hi")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("Qwen3.5-4B", "hm\n</think>\n\nHi"),  # the prompt opens the block
        ("Kimi-K3", "hm<|close|>think<|sep|>Hi"),
        ("Apriel-1.6-15b-Thinker-fixed", "hm\n[BEGIN FINAL RESPONSE]\nHi"),
        ("MiniMax-M3", "hm</mm:think>Hi"),
        ("google-gemma-4-31B-it", "<|channel>thought\nhm<channel|>Hi"),
        ("muse-glimmer", " to=self<|message|>hm<|eom|><|start|>assistant to=user<|message|>Hi"),
        ("mistralai-Ministral-3-14B-Reasoning-2512", "[THINK]hm[/THINK]Hi"),
        ("Qwen-Qwen3-0.6B", "<think>\nhm\n</think>\n\nHi"),
    ],
)
async def test_thinking_is_told_from_the_answer(stored: StoredModel, name: str, answer: str) -> None:
    _, said = await read(with_template(stored, name), answer, think=True)

    assert (said.thinking.strip(), said.content) == ("hm", "Hi")


async def test_levels_and_switches_reach_the_template(stored: StoredModel) -> None:
    oss = with_template(stored, "openai-gpt-oss-120b")
    prompts = {level: (await read(oss, "", think=level))[0].prompt for level in (None, True, "low", "medium", "max")}

    assert "Reasoning: low" in prompts["low"]
    assert "Reasoning: medium" in prompts[None]
    assert prompts[None] == prompts[True] == prompts["medium"]
    assert "Reasoning: high" in prompts["max"]  # it knows no more
    seed = (await read(with_template(stored, "ByteDance-Seed-OSS"), "", options={"think_budget": 512}))[0].prompt
    assert "512" in seed


async def test_what_cannot_think_refuses_to(stored: StoredModel) -> None:
    with pytest.raises(BadRequest, match="does not support thinking"):
        await read(with_template(stored, "Qwen-Qwen2.5-7B-Instruct"), "", think=True)


async def test_a_raw_prompt_is_not_read_for_thinking(stored: StoredModel) -> None:
    generation = Generation(model="m", prompt="<think>", raw=True)
    made = await plan(stored, generation, Config())

    assert (made.prompt, made.thinking, made.template) == ("<think>", None, None)


def test_options_that_mean_nothing_are_told_in_one_line_however_many(
    stored: StoredModel, caplog: pytest.LogCaptureFixture
) -> None:
    read_request_options(stored, {"temprature": 1, "top_k": 1})
    read_request_options(stored, {f"x{number:06}\n": 1 for number in range(100_000)})

    few, many = (record.getMessage() for record in caplog.records)
    assert few == 'invalid option provided: "temprature"'
    assert many.startswith('invalid option provided: "x000000\\n", "x000001\\n"')
    assert many.endswith(" and 99980 more")
    assert len(many) < 1000
