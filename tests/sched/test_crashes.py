from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.errors import Overloaded
from power.sched.crashes import MAX_PAUSE, MAX_REMEMBERED, Crashes


def pause(crashes: Crashes, key: str, now: float) -> float:
    """Seconds until it may be tried."""
    try:
        crashes.check(key, key, now)
    except Overloaded as error:
        return error.retry_after
    return 0


@given(st.lists(st.integers(1, 5), max_size=40))
def test_each_death_makes_the_pause_longer_up_to_a_bound(deaths: list[int]) -> None:
    crashes, last = Crashes(), 0.0
    for number, n_times in enumerate(deaths):
        now = number * 2 * MAX_PAUSE
        assert pause(crashes, "m", now) == 0
        crashes.died("m", n_times, "killed", now)

        assert last <= pause(crashes, "m", now) <= MAX_PAUSE
        last = pause(crashes, "m", now)


def test_one_death_is_forgiven_and_an_answer_forgives_all() -> None:
    crashes = Crashes()
    crashes.died("m", 1, "killed", 0)
    assert pause(crashes, "m", 0) == 0
    crashes.died("m", 1, "killed", 0)
    assert pause(crashes, "m", 0) == 5
    assert pause(crashes, "other", 0) == 0

    crashes.recovered("m")

    assert pause(crashes, "m", 0) == 0


def test_the_refusal_says_why_and_when() -> None:
    crashes = Crashes()
    crashes.died("m", 4, "killed by SIGSEGV", 100)

    with pytest.raises(
        Overloaded, match=r"'tiny' keeps crashing \(4 times in a row, last: killed by SIGSEGV\)"
    ) as caught:
        crashes.check("m", "tiny", 105)

    assert caught.value.retry_after == 15


def test_memory_for_the_dead_is_bounded() -> None:
    crashes = Crashes()
    for number in range(2 * MAX_REMEMBERED):
        crashes.died(f"m{number}", 4, "killed", 0)

    assert sum(pause(crashes, f"m{number}", 0) > 0 for number in range(2 * MAX_REMEMBERED)) == MAX_REMEMBERED
