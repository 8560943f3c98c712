"""Drafts change nothing but the speed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.copy_model import write_copy_model
from power.options import Sampling
from tests.worker.harness import GREEDY, Answer, Worker, open_worker
from tests.worker.models import write_model, write_recurrent_model, write_sliding_model

TEXT = "the other thing that he ate at the tea, and the other thing that he ate. "
SAMPLINGS = {
    "greedy": GREEDY,
    "seeded": Sampling(seed=3, temperature=0.4),
    "penalties": Sampling(seed=3, temperature=0.3, repeat_penalty=1.05, presence_penalty=0.1),
    "mirostat": Sampling(seed=3, mirostat=2),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("speculation") / "model.gguf")


@pytest.fixture(scope="module")
def drafting(path: Path) -> Iterator[Worker]:
    with open_worker() as worker:
        worker.load(path, n_draft=8)
        yield worker


def both(worker: Worker, sampling: Sampling, **changes: object) -> tuple[Answer, Answer]:
    """The same answer with and without drafts."""
    with_drafts = worker.answer(TEXT, sampling=sampling, n_predict=100, **changes)
    return with_drafts, worker.answer(TEXT, sampling=sampling, n_predict=100, n_draft=0, **changes)


def counts(answer: Answer) -> tuple[int, int]:
    assert answer.done is not None
    return answer.done.n_drafted, answer.done.n_accepted


@pytest.mark.parametrize("name", SAMPLINGS)
def test_the_tokens_are_those_of_an_answer_without_drafts(drafting: Worker, name: str) -> None:
    with_drafts, without = both(drafting, SAMPLINGS[name])

    assert with_drafts.tokens == without.tokens
    assert with_drafts.text == without.text
    assert counts(without) == (0, 0)


@pytest.mark.parametrize("n_draft", [1, 2, 5, 64])
def test_how_much_is_drafted_does_not_matter(drafting: Worker, n_draft: int) -> None:
    answers = [drafting.answer(TEXT, n_predict=100, n_draft=n) for n in (n_draft, 0)]

    assert answers[0].tokens == answers[1].tokens


def test_an_answer_with_drafts_ends_where_its_context_ends(drafting: Worker) -> None:
    certain = Sampling(temperature=0, logit_bias=((70, 100.0),))  # so that all drafts are right
    answers = [drafting.answer(TEXT, sampling=certain, n_predict=-1, n_ctx=150, n_draft=n) for n in (-1, 0)]

    for answer in answers:
        assert answer.done is not None
        assert answer.done.n_prompt + answer.done.n_generated == 150
    assert answers[0].tokens == answers[1].tokens


def test_an_answer_that_repeats_itself_is_drafted_and_the_counts_say_so(drafting: Worker) -> None:
    # Biased towards one token it repeats that one for ever.
    sampling = Sampling(temperature=0, logit_bias=((70, 100.0),))
    with_drafts, without = both(drafting, sampling)

    n_drafted, n_accepted = counts(with_drafts)
    assert set(with_drafts.tokens) == {70}
    assert with_drafts.tokens == without.tokens
    assert 0 < n_accepted <= n_drafted
    assert with_drafts.done is not None
    assert with_drafts.done.n_generated == 100


def test_logprobs_stop_strings_and_grammars_are_exact(drafting: Worker) -> None:
    loop = Sampling(temperature=0, logit_bias=((70, 100.0), (71, 99.0)))
    for changes in (
        {"n_probs": 2},
        {"stop": ("CCCCCCC",)},
        {"grammar": 'root ::= "C" "D"* | "CCCCC" [CD]*'},
        {"grammar": 'root ::= "CDCDCDCDCDCDCDCDCDCD" [CD]*', "n_probs": 1},
    ):
        with_drafts, without = both(drafting, loop, **changes)
        assert with_drafts.tokens == without.tokens
        assert with_drafts.text == without.text
        assert with_drafts.done is not None
        assert without.done is not None
        assert with_drafts.done.reason == without.done.reason
        logprobs = [[item for piece in answer.pieces for item in piece.logprobs] for answer in (with_drafts, without)]
        assert [item.token for item in logprobs[0]] == [item.token for item in logprobs[1]]
        assert [item.logprob for item in logprobs[0]] == pytest.approx([i.logprob for i in logprobs[1]], abs=0.02)


def test_what_drafts_leave_in_the_cache_is_what_belongs_there(drafting: Worker, path: Path) -> None:
    sampling = Sampling(temperature=0, logit_bias=((70, 100.0),))
    first = drafting.answer(TEXT, sampling=sampling, n_predict=30, want_tokens=True)
    assert first.accepted is not None
    longer = (*first.accepted.tokens, *first.tokens)
    again, fresh = (drafting.answer(longer, n_predict=20, n_draft=n) for n in (8, 0))
    with open_worker() as other:
        other.load(path)
        expected = other.answer(longer, n_predict=20)

    assert again.tokens == fresh.tokens == expected.tokens


def test_sequences_together_draft_for_themselves_alone(drafting: Worker) -> None:
    alone = [drafting.answer(f"{TEXT}{n}", n_predict=40, n_draft=0).tokens for n in range(4)]
    ids = [drafting.start(f"{TEXT}{n}", n_predict=40) for n in range(4)]
    answers = drafting.collect(*ids)

    assert [answers[id].tokens for id in ids] == alone


@pytest.mark.parametrize("write", [write_sliding_model, write_recurrent_model])
def test_other_kinds_of_memory_draft_only_if_they_can_take_it_back(tmp_path: Path, write: object) -> None:
    path = write(tmp_path / "model.gguf")  # type: ignore[operator]
    with open_worker() as worker:
        worker.load(path, n_draft=8)
        with_drafts, without = both(worker, GREEDY)

    assert with_drafts.tokens == without.tokens
    if write is write_recurrent_model:
        assert counts(with_drafts) == (0, 0)


def test_a_context_that_shifts_goes_on(path: Path) -> None:
    with open_worker() as worker:
        worker.load(path, n_draft=8, n_ctx=64)
        prompt = "the tea that "
        answer = worker.answer(prompt, n_predict=150, shift=True)
        plain = worker.answer(prompt, n_predict=150, shift=True, n_draft=0)

    assert len(answer.tokens) == 150
    assert answer.tokens[:40] == plain.tokens[:40]


def test_of_a_text_that_is_copied_nearly_all_is_drafted_and_right(tmp_path: Path) -> None:
    text = tuple(3 + n * 7 % 509 for n in range(300))  # each token once
    with open_worker() as worker:
        worker.load(write_copy_model(tmp_path / "copy.gguf"), n_draft=8, n_ctx=1024)
        answer = worker.answer((*text, text[0]), n_predict=300)

    n_drafted, n_accepted = counts(answer)
    assert answer.tokens == (*text[1:], text[0])
    assert n_accepted == n_drafted
