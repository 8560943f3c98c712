"""Every kind of memory gives the same answers, with and without what is cached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from power.worker.wire import Ready
from tests.worker.harness import Answer, Worker, open_worker
from tests.worker.models import (
    write_convolving_model,
    write_hybrid_model,
    write_model,
    write_recurrent_model,
    write_sliding_model,
)

PROMPT = "the other thing that he ate at the tea"

Write = Callable[[Path], Path]


KINDS = [write_model, write_sliding_model, write_recurrent_model, write_hybrid_model, write_convolving_model]


@pytest.fixture(params=KINDS, scope="module")
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write: Write = request.param
    return write(tmp_path_factory.mktemp("kinds") / "model.gguf")


def first_answers(path: Path, *prompts: str | tuple[int, ...], n_predict: int = 40) -> list[Answer]:
    """What each prompt is answered by a worker that knows nothing yet."""
    answers = []
    for prompt in prompts:
        with open_worker() as worker:
            worker.load(path)
            answers.append(worker.answer(prompt, n_predict=n_predict, want_tokens=True))
    return answers


def test_sequences_together_answer_what_they_answer_alone(fresh_worker: Worker, path: Path) -> None:
    prompts = [f"{PROMPT} {'and more ' * i}" for i in range(4)]
    assert isinstance(fresh_worker.load(path), Ready)
    ids = [fresh_worker.start(prompt, n_predict=40) for prompt in prompts]
    answers = fresh_worker.collect(*ids)

    assert [answers[id].tokens for id in ids] == [answer.tokens for answer in first_answers(path, *prompts)]


def test_a_cached_prefix_changes_nothing(fresh_worker: Worker, path: Path) -> None:
    prompts = [PROMPT, PROMPT, PROMPT + " and more", PROMPT[:20], PROMPT + " and more"]
    fresh_worker.load(path)
    answers = [fresh_worker.answer(prompt, n_predict=40).tokens for prompt in prompts]

    assert answers == [answer.tokens for answer in first_answers(path, *prompts)]


def test_a_conversation_goes_on_from_what_is_there(fresh_worker: Worker, path: Path) -> None:
    fresh_worker.load(path)
    first = fresh_worker.answer(PROMPT, n_predict=40, want_tokens=True)
    assert first.accepted is not None
    longer = (*first.accepted.tokens, *first.tokens, *first.accepted.tokens)
    second = fresh_worker.answer(longer, n_predict=40)

    assert second.done is not None
    assert second.done.n_cached == len(first.accepted.tokens) + len(first.tokens) - 1
    assert [second.tokens] == [answer.tokens for answer in first_answers(path, longer)]


def test_two_conversations_that_take_turns_are_both_computed_once(fresh_worker: Worker, path: Path) -> None:
    fresh_worker.load(path)
    talks = [fresh_worker.answer(f"{who} {PROMPT}", n_predict=40, want_tokens=True) for who in ("one", "two")]
    for talk in talks:
        assert talk.accepted is not None
        longer = (*talk.accepted.tokens, *talk.tokens, 100, 101, 102)
        second = fresh_worker.answer(longer, n_predict=20)

        assert second.done is not None
        assert second.done.n_cached == len(longer) - 4
        assert [second.tokens] == [answer.tokens for answer in first_answers(path, longer, n_predict=20)]
