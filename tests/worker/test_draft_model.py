"""A draft model guesses, and changes nothing but the speed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from power.options import Sampling
from power.worker.draft_model import MAX_EXTRA_TOKENS
from power.worker.wire import Done, LoadError, Ready, Step
from tests.support import TINY
from tests.worker.harness import GREEDY, Answer, Worker, open_worker
from tests.worker.models import (
    FIRST_BYTE,
    N_VOCAB,
    add_attention,
    attention_tensors,
    ends,
    finish,
    open_writer,
    random_tensor,
    write_recurrent_model,
)

TEXT = "the other thing that he ate at the tea. "
SAMPLINGS = {
    "greedy": GREEDY,
    "seeded": Sampling(seed=3, temperature=0.4),
    "penalties": Sampling(seed=3, temperature=0.3, repeat_penalty=1.05, presence_penalty=0.1),
}


N_EMBD = 64
N_LAYER = 2
IDLE = tuple(f"blk.{layer}.{name}.weight" for layer in range(N_LAYER, 99) for name in ("attn_output", "ffn_down"))


def write_sure_model(path: Path, *, n_layer: int = N_LAYER, n_idle: int = 0, n_padding: int = 0) -> Path:
    """A model that is sure of what it says; layers that add nothing make it slower and no wiser."""
    writer = open_writer(path, "llama", N_EMBD, n_layer + n_idle, 512, n_padding=n_padding)
    add_attention(writer, N_EMBD)
    for name, shape in [*ends(N_EMBD, n_padding), *attention_tensors(N_EMBD, n_layer + n_idle)]:
        factor = 0.0 if name in IDLE else 8.0 if name == "output.weight" else 1.0
        writer.add_tensor(name, (random_tensor(name, shape) * factor).astype("float32"))
    return finish(writer, path, [])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sure_model(tmp_path_factory.mktemp("draft") / "model.gguf", n_idle=40)


@pytest.fixture(scope="module")
def same(path: Path) -> Path:
    """It says the same, in a tenth of the time."""
    return write_sure_model(path.with_name("same.gguf"))


@pytest.fixture(scope="module")
def other(path: Path) -> Path:
    """It has the same vocabulary, and that is all; and is as sure of itself."""
    return write_sure_model(path.with_name("other.gguf"), n_layer=1)


@pytest.fixture(scope="module")
def alike(path: Path, same: Path) -> Iterator[Worker]:
    with open_worker() as worker:
        assert isinstance(worker.load(path, draft=str(same)), Ready)
        yield worker


@pytest.fixture(scope="module")
def unlike(path: Path, other: Path) -> Iterator[Worker]:
    with open_worker() as worker:
        assert isinstance(worker.load(path, draft=str(other)), Ready)
        yield worker


def both(worker: Worker, sampling: Sampling, **changes: object) -> tuple[Answer, Answer]:
    """The same answer with and without drafts."""
    with_drafts = worker.answer(TEXT, sampling=sampling, n_predict=200, **changes)
    return with_drafts, worker.answer(TEXT, sampling=sampling, n_predict=200, n_draft=0, **changes)


def counts(answer: Answer) -> tuple[int, int]:
    assert answer.done is not None
    assert answer.done.n_drafted == 0  # nothing is looked up here
    return answer.done.n_model_drafted, answer.done.n_model_accepted


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("which", ["alike", "unlike"])
def test_the_tokens_are_those_of_an_answer_without_drafts(
    request: pytest.FixtureRequest, which: str, name: str
) -> None:
    with_drafts, without = both(request.getfixturevalue(which), SAMPLINGS[name])

    assert with_drafts.tokens == without.tokens
    assert with_drafts.text == without.text
    assert counts(without) == (0, 0)


def test_a_draft_that_knows_is_right(path: Path, same: Path) -> None:
    with open_worker() as worker:
        worker.load(path, draft=str(same))
        n_drafted, n_accepted = counts(worker.answer(TEXT, n_predict=200))

    assert 0 < n_drafted == n_accepted


def test_a_draft_that_does_not_know_is_asked_less_and_less(path: Path, other: Path) -> None:
    with open_worker() as worker:
        worker.load(path, draft=str(other))
        n_drafted, n_accepted = counts(worker.answer(TEXT, n_predict=200))

    assert 0 < n_drafted < 200  # asked every time, it would have been some 700
    assert n_accepted < n_drafted / 2


def test_a_request_says_how_many(alike: Worker) -> None:
    answers = [alike.answer(TEXT, n_predict=60, n_draft=n).tokens for n in (0, 1, 4, 12)]

    assert answers == answers[:1] * 4


@pytest.mark.parametrize("which", ["alike", "unlike"])
def test_sequences_together_draft_for_themselves_alone(request: pytest.FixtureRequest, which: str) -> None:
    worker = request.getfixturevalue(which)
    alone = [worker.answer(f"{n}{TEXT}", n_predict=40, n_draft=0).tokens for n in range(4)]
    ids = [worker.start(f"{n}{TEXT}", n_predict=40) for n in range(4)]
    answers = worker.collect(*ids)

    assert [answers[id].tokens for id in ids] == alone


def test_grammars_stop_strings_and_logprobs_are_exact(alike: Worker) -> None:
    for changes in (
        {"grammar": "root ::= [a-z]+"},
        {"grammar": 'root ::= ("a" [b-f]* "g")+'},
        {"stop": ("e",)},
        {"n_probs": 2},
    ):
        with_drafts, without = both(alike, GREEDY, **changes)
        assert with_drafts.tokens == without.tokens
        assert with_drafts.text == without.text


def test_who_goes_in_the_middle_leaves_nothing_to_the_next(alike: Worker) -> None:
    expected = [alike.answer(f"{TEXT}{n}", n_predict=30, n_draft=0).tokens for n in range(4)]
    for n in range(4):
        id = alike.start(TEXT, n_predict=400)
        alike.wait_for(Step)
        alike.cancel(id)
        alike.wait_for(Done, id)
        assert alike.answer(f"{TEXT}{n}", n_predict=30).tokens == expected[n]


def test_a_context_that_shifts_goes_on(path: Path, same: Path) -> None:
    with open_worker() as worker:
        worker.load(path, draft=str(same), n_ctx=64)
        answer = worker.answer(TEXT, n_predict=150, shift=True)
        plain = worker.answer(TEXT, n_predict=150, shift=True, n_draft=0)

    assert len(answer.tokens) == 150
    assert answer.tokens[:20] == plain.tokens[:20]


def test_more_than_the_draft_s_memory_holds_is_answered_without_it(path: Path, same: Path) -> None:
    # What the sequences have in common counts once for the model, and for each in the draft.
    common = tuple(FIRST_BYTE + n % 200 for n in range(150))
    with open_worker() as worker:
        worker.load(path, draft=str(same), n_pool=300)
        ids = [worker.start((*common, FIRST_BYTE + n), n_predict=20) for n in range(4)]
        answers = worker.collect(*ids)
        alone = [worker.answer((*common, FIRST_BYTE + n), n_predict=20, n_draft=0).tokens for n in range(4)]

    assert [answers[id].tokens for id in ids] == alone


def test_a_prompt_longer_than_a_step_is_read_in_steps(path: Path, same: Path) -> None:
    prompt = tuple(FIRST_BYTE + n * 7 % 200 for n in range(200))
    with open_worker() as worker:
        worker.load(path, draft=str(same), n_batch=32, n_ctx=512)
        with_drafts, without = (worker.answer(prompt, n_predict=60, n_draft=n) for n in (-1, 0))

    assert with_drafts.tokens == without.tokens
    assert counts(with_drafts)[0] > 0


def test_a_draft_that_is_padded_with_more_tokens_drafts_none_of_them(path: Path, tmp_path: Path) -> None:
    draft = write_sure_model(tmp_path / "draft.gguf", n_padding=MAX_EXTRA_TOKENS)
    with open_worker() as worker:
        assert isinstance(worker.load(path, draft=str(draft)), Ready)
        with_drafts, without = both(worker, GREEDY)

    assert with_drafts.tokens == without.tokens
    n_drafted, n_accepted = counts(with_drafts)
    assert n_drafted >= n_accepted > 0


def test_tokens_that_the_draft_does_not_have_are_answered_without_it(tmp_path: Path) -> None:
    model = write_sure_model(tmp_path / "model.gguf", n_idle=10, n_padding=100)
    draft = write_sure_model(tmp_path / "draft.gguf")
    with open_worker() as worker:
        assert isinstance(worker.load(model, draft=str(draft)), Ready)
        with_drafts, without = both(worker, GREEDY)
        padded = worker.answer(TEXT + "[pad7]" + TEXT, n_predict=10)

    assert with_drafts.tokens == without.tokens
    assert len(padded.tokens) == 10


def test_too_many_tokens_more_are_another_vocabulary(path: Path, tmp_path: Path) -> None:
    draft = write_sure_model(tmp_path / "draft.gguf", n_padding=MAX_EXTRA_TOKENS + 1)
    with open_worker() as worker:
        answer = worker.load(path, draft=str(draft))

    assert isinstance(answer, LoadError)
    assert f"{N_VOCAB + MAX_EXTRA_TOKENS + 1} tokens, not {N_VOCAB}" in answer.message


def test_another_vocabulary_is_refused_and_the_difference_named(path: Path) -> None:
    with open_worker() as worker:
        answer = worker.load(path, draft=str(TINY))

    assert isinstance(answer, LoadError)
    assert "has another vocabulary than" in answer.message


def test_a_draft_that_cannot_take_back_what_it_read_is_refused(path: Path, tmp_path: Path) -> None:
    with open_worker() as worker:
        answer = worker.load(path, draft=str(write_recurrent_model(tmp_path / "draft.gguf")))

    assert isinstance(answer, LoadError)
    assert "cannot draft" in answer.message


def test_a_draft_that_is_not_there_is_told(path: Path, tmp_path: Path) -> None:
    with open_worker() as worker:
        answer = worker.load(path, draft=str(tmp_path / "none.gguf"))

    assert isinstance(answer, LoadError)
    assert "none.gguf" in answer.message


def test_a_model_whose_memory_cannot_be_cut_answers_without_its_draft(same: Path, tmp_path: Path) -> None:
    with open_worker() as worker:
        worker.load(write_recurrent_model(tmp_path / "model.gguf"), draft=str(same))
        answer = worker.answer(TEXT, n_predict=20)

    assert len(answer.tokens) == 20
    assert counts(answer) == (0, 0)
