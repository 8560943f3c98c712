"""A context that is full: an answer ends there, or goes on without the oldest part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker.harness import Worker
from tests.worker.models import BOS, FIRST_BYTE, write_model, write_recurrent_model, write_sliding_model
from tests.worker.test_sharing import reason, text

PROMPT = (BOS, *text(20, seed=1))

Write = Callable[[Path], Path]


@pytest.fixture(params=[write_model, write_sliding_model, write_recurrent_model], scope="module")
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write: Write = request.param
    return write(tmp_path_factory.mktemp("kinds") / "model.gguf")


def test_an_answer_goes_on_past_its_context(fresh_worker: Worker, path: Path) -> None:
    fresh_worker.load(path)
    answer = fresh_worker.answer(PROMPT, n_ctx=64, n_predict=200, shift=True, n_keep=4)
    bounded = fresh_worker.answer(PROMPT, n_ctx=64, n_predict=200)

    assert (len(answer.tokens), reason(answer)) == (200, "length")
    assert (len(bounded.tokens), reason(bounded)) == (64 - len(PROMPT), "length")
    assert answer.tokens[: len(bounded.tokens)] == bounded.tokens


def test_what_was_shifted_is_no_cache_for_anybody(fresh_worker: Worker, path: Path) -> None:
    fresh_worker.load(path)
    shifted = fresh_worker.answer(PROMPT, n_ctx=64, n_predict=150, shift=True, n_keep=4)
    again = fresh_worker.answer((*PROMPT, *shifted.tokens[:20]), n_predict=30)
    with_nothing_cached = fresh_worker.answer((*PROMPT, *shifted.tokens[:20]), n_predict=30)

    assert again.tokens == with_nothing_cached.tokens
    assert again.tokens == shifted.tokens[20:50][: 64 - len(PROMPT) - 20] + again.tokens[64 - len(PROMPT) - 20 :]


def test_a_shift_leaves_alone_what_others_share(fresh_worker: Worker, path: Path) -> None:
    fresh_worker.load(path)
    expected = fresh_worker.answer(PROMPT, n_ctx=128, n_predict=100).tokens
    first = fresh_worker.start(PROMPT, n_ctx=64, n_predict=150, shift=True, n_keep=4)
    second = fresh_worker.start(PROMPT, n_ctx=128, n_predict=100)
    answers = fresh_worker.collect(first, second)

    assert len(answers[first].tokens) == 150
    assert answers[second].tokens == expected


@pytest.mark.parametrize("n_keep", [-1, 0, 1, 63, 64, 2**31 - 1])
@pytest.mark.parametrize("n_ctx", [2, 3, 8, 64])
def test_no_number_of_tokens_to_keep_does_harm(worker: Worker, n_keep: int, n_ctx: int) -> None:
    answer = worker.answer((BOS,), n_ctx=n_ctx, n_predict=80, shift=True, n_keep=n_keep)

    assert len(answer.tokens) == min(80, 10 * n_ctx)


def test_an_answer_without_end_ends_after_ten_contexts(worker: Worker) -> None:
    answer = worker.answer(PROMPT, n_ctx=32, n_predict=-1, shift=True, n_keep=4)

    assert (len(answer.tokens), reason(answer)) == (320, "length")


def test_a_grammar_and_a_stop_string_hold_over_a_shift(worker: Worker) -> None:
    letters = "".join(chr(97 + i % 26) for i in range(100))
    answer = worker.answer(
        PROMPT, n_ctx=40, n_predict=300, shift=True, n_keep=0, grammar=f'root ::= "{letters}."', stop=("x.", "v.")
    )

    assert answer.text == letters[:-1]
    assert reason(answer) == "stop"


def test_known_tokens_may_fill_more_than_the_context(worker: Worker) -> None:
    answer = worker.answer((BOS, FIRST_BYTE + 97), n_ctx=8, n_predict=80, shift=True, grammar='root ::= "ab"{30}')

    assert answer.text == "ab" * 30
