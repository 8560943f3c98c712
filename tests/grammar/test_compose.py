from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.grammar import JSON_GRAMMAR
from power.grammar.compose import after_thinking
from power.grammar.printing import Written

from .engine import Engine

Accepts = Callable[[str, str], bool]
THINK = ("<think>", "</think>")


@pytest.fixture(scope="module")
def accepts() -> Iterator[Accepts]:
    engine = Engine()
    yield engine.accepts
    engine.close()


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ('<think>\nHm.\n</think>\n\n{"a": 1}', True),
        ('<think></think>{"a": 1}', True),
        ('{"a": 1}', True),
        ('<think>a < b, </thin, <</think>{"a": 1}', True),
        ("<think>\nHm.\n</think>\n\nno", False),
        ('<think>\nHm. {"a": 1}', False),
        ('Hm. {"a": 1}', False),
    ],
)
def test_the_grammar_holds_after_the_thinking(accepts: Accepts, text: str, is_allowed: bool) -> None:
    assert accepts(after_thinking(Written(JSON_GRAMMAR, {}), *THINK, begun=False).text, text) == is_allowed


@pytest.mark.parametrize(("text", "is_allowed"), [('Hm.</think>\n{"a": 1}', True), ('{"a": 1}', False)])
def test_thinking_that_the_prompt_has_begun_is_not_left_out(accepts: Accepts, text: str, is_allowed: bool) -> None:
    assert accepts(after_thinking(Written(JSON_GRAMMAR, {}), *THINK, begun=True).text, text) == is_allowed


def test_names_are_told_from_texts_that_look_like_them(accepts: Accepts) -> None:
    grammar = 'root ::= "root" | [root] root-2 # root\nroot-2 ::= "x" root?'

    composed = after_thinking(Written(grammar, {}), *THINK, begun=False).text

    assert accepts(composed, "<think></think>root")
    assert accepts(composed, "oxroot")


@given(st.text("<>/[]|tabx", max_size=30), st.sampled_from(["</t>", "[/T]", "<|x|>", "aab", "<</"]))
def test_thinking_ends_at_the_first_closing_tag_and_nowhere_else(accepts: Accepts, text: str, tag: str) -> None:
    composed = after_thinking(Written('root ::= "."', {}), "<t>", tag, begun=True).text
    before, found, after = text.partition(tag)

    assert accepts(composed, f"{text}{tag}.") == (not found or after == "")
    assert accepts(composed, f"{before}{tag}.")
