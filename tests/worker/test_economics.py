"""Whether drafts pay is measured, on a machine that is slow now and then."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from power.worker.economics import Cost, Economics


def priced(**seconds: float) -> Economics:
    economics = Economics(16)
    for name, value in [*seconds.items()] * Cost.ENOUGH:
        economics.record(int(name[1:]), value)
    return economics


def test_where_larger_steps_cost_nothing_more_is_drafted_the_surer_it_is() -> None:
    cheap = priced(n1=1.0, n17=1.1)

    assert cheap.best(1, 0.99, 16) == 15
    assert cheap.best(1, 0.05, 16) < 15
    assert cheap.best(1, 0.0, 16) == 0


def test_where_every_token_costs_the_same_nothing_is_drafted() -> None:
    dear = priced(n1=1.0, n2=2.0, n4=4.0, n17=17.0)

    assert dear.best(1, 0.99, 16) == 0


def test_a_full_step_has_no_drafts() -> None:
    # Eight tokens fit into one tile, the ninth begins another.
    tiled = priced(n1=1.0, n8=1.2, n9=2.4, n24=2.6)

    assert tiled.best(1, 0.8, 7) > 0
    assert tiled.best(8, 0.8, 7) == 0


def test_no_more_is_drafted_than_may_be() -> None:
    assert priced(n1=1.0, n17=1.0).best(1, 1.0, 3) == 3


def drafted(economics: Economics, seconds: Callable[[int], float], n_steps: int, p: float = 0.9) -> list[int]:
    """How much was drafted in steps that take so long."""
    sizes = []
    for _ in range(n_steps):
        sizes.append(economics.best(1, p, 15))
        economics.record(1 + sizes[-1], seconds(1 + sizes[-1]))
    return sizes


@given(st.integers(0, 100), st.integers(1, Cost.REMEMBERED - 1), st.floats(1, 1e6), st.floats(0, 0.02))
def test_a_few_slow_steps_do_not_switch_drafts_off(n_before: int, n_slow: int, slower: float, each: float) -> None:
    economics = Economics(16)

    def usual(n: int) -> float:
        return 1 + each * n

    drafted(economics, usual, n_before)
    drafted(economics, lambda n: usual(n) * slower, n_slow)
    drafted(economics, usual, 5 * Cost.REMEMBERED)

    assert sum(n > 0 for n in drafted(economics, usual, 20)) >= 19


@given(st.floats(0.9, 1.5), st.floats(0.1, 0.8))
def test_drafts_that_do_not_pay_are_given_up_and_tried_again_after_long(each: float, p: float) -> None:
    economics = Economics(16)

    def dear(n: int) -> float:
        return 1 + each * (n - 1)

    drafted(economics, dear, 100, p)
    sizes = drafted(economics, dear, 1000, p)

    assert sum(size > 0 for size in sizes) < 150


def test_a_machine_that_was_busy_for_long_is_tried_again() -> None:
    economics = Economics(16)
    drafted(economics, lambda n: 1.0 + n * n, 200)
    sizes = drafted(economics, lambda n: 1.0, 20_000)

    assert sizes[0] == 0
    assert sizes[-1] > 0
