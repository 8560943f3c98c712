"""Which inputs share a step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from power.worker.packing import pack

QUEUES = st.lists(st.lists(st.integers(1, 50), max_size=6), max_size=6)
BUDGET = st.integers(1, 80)
ROWS = st.integers(1, 8)


def test_short_inputs_of_different_requests_share_a_step() -> None:
    takes = pack([[5, 5], [7], [6]], 100, 8, can_split=False)

    assert sorted(takes) == [(0, 5), (0, 5), (1, 7), (2, 6)]


def test_everybody_gets_a_part_before_anybody_gets_two() -> None:
    takes = pack([[5] * 20, [5], [5]], 15, 8, can_split=False)

    assert [take.which for take in takes] == [0, 1, 2]


def test_an_input_larger_than_a_step_goes_alone_where_it_cannot_be_split() -> None:
    assert pack([[90], [5]], 50, 8, can_split=False) == [(0, 90)]


@given(QUEUES, BUDGET, ROWS)
def test_whole_inputs_stay_whole_and_within_the_step(queues: list[list[int]], n_tokens: int, n_rows: int) -> None:
    takes = pack(queues, n_tokens, n_rows, can_split=False)

    assert len(takes) <= n_rows
    assert len(takes) <= 1 or sum(take.n_tokens for take in takes) <= n_tokens
    for which, queue in enumerate(queues):  # in order, from the first
        taken = [take.n_tokens for take in takes if take.which == which]
        assert taken == queue[: len(taken)]
    assert bool(takes) == any(queues)


@given(QUEUES, BUDGET, ROWS)
def test_of_inputs_that_may_be_split_only_the_last_one_is(queues: list[list[int]], n_tokens: int, n_rows: int) -> None:
    takes = pack(queues, n_tokens, n_rows, can_split=True)

    assert sum(take.n_tokens for take in takes) <= n_tokens
    assert len(takes) <= n_rows
    at = [0] * len(queues)
    for n, take in enumerate(takes):
        size = queues[take.which][at[take.which]]
        at[take.which] += 1
        assert take.n_tokens == size or (n == len(takes) - 1 and take.n_tokens < size)
    full = sum(take.n_tokens for take in takes) == n_tokens or len(takes) == n_rows
    assert full or at == [len(queue) for queue in queues]
