from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from power.worker.batch import (
    HOPE,
    LEAST_PREFILL,
    LENIENCE,
    PATIENCE,
    SIZES,
    SLOWDOWN,
    STEP_SECONDS,
    TILE,
    Chunk,
    Pace,
    Work,
    plan_step,
)


@st.composite
def works(draw: st.DrawFn) -> Work:
    decodes = draw(st.booleans())
    pending = draw(st.integers(1, 20 if decodes else 3000))
    n_now = pending if decodes else draw(st.integers(0, pending))
    return Work(pending, n_now, decodes, draw(st.integers(0, 5)))


WORK = st.lists(works(), min_size=1, max_size=16)
EXTRA = st.integers(0, 2048)


def is_prompt(work: Work) -> bool:
    return work.pending > 1 and not work.decodes


@given(WORK, EXTRA)
def test_nobody_gets_more_than_it_may_have_now(work: list[Work], extra: int) -> None:
    chunks = plan_step(work, extra)

    assert len({chunk.which for chunk in chunks}) == len(chunks)
    assert all(1 <= chunk.n_tokens <= work[chunk.which].n_now for chunk in chunks)


@given(WORK, EXTRA)
def test_who_decodes_has_a_part_in_every_step_and_comes_first(work: list[Work], extra: int) -> None:
    chunks = plan_step(work, extra)
    decoding = [index for index, one in enumerate(work) if one.n_now and not is_prompt(one)]

    assert [chunk.which for chunk in chunks[: len(decoding)]] == decoding


@given(WORK, EXTRA)
def test_logits_are_wanted_where_nothing_is_pending_any_more(work: list[Work], extra: int) -> None:
    for chunk in plan_step(work, extra):
        assert chunk.n_logits == (chunk.n_tokens == work[chunk.which].pending)


@given(WORK, EXTRA)
def test_the_step_stays_within_the_budget_and_uses_it_up(work: list[Work], extra: int) -> None:
    n_tokens = sum(chunk.n_tokens for chunk in plan_step(work, extra))
    n_decoding = sum(bool(one.n_now) and not is_prompt(one) for one in work)
    has_prompts = any(one.n_now and is_prompt(one) for one in work)
    wanted = sum(one.n_now for one in work)

    assert n_tokens <= n_decoding + max(extra, has_prompts)
    assert n_tokens >= min(wanted, n_decoding + extra)


@given(WORK, EXTRA)
def test_something_goes_on_if_anything_can(work: list[Work], extra: int) -> None:
    assert bool(plan_step(work, extra)) == any(one.n_now for one in work)


@given(st.lists(st.integers(2, 4000), min_size=1, max_size=12), st.integers(1, 300))
def test_no_prompt_is_passed_over_for_longer_than_there_are_prompts(sizes: list[int], extra: int) -> None:
    passed_over = [0] * len(sizes)
    for _ in range(60):
        work = [Work(n, n, False, passed_over[index]) for index, n in enumerate(sizes)]
        served = {chunk.which for chunk in plan_step(work, extra)}
        passed_over = [0 if index in served else n + 1 for index, n in enumerate(passed_over)]

        assert max(passed_over) <= len(sizes)


def test_a_short_prompt_is_not_stuck_behind_a_long_one() -> None:
    chunks = plan_step([Work(30_000, 30_000, False), Work(100, 100, False)], 256)

    assert {chunk.which: chunk.n_tokens for chunk in chunks} == {0: 156, 1: 100}


def test_nor_is_a_long_one_starved_by_short_ones() -> None:
    work = [Work(30_000, 30_000, False, 3), *[Work(200, 200, False)] * 3]

    assert plan_step(work, 256)[0] == Chunk(0, 128, 0)


def test_tokens_known_beforehand_go_before_prompts() -> None:
    chunks = plan_step([Work(30_000, 30_000, False), Work(9, 9, True)], 16)

    assert chunks == [Chunk(1, 9, 1), Chunk(0, 8, 0)]


@given(st.floats(1e-5, 1.0), st.sampled_from([32, 64, 512, 2000]), st.integers(0, 16))
def test_a_step_stays_near_its_target_once_the_speed_is_known(
    seconds_per_token: float, n_batch: int, n_decoding: int
) -> None:
    pace = Pace(n_batch)
    for _ in range(30):
        n = min(n_batch, max(pace.extra(n_decoding), n_decoding == 0) + n_decoding)
        pace.record(n, n * seconds_per_token)
    n = pace.extra(n_decoding) + n_decoding

    aim = max(STEP_SECONDS * (LENIENCE if n_decoding else PATIENCE), SLOWDOWN * 2 * n_decoding * seconds_per_token)
    # Now and then a size is tried again that was too slow by no more than could be hope.
    least = n_decoding or LEAST_PREFILL
    assert n <= least or n * seconds_per_token <= aim / HOPE * 1.01
    assert n <= max(n_batch, n_decoding)
    assert n in (*SIZES, n_batch, n_decoding)


def test_a_size_that_was_slow_once_is_tried_again() -> None:
    pace = Pace(512)
    pace.record(64, 10.0)
    small = pace.extra(1)
    for _ in range(3000):
        pace.record(pace.extra(1) + 1, 0.01)

    assert small < TILE <= pace.extra(1)


def test_prompts_go_on_where_a_single_token_takes_longer_than_the_target() -> None:
    pace = Pace(512)
    for _ in range(20):
        pace.record(1, 0.5)
        pace.record(8, 1.0)

    assert pace.extra(1) >= 7


@given(st.integers(1, 64), st.integers(0, 80))
def test_there_is_always_room_for_some_of_a_prompt(n_batch: int, n_decoding: int) -> None:
    assert Pace(n_batch).prefill(n_decoding) >= 1
