"""Thinking that goes on for too long is ended for the model, which goes on from there."""

from __future__ import annotations

from power.grammar import parse_gbnf
from power.options import Sampling
from power.stream.blocks import Thinking
from tests.worker.harness import GREEDY, Worker
from tests.worker.models import BOS

PROMPT = "the other thing that he ate"
INSIDE = Thinking(open="<think>", close="</think>", ending="\n</think>\n\n", begun=True)


def test_a_budget_ends_the_thinking(worker: Worker) -> None:
    free = worker.answer(PROMPT, n_predict=30)
    bounded = worker.answer(PROMPT, n_predict=30, thinking=INSIDE, think_budget=5)

    assert bounded.tokens[:5] == free.tokens[:5]
    assert bounded.text.partition(INSIDE.ending)[2]
    assert len(bounded.tokens) == 30  # what was written for it counts


def test_no_budget_at_all_is_no_thinking_at_all(worker: Worker) -> None:
    assert worker.answer(PROMPT, thinking=INSIDE, think_budget=0).text.lstrip(" ").startswith(INSIDE.ending)


def test_what_is_no_thinking_is_not_bounded(worker: Worker) -> None:
    outside = Thinking(open="<think>", close="</think>", ending="\n</think>\n\n")

    assert (
        worker.answer(PROMPT, thinking=outside, think_budget=0).tokens
        == worker.answer(PROMPT, thinking=INSIDE).tokens
        == worker.answer(PROMPT).tokens
    )


def test_the_model_answers_as_if_it_had_ended_its_thinking_itself(worker: Worker) -> None:
    ended = worker.answer(PROMPT, thinking=INSIDE, think_budget=0, n_predict=24)
    told = worker.answer(PROMPT, ended.tokens[:12], n_predict=12)

    assert told.tokens == ended.tokens[12:]


def test_a_grammar_comes_before_the_budget(worker: Worker) -> None:
    answer = worker.answer(PROMPT, thinking=INSIDE, think_budget=0, grammar='root ::= "abababab"')

    assert answer.text == "abababab"


def test_a_grammar_that_allows_the_ending_goes_on_behind_it(worker: Worker) -> None:
    grammar = r'root ::= [^<]* "</think>\n\n" "yes"'

    answer = worker.answer(PROMPT, thinking=INSIDE, think_budget=3, grammar=grammar, n_predict=40)

    assert answer.text.endswith("\n</think>\n\nyes")


def test_control_tokens_show_where_they_are_marks(worker: Worker) -> None:
    only_bos = Sampling(temperature=0, logit_bias=((BOS, 100.0),))

    assert worker.answer(PROMPT, sampling=only_bos, n_predict=3).text == ""
    assert worker.answer(PROMPT, sampling=only_bos, n_predict=3, visible=("a<s>b",)).text == "<s><s><s>"
    assert worker.answer(PROMPT, sampling=GREEDY, visible=("<s>",)).text == worker.answer(PROMPT).text


def test_control_tokens_come_where_a_grammar_asks_for_them(worker: Worker) -> None:
    grammar = 'root ::= "<s>" "yes" "<s>"'

    shown = worker.answer(PROMPT, n_predict=20, grammar=grammar, rules=parse_gbnf(grammar).rules, visible=("<s>",))
    spelt = worker.answer(PROMPT, n_predict=20, grammar=grammar, rules=parse_gbnf(grammar).rules)

    assert shown.text == spelt.text == "<s>yes<s>"
    assert BOS in shown.tokens
    assert BOS not in spelt.tokens  # which say nothing, so that the same is written in letters
