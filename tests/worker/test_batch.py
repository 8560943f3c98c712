from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from power.worker.batch import TILE, Chunk, Work, plan_step, weigh


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


PARTS = st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 300)), min_size=1, max_size=8)


@given(PARTS)
def test_below_a_tile_every_token_is_compared_with_its_own_cells(parts: list[tuple[int, int]]) -> None:
    small = [(n_past, 1 + n % 7) for n_past, n in parts]

    assert weigh(small) == (
        sum(n for _, n in small),
        sum(n_past + i + 1 for n_past, n in small for i in range(n)),
    )


@given(PARTS, st.integers(0, 300))
def test_a_tile_costs_as_a_whole_whatever_is_in_it(parts: list[tuple[int, int]], n_past: int) -> None:
    n_tokens, n_pairs = weigh([*parts, (n_past, TILE)])
    rows = sum(past + i + 1 for past, n in [*parts, (n_past, TILE)] for i in range(n))

    assert n_tokens == sum(n for _, n in parts) + TILE
    assert n_pairs % TILE == 0
    assert n_pairs >= rows / len(parts)
    assert n_pairs >= TILE * max(past + n for past, n in parts)


def test_two_tokens_too_many_are_another_tile() -> None:
    assert weigh([(6000, 64)]).n_pairs == TILE * 6064
    assert weigh([(6000, 66)]).n_pairs == TILE * (6064 + 6066)
    assert weigh([(100, 2), (6000, 62)]).n_pairs == TILE * (102 + 6062)
