from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from power.worker.batch import DECODING_TARGET, PREFILL_TARGET, TILE, Pace, plan_step

PENDING = st.lists(st.integers(1, 3000), min_size=1, max_size=16)
BUDGET = st.integers(1, 2048)


@given(PENDING, BUDGET)
def test_every_sequence_gets_something_and_none_more_than_it_has(pending: list[int], prefill: int) -> None:
    chunks = plan_step(pending, prefill)

    assert sorted(chunk.which for chunk in chunks) == list(range(len(pending)))
    assert all(1 <= chunk.n_tokens <= pending[chunk.which] for chunk in chunks)


@given(PENDING, BUDGET)
def test_prompts_together_stay_within_the_budget(pending: list[int], prefill: int) -> None:
    prompts = [chunk.n_tokens for chunk in plan_step(pending, prefill) if pending[chunk.which] > 1]

    assert sum(prompts) <= max(prefill, len(prompts))


@given(PENDING, BUDGET)
def test_the_budget_is_used_up_while_there_are_prompts(pending: list[int], prefill: int) -> None:
    wanted = sum(n for n in pending if n > 1)
    taken = sum(chunk.n_tokens for chunk in plan_step(pending, prefill) if pending[chunk.which] > 1)

    assert taken >= min(wanted, prefill)


@given(PENDING, BUDGET)
def test_those_that_decode_come_first(pending: list[int], prefill: int) -> None:
    decoding = [pending[chunk.which] == 1 for chunk in plan_step(pending, prefill)]

    assert decoding == sorted(decoding, reverse=True)


def test_a_short_prompt_is_not_stuck_behind_a_long_one() -> None:
    chunks = {chunk.which: chunk.n_tokens for chunk in plan_step([30_000, 100], 256)}

    assert chunks == {0: 156, 1: 100}


def test_nor_is_a_long_one_starved_by_short_ones() -> None:
    chunks = {chunk.which: chunk.n_tokens for chunk in plan_step([30_000, 200, 200, 200], 256)}

    assert chunks[0] == 16


@given(st.floats(1e-5, 1.0), st.sampled_from([32, 64, 512, 2000]), st.integers(0, 16))
def test_a_step_with_a_prompt_stays_near_its_target(seconds_per_token: float, n_batch: int, n_decoding: int) -> None:
    pace = Pace(n_batch)
    pace.record(64, 64 * seconds_per_token)
    n = pace.prefill(n_decoding) + n_decoding

    target = DECODING_TARGET if n_decoding else PREFILL_TARGET
    assert n <= TILE or n * seconds_per_token <= target * 1.01
    assert min(TILE, n_batch) <= n <= n_batch
    assert n == n_batch or n & (n - 1) == 0


@given(st.integers(1, 64), st.integers(0, 80))
def test_there_is_always_room_for_some_of_a_prompt(n_batch: int, n_decoding: int) -> None:
    assert Pace(n_batch).prefill(n_decoding) >= 1


def test_a_step_without_a_prompt_tells_nothing_about_the_speed_of_prompts() -> None:
    pace = Pace(512)
    before = pace.prefill(0)
    pace.record(4, 10.0)

    assert pace.prefill(0) == before
