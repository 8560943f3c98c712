from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from power.worker.batch import DECODING_TARGET, PREFILL_TARGET, TILE, Chunk, Pace, Work, plan_step

PROMPTS = st.builds(Work, st.integers(1, 3000), st.just(False))
DECODING = st.builds(Work, st.integers(1, 20), st.just(True))
WORK = st.lists(PROMPTS | DECODING, min_size=1, max_size=16)
BUDGET = st.integers(1, 2048)


def is_prompt(work: Work) -> bool:
    return work.pending > 1 and not work.decodes


def taken_by_prompts(work: list[Work], chunks: list[Chunk]) -> list[int]:
    return [chunk.n_tokens for chunk in chunks if is_prompt(work[chunk.which])]


@given(WORK, BUDGET)
def test_every_sequence_gets_something_and_none_more_than_it_has(work: list[Work], prefill: int) -> None:
    chunks = plan_step(work, prefill)

    assert sorted(chunk.which for chunk in chunks) == list(range(len(work)))
    assert all(1 <= chunk.n_tokens <= work[chunk.which].pending for chunk in chunks)


@given(WORK, BUDGET)
def test_logits_are_wanted_where_nothing_is_pending_any_more(work: list[Work], prefill: int) -> None:
    for chunk in plan_step(work, prefill):
        assert chunk.n_logits == (chunk.n_tokens == work[chunk.which].pending)


@given(WORK, BUDGET)
def test_the_step_stays_within_the_budget(work: list[Work], extra: int) -> None:
    chunks = plan_step(work, extra)
    n_prompts = len(taken_by_prompts(work, chunks))

    assert sum(chunk.n_tokens for chunk in chunks) <= len(work) - n_prompts + max(extra, n_prompts)


@given(WORK, BUDGET)
def test_the_budget_is_used_up_while_there_are_prompts(work: list[Work], extra: int) -> None:
    chunks = plan_step(work, extra)
    n_decoding = len(work) - len(taken_by_prompts(work, chunks))

    assert sum(chunk.n_tokens for chunk in chunks) >= min(sum(one.pending for one in work), n_decoding + extra)


@given(WORK, BUDGET)
def test_those_that_decode_come_first(work: list[Work], extra: int) -> None:
    decoding = [not is_prompt(work[chunk.which]) for chunk in plan_step(work, extra)]

    assert decoding == sorted(decoding, reverse=True)


def test_tokens_known_beforehand_go_before_prompts() -> None:
    chunks = plan_step([Work(30_000, False), Work(9, True)], 16)

    assert chunks == [Chunk(1, 9, 1), Chunk(0, 8, 0)]


def test_a_short_prompt_is_not_stuck_behind_a_long_one() -> None:
    chunks = {chunk.which: chunk.n_tokens for chunk in plan_step([Work(30_000, False), Work(100, False)], 256)}

    assert chunks == {0: 156, 1: 100}


def test_nor_is_a_long_one_starved_by_short_ones() -> None:
    work = [Work(30_000, False), *[Work(200, False)] * 3]
    chunks = {chunk.which: chunk.n_tokens for chunk in plan_step(work, 256)}

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
