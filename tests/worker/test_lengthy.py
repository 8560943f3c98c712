from __future__ import annotations

from collections.abc import Iterator

import llama_cpp.llama_cpp as c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.worker.lengthy import PIECE, count, head
from power.worker.vocab import Vocab
from power.worker.wire import Count, Counted
from tests.support import TINY
from tests.worker.harness import Worker

WORDS = "What is the capital of France? 3 + 4 = 7. "


@pytest.fixture(scope="module")
def vocab() -> Iterator[Vocab]:
    params = c.llama_model_default_params()
    params.vocab_only = True
    model = c.llama_model_load_from_file(str(TINY).encode(), params)
    yield Vocab(c.llama_model_get_vocab(model))
    c.llama_model_free(model)


@given(st.text(max_size=200), st.integers(0, 300))
def test_an_ordinary_text_is_counted_to_the_token(vocab: Vocab, text: str, n_most: int) -> None:
    assert head(vocab, text, n_most) == (text, 0)
    assert count(vocab, text, n_most) == len(vocab.tokenize_prompt(text))


def test_a_text_many_times_too_long_is_not_read_to_its_end(vocab: Vocab) -> None:
    text = WORDS * 100_000

    beginning, n_about = head(vocab, text, 2048)

    assert len(beginning) == PIECE
    assert text.startswith(beginning)
    assert len(vocab.tokenize(beginning)) > 2048
    assert n_about == pytest.approx(len(vocab.tokenize(WORDS)) * 100_000, rel=0.01)
    assert count(vocab, text, 2048) == n_about


def test_a_long_text_that_has_few_tokens_is_read_whole(vocab: Vocab) -> None:
    text = WORDS * 10_000
    n_tokens = len(vocab.tokenize(text))

    assert count(vocab, text, n_tokens) == n_tokens
    assert head(vocab, text, n_tokens) == (text, 0)


def test_an_endless_prompt_is_refused_with_about_the_numbers(worker: Worker) -> None:
    refused = worker.answer("x" * 5_000_000).refused

    assert refused is not None
    assert (refused.kind, refused.n_ctx) == ("too-long", 256)
    assert refused.n_prompt == pytest.approx(5_000_000, rel=0.01)


def test_counting_between_answers(worker: Worker) -> None:
    accepted = worker.answer("abc", n_predict=1, want_tokens=True).accepted
    assert accepted is not None
    worker.send(Count(900, "abc", 10))

    assert worker.wait_for(Counted) == Counted(900, len(accepted.tokens))
