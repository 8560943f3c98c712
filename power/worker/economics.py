"""Whether drafts pay: what steps of each size cost, against the tokens that come of them.

On a GPU a step of eight tokens costs little more than one of one; on a CPU, or
with many sequences in the step, it may cost four times as much.  Measured, not
known; and measured on a machine that others use, too, so no single step decides:
a size is judged by the best of its latest steps, since others only ever make them
slower, and not before it had some; one that was given up is tried again after a
long time.  What a size costs that was not tried yet is told by prompts, which are
read in steps of all sizes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from power.worker.batch import Load
from power.worker.steptimes import StepTimes


class Outlook(NamedTuple):
    """A step as planned so far: its tokens, how many of them are expected to be right, and what drafting them takes."""

    n_tokens: int
    n_right: float
    seconds: float = 0.0


class Cost:
    """What steps of one size took."""

    REMEMBERED = 5  # steps
    ENOUGH = 3  # steps before it is judged
    FORGETTING = 0.999  # per step since the latest of them, of how slow they were

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=self.REMEMBERED)
        self._at = 0

    def record(self, seconds: float, now: int) -> None:
        """`now` counts steps of any size."""
        self._seconds.append(seconds)
        self._at = now

    def seconds(self, hope: float, now: int) -> float:
        """`hope`: what it would be if nothing was known."""
        known = min(self._seconds)
        if len(self._seconds) < self.ENOUGH:
            return min(known, hope)
        return max(known * self.FORGETTING ** (now - self._at), min(known, hope))


class Economics:
    """How many tokens to draft."""

    # Drafted tokens that are considered: with the one before them, whole tiles of a CPU's kernels (0.4 B of Q4_K, one
    # thread: 1 token 14 ms, 4 take 46, 8 take 82, 13 take 126, and 16 take 106).
    SIZES = (1, 2, 3, 7, 15, 31, 63)
    LEARNING = 0.25
    FORGETTING = 0.99  # per step without a draft model, of how slow that was
    HOPE = 0.3  # of what it would add in proportion, a larger step is hoped to add where no prompt has told
    TELLING = 8  # tokens in a step, which tell what more of them take
    LEAST_GAIN = 1.05  # a draft has to be worth its bookkeeping

    def __init__(self, n_max: int, times: StepTimes) -> None:
        """`times`: what steps with prompts take, too."""
        self._n_max = n_max
        self._times = times
        self._n_cells = 0  # that a token was compared with in the latest step
        self._costs: dict[int, Cost] = {}  # by tokens in a step
        self._n_steps = 0
        self._table: tuple[list[int], list[float]] = [], []  # sizes in order, and what they cost; empty: to be made
        self.model_seconds = 0.0  # that a draft model takes for a token

    def record(self, load: Load, seconds: float) -> None:
        """A step without prompts took so long."""
        self._n_steps += 1
        self._n_cells = load.n_pairs // load.n_tokens
        self._costs.setdefault(load.n_tokens, Cost()).record(seconds, self._n_steps)
        self._table = [], []

    def record_model(self, n_tokens: int, seconds: float) -> None:
        """A draft model took so long for so many tokens, all sequences together."""
        old = self.model_seconds or seconds / n_tokens
        self.model_seconds = old + (seconds / n_tokens - old) * self.LEARNING

    def rest_model(self) -> None:
        """The draft model was not asked in this step: it may have become faster, try it again some time."""
        self.model_seconds *= self.FORGETTING

    def best_of_model(self, n_decoding: int, so_far: Outlook, p: float, n_max: int) -> int:
        """`best`, of a draft that takes time to make."""
        return self._best(n_decoding, so_far, p, n_max, range(1, n_max + 1), self.model_seconds)

    def best(self, n_decoding: int, so_far: Outlook, p: float, n_max: int) -> int:
        """How many tokens to draft for one of so many sequences, when each is right with probability `p`; 0: none.

        `so_far`: the step with the others' drafts.
        """
        return self._best(n_decoding, so_far, p, n_max, self.SIZES, 0.0)

    def _best(
        self, n_decoding: int, so_far: Outlook, p: float, n_max: int, sizes: Iterable[int], seconds: float
    ) -> int:
        without = self.LEAST_GAIN * n_decoding / self._cost(n_decoding)
        best, best_rate = 0, max(without, so_far.n_right / (self._cost(so_far.n_tokens) + so_far.seconds))
        for n in sizes:
            if n > min(n_max, self._n_max):
                break
            takes = self._cost(so_far.n_tokens + n) + so_far.seconds + n * seconds
            if (rate := (so_far.n_right + expected(p, n)) / takes) > best_rate:
                best, best_rate = n, rate
        return best

    def _cost(self, n_tokens: int) -> float:
        """Seconds for a step of so many tokens: as it was, or between the next sizes, or as may be expected."""
        if not self._table[0]:
            self._table = self._tabulate()
        sizes, costs = self._table
        at = bisect_left(sizes, n_tokens)
        if at == len(sizes):
            return self._expect(sizes[-1], costs[-1], n_tokens) if sizes else 1.0
        if at == 0 or sizes[at] == n_tokens:  # fewer than ever: found out soon, if they are thought to cost little
            return costs[at] * n_tokens / sizes[at]
        part = (n_tokens - sizes[at - 1]) / (sizes[at] - sizes[at - 1])
        return costs[at - 1] + (costs[at] - costs[at - 1]) * part

    def _tabulate(self) -> tuple[list[int], list[float]]:
        sizes, costs = sorted(self._costs), list[float]()
        for at, size in enumerate(sizes):
            hope = self._expect(sizes[at - 1], costs[-1], size) if at else float("inf")
            costs.append(self._costs[size].seconds(hope, self._n_steps))
        return sizes, costs

    def _expect(self, smaller: int, seconds: float, n_tokens: int) -> float:
        """What a step may take when a smaller one takes so many seconds."""
        if self._times.n_most < min(n_tokens, self.TELLING):
            return seconds * (1 + self.HOPE * (n_tokens - smaller) / smaller)
        return seconds * max(1.0, self._usual(n_tokens) / max(self._usual(smaller), 1e-9))

    def _usual(self, n_tokens: int) -> float:
        return self._times.estimate(Load(n_tokens, n_tokens * self._n_cells))


def expected(p: float, n: int) -> float:
    """Of `n` drafted tokens, how many are right, if each is with probability `p` when those before it are."""
    return sum(p**i for i in range(1, n + 1))
