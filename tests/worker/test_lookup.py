"""Guesses, and whether they pay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from power.worker.lookup import N_GRAM, Lookup, Trust

TOKENS = st.lists(st.integers(0, 3), max_size=40)


def test_what_followed_the_same_words_before_is_drafted() -> None:
    assert Lookup().draft([1, 2, 3, 4, 5, 6, 9, 1, 2, 3], 3) == [4, 5, 6]


def test_the_latest_occurrence_counts() -> None:
    assert Lookup().draft([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 1) == [5]


def test_a_loop_goes_on_and_on() -> None:
    assert Lookup().draft([7, 1, 2, 3, 1, 2, 3], 7) == [1, 2, 3, 1, 2, 3, 1]


def test_nothing_is_drafted_for_words_that_are_new() -> None:
    assert Lookup().draft([1, 2, 3, 4, 5], 8) == []


@given(TOKENS, st.integers(1, 8))
def test_growing_token_by_token_finds_what_looking_at_all_finds(tokens: list[int], n: int) -> None:
    grown = Lookup()
    for end in range(len(tokens) + 1):
        found = grown.draft(tokens[:end], n)

    assert found == Lookup().draft(tokens, n)
    if found:  # what was drafted did follow these tokens before
        last = tokens[-N_GRAM:]
        places = [i for i in range(N_GRAM, len(tokens)) if tokens[i - N_GRAM : i] == last]
        assert tokens[places[-1]] == found[0]


@given(TOKENS, TOKENS)
def test_after_forgetting_it_is_as_new(before: list[int], after: list[int]) -> None:
    lookup = Lookup()
    lookup.draft(before, 4)
    lookup.forget()

    assert lookup.draft(after, 4) == Lookup().draft(after, 4)


def test_trust_is_lost_and_comes_back() -> None:
    trust = Trust()
    for _ in range(50):
        trust.record(4, 0)
    assert trust.p < 0.05
    for _ in range(200):
        trust.rest()
    assert trust.p > 0.7
    trust.record(16, 16)
    assert trust.p > 0.9
