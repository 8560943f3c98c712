"""How long a step will take, learnt from how long others took.

A step's time is its load times what each part of it costs: something for the step
as such, something for every token (less from the 32nd on: whole blocks of the
matrix kernels), and something for every pair of a token and a cell that attention
compares (with flash attention a fourth of it where there are whole tiles of tokens).  What each costs
is found by least squares.

* Errors count in proportion to what was measured, so a step that took ten times as
  long as usual, because the machine was busy, weighs no more than a usual one.
* No cost is negative, and a larger step costs no more than two of half its size,
  which could be done instead.  So whatever went wrong once, an estimate is
  bounded by what smaller steps take now, and gets tried again.
* Each kind of step (so many tokens, so many cells) has its own memory of some three
  steps.  A thousand steps of one kind do not make the others forgotten.
* What the last few steps of whatever kind took beyond their estimates, the next will:
  a shared machine is slower for seconds at a time.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from power.worker.batch import TILE, Load

BLOCK = 32  # tokens from which on each one costs less
LEARNING = 0.3  # weight of the latest step among those of its kind
DRIFT = 0.2  # and among all steps, as to how fast the machine is just now
MAX_DRIFT = 2
# Pairs that may cost as much as a token: 1,200 do for a 0.5B model, more for larger ones. What two costs could both
# explain is divided between them; but with few cells in memory, compared with this, nothing can be told about pairs,
# and what a step took is put down to its tokens.
PAIRS = 1000
DOUBT = 3e-4 * np.array([4.0, 1.0, 1.0, 10.0, 10.0])  # less to the step as such: a larger one is not thought free
# Of the tokens' squares; what streams with a few hundred cells tell about pairs, tiles with thousands tell better.
ENOUGH = 0.02
HOPE = 0.75  # of what it would take in proportion, a step is hoped to take that is larger than any so far
TILE_HOPE = 0.25  # of what a pair costs by itself, one in a tile is hoped to cost; 0.27 on a Zen 4

Vector = NDArray[np.float64]


class StepTimes:
    """Estimates seconds; `record` teaches it."""

    def __init__(self, *, tiles: bool = True) -> None:
        """`tiles`: whether attention does better by whole tiles."""
        self._tile = TILE if tiles else sys.maxsize
        self._kinds: dict[tuple[int, int], tuple[Vector, Vector]] = {}
        self._squares: Vector = np.zeros((5, 5))  # of all kinds together: the normal equations
        self._sides: Vector = np.zeros(5)
        self._costs: list[float] = []  # as of some earlier step, if `_is_stale`
        self._is_stale = True
        self._drift = 1.0  # times what the costs say
        self._latest = Load(0)
        self.n_most = 0  # tokens of the largest step so far

    def __bool__(self) -> bool:
        """Is anything known?"""
        return bool(self._kinds)

    def record(self, load: Load, seconds: float) -> None:
        """A step took so long."""
        self.n_most = max(self.n_most, load.n_tokens)
        self._latest, self._is_stale = load, True
        if usual := self._usual(load):
            self._drift += DRIFT * (_bounded_drift(seconds / usual) - self._drift)
        kind = (load.n_tokens.bit_length(), (load.n_pairs // load.n_tokens).bit_length() // 2)
        row = np.array(self._features(load)) / max(seconds, 1e-9)
        squares, sides = np.outer(row, row), row
        if old := self._kinds.get(kind):
            squares = old[0] + LEARNING * (squares - old[0])
            sides = old[1] + LEARNING * (sides - old[1])
            self._squares -= old[0]
            self._sides -= old[1]
        self._kinds[kind] = squares, sides
        self._squares += squares
        self._sides += sides

    def estimate(self, load: Load) -> float:
        """Seconds for a step; 0 if nothing is known."""
        if self._is_stale:
            self._refresh()
        return self._drift * self._usual(load)

    def _refresh(self) -> None:
        """Find the costs; what they explain of the drift by now is no drift any more."""
        before = self._usual(self._latest)
        self._costs, self._is_stale = self._fit(), False
        if before and (after := self._usual(self._latest)):
            self._drift = _bounded_drift(self._drift * before / after)

    def _usual(self, load: Load) -> float:
        return sum(cost * amount for cost, amount in zip(self._costs, self._features(load), strict=False))

    def _features(self, load: Load) -> tuple[float, ...]:
        n, pairs = load.n_tokens, load.n_pairs / PAIRS
        in_tiles = n >= self._tile
        return 1.0, float(min(n, BLOCK)), float(max(0, n - BLOCK)), pairs * (not in_tiles), pairs * in_tiles

    def _fit(self) -> list[float]:
        """What each of the features costs, in seconds."""
        costs = np.zeros(5)
        if not self._kinds:
            return costs.tolist()
        amounts = np.diag(self._squares).copy()
        free = amounts > 1e-9 * amounts[1]
        is_known = free.copy()
        is_known[3] = amounts[3] > ENOUGH * amounts[1]
        tiles_tell = bool(amounts[4] > amounts[3])
        amounts[3:] = amounts[1]
        equations = self._squares + np.diag(DOUBT * amounts)
        while free.any():  # without those that would be negative
            found = np.linalg.solve(equations[np.ix_(free, free)], self._sides[free])
            costs[:] = 0
            costs[free] = found
            if (found >= 0).all():
                break
            free &= costs > 0
        else:
            costs[:] = 0
        return _bounded([float(cost) for cost in costs], [bool(known) for known in is_known], tiles_tell)


def _bounded_drift(drift: float) -> float:
    return min(MAX_DRIFT, max(1 / MAX_DRIFT, drift))


def _bounded(costs: list[float], is_known: list[bool], tiles_tell: bool) -> list[float]:
    """The costs, where nothing is known by hope, and none so high that two smaller steps would be cheaper.

    `tiles_tell`: more is known of pairs in tiles than of others.
    """
    step, token, further, pair, tiled = costs
    in_proportion = step / BLOCK + token
    further = min(further, in_proportion) if is_known[2] else HOPE * in_proportion
    if not is_known[4]:
        tiled = TILE_HOPE * pair
    elif not is_known[3]:
        pair = max(pair, tiled / TILE_HOPE)
    elif tiles_tell:
        pair = max(pair, tiled)
    return [step, token, further, pair, min(tiled, pair)]
