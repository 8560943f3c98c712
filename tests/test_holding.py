"""What holds an answer: the text for llama.cpp and the values for the worker say the same."""

from __future__ import annotations

import pytest

from power.config import Config
from power.grammar import Constraint, Grammar, choice_constraint, mismatch, parse_gbnf, schema_constraint
from power.grammar.dialects import HERMES
from power.grammar.expressions import Expr
from power.holding import MAX_FOLLOWED, Hold, hold
from power.planning import Generation
from power.stream.blocks import Thinking

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name"],
}
ROWS = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}, "maxItems": 50}, "maxItems": 900}
CONSTRAINTS = [
    Constraint(kind="json", field="format"),
    schema_constraint(TREE, field="format"),
    schema_constraint(ROWS, field="format"),
    schema_constraint({"type": "string"}, field="format"),
    Constraint(kind="regex", text="(ab?){2,}|[^c]", field="regex"),
    choice_constraint(["red", "reddish", "green"], field="choice"),
    Constraint(kind="gbnf", text='root ::= "a" root? | b\nb ::= "b" # root', field="grammar"),
]
TEXTS = [
    "", "a", "aab", "b", "red", "reddish", "ab", "abab", "c", "{}", "[]", "[[1], []]", "1", '"x"', '{"name": "n"}',
    '{"name": "n", "children": [{"name": "m"}]}', '{"children": [{}]}', '{"a": [1, {"b": null}]}',
]  # fmt: skip
TAGS = Thinking(open="<think>", close="</think>", ending="</think>", begun=False, channels=False)
TOOL = {"type": "function", "function": {"name": "look", "parameters": TREE}}


def held(constraint: Constraint | None, *, thinks: bool = False) -> Hold:
    request = Generation(model="m", constraint=constraint)
    return hold(request, Config(), None, TAGS if thinks else None, prompt="", thinks=thinks)


def accepts(rules: dict[str, Expr], text: str) -> bool:
    return mismatch(Grammar(rules, {}, {}), text) is None


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda constraint: str(constraint.kind))
def test_the_values_say_what_the_text_says(constraint: Constraint) -> None:
    found = held(constraint)

    assert found.rules
    for text in TEXTS:
        assert accepts(found.rules, text) == accepts(parse_gbnf(found.grammar).rules, text)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda constraint: str(constraint.kind))
@pytest.mark.parametrize("before", ["", "<think>", "<think>hm</think>", "\n<think>a < b</think>\n\n", "</think>"])
def test_so_they_do_behind_thinking(constraint: Constraint, before: str) -> None:
    found = held(constraint, thinks=True)

    for text in TEXTS:
        assert accepts(found.rules, before + text) == accepts(parse_gbnf(found.grammar).rules, before + text)


def test_calls_and_an_answer_are_held_at_once() -> None:
    request = Generation(model="m", constraint=choice_constraint(["red"], field="choice"), tools=(TOOL,))
    found = hold(request, Config(), HERMES, TAGS, prompt="", thinks=True)
    call = '<tool_call>\n{"name": "look", "arguments": {"name": "n"}}\n</tool_call>'

    assert found.tells
    assert all(accepts(found.rules, text) for text in ("red", call, f"<think>hm</think>{call}"))
    assert not accepts(found.rules, "green")


def test_nothing_holds_an_answer_of_which_nothing_was_asked() -> None:
    found = held(None, thinks=True)

    assert (found.grammar, found.rules, found.tells) == ("", {}, ())


def test_a_very_long_grammar_goes_without_values() -> None:
    text = 'root ::= "a"\n' + "".join(f'r{number} ::= "{number:060}"\n' for number in range(MAX_FOLLOWED // 60))
    found = held(Constraint(kind="gbnf", text=text, field="grammar"))

    assert found.grammar == text
    assert found.rules == {}
