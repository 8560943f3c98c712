"""What is computed apart does not depend on what else is computed: not even by a bit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from power.options import Sampling
from power.worker.wire import Done, Piece, Step
from tests.worker.harness import Worker
from tests.worker.models import BOS
from tests.worker.test_sharing import text

WILD = Sampling(seed=7, temperature=2, top_k=0, top_p=1)
PROMPT = (BOS, *text(150, seed=1))  # more than one step's worth


def pieces(worker: Worker, others: Iterable[int] = ()) -> list[Piece]:
    """An answer with its likelihoods, in which every bit of a logit shows; `others` are ended afterwards."""
    id = worker.start(PROMPT, sampling=WILD, n_predict=60, n_probs=3, deterministic=True)
    found: list[Piece] = []
    running = {id, *others}
    while id in running:
        event = worker.receive()
        if isinstance(event, Step):
            found += [Piece(0, piece.text, piece.tokens, piece.logprobs) for piece in event.pieces if piece.id == id]
        elif isinstance(event, Done):
            running.discard(event.id)
    for other in running:
        worker.cancel(other)
        worker.wait_for(Done, other)
    return found


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_same_seed_gives_the_same_tokens_whatever_else_runs(
    fresh_worker: Worker, model_path: Path, n_threads: int
) -> None:
    fresh_worker.load(model_path, n_slots=4, n_threads=n_threads)
    alone = pieces(fresh_worker)
    # The same beginning is in the cache and in rows that run; prompts of many lengths come in between.
    others = [fresh_worker.start(PROMPT[: 50 + 30 * i], n_predict=200, shift=True, n_ctx=200) for i in range(3)]
    beside = pieces(fresh_worker, others)
    fresh_worker.answer(PROMPT, n_predict=5)
    again = pieces(fresh_worker)

    assert len(alone) == 60
    assert beside == alone
    assert again == alone


def test_two_at_once_take_turns(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path, n_slots=4)
    wanted: dict[str, Any] = {"sampling": WILD, "n_predict": 30, "deterministic": True}
    ids = [fresh_worker.start(PROMPT, **wanted) for _ in range(3)]
    answers = fresh_worker.collect(*ids)

    assert len({answers[id].tokens for id in ids}) == 1
    assert [answers[id].done.n_cached for id in ids if answers[id].done] == [0, 0, 0]  # type: ignore[union-attr]


def test_one_that_waits_apart_can_be_cancelled(fresh_worker: Worker, model_path: Path) -> None:
    fresh_worker.load(model_path, n_slots=2)
    first, second = (fresh_worker.start(PROMPT, n_predict=50, deterministic=True) for _ in range(2))
    fresh_worker.cancel(second)
    answers = fresh_worker.collect(first, second)

    assert [len(answers[id].tokens) for id in (first, second)] == [50, 0]
