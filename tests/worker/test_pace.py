"""How long steps take is learnt, and how much goes into them is chosen by it; machines are made up."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.simulate import SPEED, step_seconds
from power.worker.batch import TILE, Load, Work, weigh
from power.worker.pace import BY_TILES, PATIENCE, SIZES, STEP_SECONDS, FixedPace, Pace
from power.worker.steptimes import BLOCK, StepTimes


class Machine(NamedTuple):
    """What things cost here, in seconds."""

    step: float
    token: float
    further: float  # part of `token`, after the first BLOCK
    pair: float
    tiled: float  # part of `pair`, in tiles

    def seconds(self, load: Load) -> float:
        n = load.n_tokens
        pair = self.pair * (1.0 if n < TILE else self.tiled)
        return self.step + self.token * (min(n, BLOCK) + self.further * max(0, n - BLOCK)) + self.pair_cost(load, pair)

    def pair_cost(self, load: Load, pair: float) -> float:
        return pair * load.n_pairs


@st.composite
def machines(draw: st.DrawFn, slowest_step: float = 0.1, slowest_token: float = 0.03) -> Machine:
    token = draw(st.floats(1e-5, slowest_token))
    return Machine(
        draw(st.floats(1e-4, slowest_step)),
        token,
        draw(st.floats(0.3, 1.0)),
        token * draw(st.floats(0, 1 / 300)),
        draw(st.floats(0.1, 1.0)),
    )


MACHINES = machines()


def any_load(rng: Random) -> Load:
    return weigh([(rng.randrange(8000), rng.choice([1, 2, 5, 14, 30, 62, 126, 250]))])


def taught(seconds: Callable[[Load], float], rng: Random, noise: Callable[[], float]) -> StepTimes:
    times = StepTimes()
    for _ in range(200):
        load = any_load(rng)
        times.record(load, seconds(load) * noise())
    return times


@given(MACHINES, st.integers(0, 10**6).map(Random))
def test_what_steps_take_is_found_out(machine: Machine, rng: Random) -> None:
    times = taught(machine.seconds, rng, lambda: 1.0)

    for _ in range(20):
        load = any_load(rng)
        assert abs(times.estimate(load) / machine.seconds(load) - 1) < 0.25


@given(MACHINES, st.integers(0, 10**6).map(Random))
def test_also_on_a_machine_that_is_busy_now_and_then(machine: Machine, rng: Random) -> None:
    times = taught(machine.seconds, rng, lambda: rng.uniform(0.9, 1.3) * (10 if rng.random() < 0.05 else 1))

    for _ in range(20):
        load = any_load(rng)
        assert 0.4 < times.estimate(load) / machine.seconds(load) < 8  # a slow step is ten times as long


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 2048), st.floats(1e-6, 100)), max_size=40))
def test_whatever_was_measured_an_estimate_is_no_less_for_more_and_bounded_by_two_halves(
    steps: list[tuple[int, int, float]],
) -> None:
    times = StepTimes()
    for n_past, n, seconds in steps:
        times.record(weigh([(n_past, n)]), seconds)

    for n in (1, 4, 16, 31, 64, 500):
        for pairs in (0, 1000, 500_000):
            here = times.estimate(Load(n, pairs))
            assert here >= 0
            assert times.estimate(Load(n, pairs + 10_000)) >= here
            if (n < TILE) == (2 * n < TILE):
                assert here <= times.estimate(Load(2 * n, pairs)) * 1.0001 + 1e-12
            assert times.estimate(Load(2 * n, 2 * pairs)) <= 2 * here * 1.0001 + 1e-12


@given(MACHINES, st.integers(0, 10**6).map(Random))
def test_short_prompts_tell_nothing_about_long_contexts(machine: Machine, rng: Random) -> None:
    times = StepTimes()
    for _ in range(100):
        load = weigh([(rng.randrange(60), rng.choice([1, 2, 5, 14, 30, 62]))])
        times.record(load, machine.seconds(load) * rng.uniform(0.9, 1.5))

    for n in (2, 16, 64):
        assert times.estimate(weigh([(2000, n)])) < 5 * max(
            times.estimate(weigh([(0, n)])), machine.seconds(weigh([(2000, n)]))
        )


@pytest.mark.parametrize("asked", [1, 8])
def test_a_machine_that_gets_slower_is_known_to_be_after_a_few_steps_of_whatever_kind(asked: int) -> None:
    machine = Machine(0.02, 0.01, 0.7, 6e-6, 0.25)
    times, load = taught(machine.seconds, Random(1), lambda: 1.0), weigh([(3000, 30)])
    assert 0.9 < times.estimate(load) / machine.seconds(load) < 1.1
    for n in range(8):
        times.record(Load(2, 200), 1.5 * machine.seconds(Load(2, 200)))
        if n % asked == asked - 1:
            slow = times.estimate(load) / machine.seconds(load)

    assert 1.25 < slow < 1.6


def test_a_thousand_steps_of_one_size_do_not_make_others_forgotten() -> None:
    machine = Machine(0.02, 0.01, 0.7, 6e-6, 0.25)
    times = taught(machine.seconds, Random(1), lambda: 1.0)
    for _ in range(1000):
        times.record(Load(2, 200), machine.seconds(Load(2, 200)))

    load = Load(128, 128 * 4000)
    assert abs(times.estimate(load) / machine.seconds(load) - 1) < 0.1


def test_what_tiles_cost_is_believed_of_single_tokens_that_were_hardly_compared_with_anything() -> None:
    machine = Machine(0.03, 0.01, 0.7, 6e-6, 0.25)
    times = StepTimes()
    rng = Random(1)
    for n_past in range(0, 6000, 62):
        times.record(Load(2, 2 * (20 + n_past // 62)), 0.05 * rng.uniform(0.8, 1.2))
        tile = weigh([(n_past, 64)])
        times.record(tile, machine.seconds(tile))

    load = weigh([(6000, 50)])
    assert 0.5 < times.estimate(load) / machine.seconds(load) < 2


def test_a_larger_step_that_was_slow_once_is_tried_again() -> None:
    machine = Machine(0.002, 0.001, 0.7, 0, 1)
    pace = Pace(512)
    pace.record(Load(64, 64 * 64), 100.0)
    sizes = run(pace, machine.seconds, [], 5_000)

    assert max(sizes) >= 128


class Streams:
    """Sequences that decode beside a prompt, on a made-up machine."""

    def __init__(
        self, pace: Pace, seconds: Callable[[Load], float], streams: list[int], n_prompt: int, *, tiles: bool = True
    ) -> None:
        self.pace, self._seconds, self._tiles = pace, seconds, tiles
        self._streams, self._n_prompt, self._n_past = list(streams), n_prompt, 0
        self.sizes: list[int] = []
        self.took: list[float] = []

    @property
    def is_read(self) -> bool:
        return self._n_past == self._n_prompt

    def step(self) -> None:
        work = [Work(1, 1, True, 0, n_past) for n_past in self._streams]
        left = self._n_prompt - self._n_past
        work += [Work(left, left, False, 0, self._n_past)] if left else []
        n_cells = None if self._tiles else sum(one.n_past for one in work)
        chunks = self.pace.plan(work, n_cells)
        load = weigh([(work[chunk.which].n_past, chunk.n_tokens) for chunk in chunks], n_cells)
        self.took.append(self._seconds(load))
        self.sizes.append(load.n_tokens)
        self.pace.record(load, self.took[-1])
        for which, n, _ in chunks:
            if which < len(self._streams):
                self._streams[which] += n
            else:
                self._n_past += n


def run(pace: Pace, seconds: Callable[[Load], float], streams: list[int], n_prompt: int) -> list[int]:
    """The sizes of the steps in which a prompt is read."""
    here = Streams(pace, seconds, streams, n_prompt)
    while not here.is_read:
        here.step()
    return here.sizes


@given(MACHINES, st.lists(st.integers(1, 4000), min_size=1, max_size=4), st.integers(0, 8000))
def test_the_size_that_reads_most_for_its_time_is_taken(machine: Machine, streams: list[int], n_past: int) -> None:
    pace = Pace(512)
    pace.times = taught(machine.seconds, Random(1), lambda: 1.0)
    pace.times.record(Load(512, 512 * 512), machine.seconds(Load(512, 512 * 512)))
    work = [*(Work(1, 1, True, 0, n) for n in streams), Work(2000, 2000, False, 0, n_past)]
    chosen = sum(chunk.n_tokens for chunk in pace.plan(work)) - len(streams)
    limit = pace.limit(weigh([(n, 1) for n in streams]))

    def worth(n: int) -> float:
        seconds = machine.seconds(weigh([*((n, 1) for n in streams), (n_past, n)]))
        return n / seconds * float(min(1.0, limit / seconds) ** BY_TILES.price)

    assert worth(chosen) > 0.6 * max(worth(size - len(streams)) for size in SIZES if len(streams) < size <= 512)


FAST = machines(0.05, 2e-4)


@given(FAST, st.integers(1, 4))
def test_on_a_fast_machine_every_step_stays_within_the_limit(machine: Machine, n_streams: int) -> None:
    pace = Pace(512)
    here = Streams(pace, machine.seconds, [100] * n_streams, 3000)
    while not here.is_read:
        here.step()

    assert max(here.took) <= BY_TILES.lenience * 1.5 * STEP_SECONDS
    assert max(here.sizes) >= 128


def test_a_long_prompt_beside_streams_is_read_in_whole_tiles_on_a_processor() -> None:
    def seconds(load: Load) -> float:
        return step_seconds(load) * SPEED  # as measured

    here = Streams(Pace(2048), seconds, [10, 10], 30)
    for _ in range(100):  # short prompts, and answers
        here.step()
    here = Streams(here.pace, seconds, [100, 100], 6000)
    while not here.is_read:
        here.step()

    in_tiles = sum(seconds(weigh([(100, 2), (at, 62)])) for at in range(0, 6000, 62))
    assert sum(here.took) < 1.15 * in_tiles
    assert max(here.took) < 1.05 * seconds(weigh([(200, 2), (6000, 62)]))


@pytest.mark.parametrize(("step", "token"), [(0.02, 0.004), (0.06, 0.0125), (0.06, 0.008), (0.03, 0.015)])
def test_without_tiles_a_long_prompt_delays_nobody_by_more_than_twice_the_target(step: float, token: float) -> None:
    machine, rng = Machine(step, token, 0.85, token / 4000, 1.0), Random(1)

    def seconds(load: Load) -> float:
        return machine.seconds(load) * rng.uniform(0.9, 1.15)

    pace = Pace(512, tiles=False)
    short = Streams(pace, seconds, [10, 10], 30, tiles=False)
    for _ in range(50):
        short.step()
    here = Streams(pace, seconds, [100, 100], 6000, tiles=False)
    while not here.is_read:
        here.step()
    in_tiles = sum(machine.seconds(weigh([(100, 2), (at, 62)], at + 200)) for at in range(0, 6000, 62))

    assert max(here.took) <= 2 * STEP_SECONDS
    assert sum(here.took) < 2 * in_tiles


def test_without_tiles_every_token_is_compared_with_all_cells_in_use() -> None:
    assert weigh([(100, 1), (3, 7)], 500) == Load(8, 8 * 508)


@given(MACHINES, st.lists(st.integers(1, 500), max_size=3))
def test_nothing_is_tried_that_is_much_larger_than_all_before(machine: Machine, streams: list[int]) -> None:
    here = Streams(Pace(2048), machine.seconds, streams, 4000)
    while not here.is_read and len(here.sizes) < 20:
        here.step()

    for n, sizes in enumerate(here.sizes):
        assert sizes <= max(TILE, 2 * max(here.sizes[:n], default=0))


def test_alone_it_is_read_in_larger_steps() -> None:
    here = Streams(Pace(2048), step_seconds, [], 6000)
    while not here.is_read:
        here.step()

    assert max(here.took) <= PATIENCE * STEP_SECONDS
    assert max(here.sizes) >= 512


def test_prompts_go_on_where_a_single_token_takes_longer_than_the_target() -> None:
    machine = Machine(0.4, 0.07, 0.7, 0, 1)
    pace = Pace(512)

    assert max(run(pace, machine.seconds, [10], 600)) >= 8


@given(st.integers(1, 64), st.integers(0, 80))
def test_there_is_always_room_for_something(n_batch: int, n_decoding: int) -> None:
    assert Pace(n_batch).room(n_decoding) >= 1


@given(st.integers(1, 600), st.integers(0, 4), st.integers(0, 800))
def test_steps_have_one_of_few_sizes_or_all_that_is_left(n_batch: int, n_streams: int, n_prompt: int) -> None:
    machine = Machine(0.02, 0.01, 0.7, 6e-6, 0.25)
    here = Streams(Pace(n_batch + n_streams), machine.seconds, [5] * n_streams, n_prompt)
    while not here.is_read:
        left = n_prompt - here._n_past
        here.step()
        n = here.sizes[-1]
        assert n in (*SIZES, n_batch + n_streams, n_streams + left, n_streams + 1)


def test_deterministic_steps_do_not_look_at_the_clock() -> None:
    pace = FixedPace(512)
    sizes = run(pace, lambda load: Random(load.n_pairs).random(), [3], 500)

    assert set(sizes[:-1]) == {TILE}
