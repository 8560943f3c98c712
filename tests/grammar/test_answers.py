"""Thinking, words and calls of one answer: cutting its text differently changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.grammar import AnswerReader
from power.grammar.dialects import HERMES, Dialect, written
from power.stream.blocks import Thinking

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
BARS = Thinking(open="<|think|>", close="<|/think|>", ending="<|/think|>\n\n")
TAGS = Thinking(open="<think>", close="</think>", ending="</think>\n\n")
BEGUN = Thinking(open="<think>", close="</think>", ending="</think>\n\n", begun=True)


def read(pieces: Any, thinking: Thinking, dialect: Dialect = HERMES, **settings: Any) -> tuple[str, str, list[str]]:
    reader = AnswerReader(dialect, TOOLS, thinking=thinking, **settings)
    answers = [*map(reader.feed, pieces), reader.flush()]
    calls = [call.name for answer in answers for call in answer.tool_calls]
    return "".join(answer.thinking for answer in answers), "".join(answer.content for answer in answers), calls


def test_thinking_that_opens_again_is_thinking_again_in_one_piece_or_many() -> None:
    text = f"<|think|>one<|/think|>said<|think|>two {CALL} three<|/think|>and{CALL}"

    assert read([text], BARS) == read(text, BARS)
    assert read([text], BARS)[1:] == ("saidand", ["f"])
    assert CALL in read([text], BARS)[0]  # the thinking went on behind it: it was about a call


def test_thinking_that_opens_again_and_never_ends_may_still_call() -> None:
    text = f"<|think|>one<|/think|>said<|think|>two {CALL}"

    assert read([text], BARS) == read(text, BARS) == ("onetwo", "said", ["f"])


@pytest.mark.parametrize(
    "text", ["a<|/think|> b", "<|think|>c<|/think|>a<|/think|><|/think|> b", "a<|/think|> <|think|>c<|/think|>b"]
)
def test_a_mark_that_closes_thinking_where_none_is_open_says_nothing(text: str) -> None:
    whole = read([text], BARS)

    assert whole == read(text, BARS)
    assert whole[0] in ("", "c")
    assert "".join(whole[1].split()) == "ab"


def test_a_tag_that_letters_can_spell_is_only_thinking_where_it_may_be() -> None:
    text = "Write </think> at its end."

    assert read([text], TAGS) == read(text, TAGS) == ("", text, [])


@pytest.mark.parametrize("text", ["<think", "<think>", " <think>a", "<think>a</think>b", "<thing>a</think>b", ""])
def test_thinking_that_is_begun_twice_is_begun_once(text: str) -> None:
    """What may be the tag once more is held back, and read at the end like anything else."""
    whole = read([text], BEGUN, may_repeat=True)

    assert whole == read(text, BEGUN, may_repeat=True)
    assert whole[0].count("<think>") == 0


PIECES = [
    *(BARS.open, BARS.close, TAGS.open, TAGS.close, CALL, "<tool_call>", "</tool_call>", '{"name": "f"}', '{"name":'),
    *("<", "<|", "|>", "</", "\n", " ", "Hello", "f"),
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=10).map("".join),
    st.sampled_from([BARS, TAGS, BEGUN]),
    st.booleans(),
    st.sampled_from(["qwen3", "cohere", "gemma4", "glm-4.6", "olmo3", "ministral"]),
    st.data(),
)
def test_cutting_an_answer_that_thinks_changes_nothing(
    text: str, thinking: Thinking, may_repeat: bool, parser: str, data: st.DataObject
) -> None:
    known = written(parser)
    assert known is not None
    assert known.dialect is not None
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]

    whole = read([text], thinking, known.dialect, may_repeat=may_repeat)

    assert whole == read(pieces, thinking, known.dialect, may_repeat=may_repeat)
    assert whole == read(text, thinking, known.dialect, may_repeat=may_repeat)
