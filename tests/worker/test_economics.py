"""Whether drafts pay is measured, on a machine that is slow now and then."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from power.worker.batch import Load
from power.worker.economics import Cost, Economics, Outlook, expected
from power.worker.steptimes import StepTimes


def best(economics: Economics, n_decoding: int, p: float, n_max: int) -> int:
    return economics.best(n_decoding, Outlook(n_decoding, n_decoding), p, n_max)


def priced(**seconds: float) -> Economics:
    economics = Economics(16, StepTimes())
    for name, value in [*seconds.items()] * Cost.ENOUGH:
        economics.record(Load(int(name[1:])), value)
    return economics


def test_where_larger_steps_cost_nothing_more_is_drafted_the_surer_it_is() -> None:
    cheap = priced(n1=1.0, n17=1.1)

    assert best(cheap, 1, 0.99, 16) == 15
    assert best(cheap, 1, 0.05, 16) < 15
    assert best(cheap, 1, 0.0, 16) == 0


def test_where_every_token_costs_the_same_nothing_is_drafted() -> None:
    dear = priced(n1=1.0, n2=2.0, n4=4.0, n17=17.0)

    assert best(dear, 1, 0.99, 16) == 0


def test_a_full_step_has_no_drafts() -> None:
    # Eight tokens fit into one tile, the ninth begins another.
    tiled = priced(n1=1.0, n8=1.2, n9=2.4, n24=2.6)

    assert best(tiled, 1, 0.8, 7) > 0
    assert best(tiled, 8, 0.8, 7) == 0


def test_no_more_is_drafted_than_may_be() -> None:
    assert best(priced(n1=1.0, n17=1.0), 1, 1.0, 3) == 3


def test_what_prompts_took_says_that_drafts_would_not_pay() -> None:
    times = StepTimes()
    economics = Economics(16, times)
    for _ in range(20):
        for n in (1, 2, 12, 20):
            times.record(Load(n), 0.01 * n)
    for _ in range(Cost.ENOUGH):
        economics.record(Load(4), 0.04)

    assert best(economics, 4, 0.9, 16) == 0


def test_the_drafts_of_others_count() -> None:
    # Up to eight tokens cost next to nothing, and the next eight as much again.
    tiled = priced(n1=1.0, n2=1.01, n8=1.1, n9=2.0, n16=2.1, n17=3.0)
    n = best(tiled, 2, 0.9, 16)
    outlook = Outlook(2 + n, 2 + expected(0.9, n))

    assert n == 3
    assert tiled.best(2, outlook, 0.9, 16) in (1, 2, 3)
    assert tiled.best(2, Outlook(8, 7.0), 0.5, 16) == 0


def drafted(economics: Economics, seconds: Callable[[int], float], n_steps: int, p: float = 0.9) -> list[int]:
    """How much was drafted in steps that take so long."""
    sizes = []
    for _ in range(n_steps):
        sizes.append(best(economics, 1, p, 15))
        economics.record(Load(1 + sizes[-1]), seconds(1 + sizes[-1]))
    return sizes


@given(st.integers(0, 100), st.integers(1, Cost.REMEMBERED - 1), st.floats(1, 1e6), st.floats(0, 0.02))
def test_a_few_slow_steps_do_not_switch_drafts_off(n_before: int, n_slow: int, slower: float, each: float) -> None:
    economics = Economics(16, StepTimes())

    def usual(n: int) -> float:
        return 1 + each * n

    drafted(economics, usual, n_before)
    drafted(economics, lambda n: usual(n) * slower, n_slow)
    drafted(economics, usual, 5 * Cost.REMEMBERED)

    assert sum(n > 0 for n in drafted(economics, usual, 20)) >= 19


@given(st.floats(0.9, 1.5), st.floats(0.1, 0.8))
def test_drafts_that_do_not_pay_are_given_up_and_tried_again_after_long(each: float, p: float) -> None:
    economics = Economics(16, StepTimes())

    def dear(n: int) -> float:
        return 1 + each * (n - 1)

    drafted(economics, dear, 100, p)
    sizes = drafted(economics, dear, 1000, p)

    assert sum(size > 0 for size in sizes) < 150


def test_a_machine_that_was_busy_for_long_is_tried_again() -> None:
    economics = Economics(16, StepTimes())
    drafted(economics, lambda n: 1.0 + n * n, 200)
    sizes = drafted(economics, lambda n: 1.0, 20_000)

    assert sizes[0] == 0
    assert sizes[-1] > 0
