"""Choosing tokens: ours against llama.cpp's own chain, and against the definitions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from power.options import Sampling
from power.worker import sampler as sampler_module
from power.worker.candidates import Candidates, likeliest
from power.worker.logprobs import Distribution
from power.worker.sampler import Penalties, Sampler
from power.worker.vocab import Vocab

N_VOCAB = 20_001  # not a multiple of a block
NEWLINE = 13
VOCAB = cast(Vocab, SimpleNamespace(n_tokens=N_VOCAB, newline=NEWLINE, piece=lambda token: b"%d" % token))
CANDIDATES = Candidates(N_VOCAB)

Logits = NDArray[np.float32]


def random_logits(seed: int, spread: float = 3) -> Logits:
    logits: Logits = (np.random.default_rng(seed).standard_normal(N_VOCAB) * spread).astype(np.float32)
    return logits


def sample(sampling: Sampling, rows: list[Logits]) -> list[int]:
    sampler = Sampler(sampling, None, VOCAB, CANDIDATES)
    tokens = []
    for row in rows:
        tokens.append(sampler.sample(row.copy()))
        sampler.accept(tokens[-1])
    sampler.close()
    return tokens


@given(arrays(np.float32, st.integers(1, 3000), elements=st.integers(-20, 20)), st.integers(-1, 50))
def test_the_likeliest_include_all_that_reach_the_kth(logits: Logits, k: int) -> None:
    found = likeliest(logits, k)

    if found is not None:
        kth = np.sort(logits)[-k]
        assert set(np.flatnonzero(logits >= kth)) <= set(found.tolist())
        assert len(set(found.tolist())) == len(found)


def test_the_likeliest_are_few() -> None:
    found = likeliest(random_logits(1), 40)

    assert found is not None
    assert 40 <= len(found) < 120


@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_without_a_threshold_all_are_candidates(value: float) -> None:
    assert likeliest(np.full(N_VOCAB, value, np.float32), 40) is None


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(seed=1),
        Sampling(seed=2, temperature=3, top_p=1),
        Sampling(seed=3, min_p=0.2, top_p=1),
        Sampling(seed=4, typical_p=0.5),
        Sampling(seed=5, top_k=1),
        Sampling(seed=6, repeat_penalty=1.5),
    ],
)
def test_few_candidates_give_the_tokens_that_all_would(sampling: Sampling, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [random_logits(seed) for seed in range(50)]
    few = sample(sampling, rows)
    monkeypatch.setattr(sampler_module, "likeliest", lambda logits, k: None)

    assert sample(sampling, rows) == few


def test_greedy_is_the_argmax() -> None:
    rows = [random_logits(seed) for seed in range(20)]

    assert sample(Sampling(temperature=0), rows) == [int(row.argmax()) for row in rows]


def test_a_draw_follows_the_distribution() -> None:
    logits = np.full(N_VOCAB, -100, np.float32)
    logits[[5, 6]] = np.log([0.75, 0.25])
    tokens = sample(Sampling(seed=9, temperature=1, top_p=1), [logits] * 2000)

    assert set(tokens) == {5, 6}
    assert tokens.count(5) / 2000 == pytest.approx(0.75, abs=0.04)


def test_seeds_count_by_their_low_32_bits() -> None:
    rows = [random_logits(seed) for seed in range(10)]
    one, same, other = (sample(Sampling(seed=seed, temperature=2), rows) for seed in (5, 5 + 2**40, 6))

    assert one == same
    assert one != other


def test_the_largest_seed_is_a_seed_too() -> None:
    rows = [random_logits(seed) for seed in range(10)]
    one, again = (sample(Sampling(seed=2**32 - 1, temperature=2), rows) for _ in range(2))

    assert one == again


def penalized(sampling: Sampling, seen: list[int], logits: list[float]) -> list[float]:
    row = np.array(logits, np.float32)
    penalties = Penalties(sampling, VOCAB)
    penalties.see(seen)
    penalties.apply(row)
    return cast(list[float], row.tolist())


def test_penalties_are_by_their_definition() -> None:
    sampling = Sampling(repeat_penalty=2, presence_penalty=0.5, frequency_penalty=0.25)

    assert penalized(sampling, [0, 1, 1], [4, -4, 4]) == [4 / 2 - 0.75, -4 * 2 - 1.0, 4]


def test_penalties_look_back_so_far_and_no_further() -> None:
    sampling = Sampling(repeat_penalty=2, repeat_last_n=2)

    assert penalized(sampling, [0, 0, 1, 2], [4, 4, 4]) == [4, 2, 2]


def test_a_newline_may_be_exempt() -> None:
    sampling = Sampling(presence_penalty=1, penalize_newline=False)

    assert penalized(sampling, [0, NEWLINE], [1.0] * 20)[NEWLINE] == 1


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(-1, 8))
def test_seeing_tokens_one_by_one_or_at_once_is_the_same(tokens: list[int], last: int) -> None:
    sampling = Sampling(presence_penalty=1, frequency_penalty=0.5, repeat_last_n=last or 1)
    at_once = Penalties(sampling, VOCAB)
    at_once.see(tokens)
    one_by_one = Penalties(sampling, VOCAB)
    for token in tokens:
        one_by_one.see((token,))
    rows = np.ones((2, 6), np.float32)
    at_once.apply(rows[0])
    one_by_one.apply(rows[1])

    assert rows[0].tolist() == rows[1].tolist()


def test_logprobs_are_the_log_softmax() -> None:
    logits = random_logits(3)
    wide = logits.astype(np.float64)
    expected: Any = wide - np.log(np.exp(wide).sum())
    order = np.argsort(-logits, kind="stable")[:5]
    described = Distribution(logits, 5).describe(77, b"77", "77", VOCAB)

    assert described.logprob == pytest.approx(expected[77], abs=1e-4)
    assert [top.token for top in described.top] == [str(token) for token in order]
    assert [top.logprob for top in described.top] == pytest.approx(expected[order].tolist(), abs=1e-4)
