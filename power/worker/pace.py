"""How much goes into the next step: as much as keeps it short, unless more is worth its time.

While somebody waits for the next token, a step should not take much longer than
its target; and a prompt should be read in steps that are large, because every step
costs something as such.  Where both cannot be had, both count.  Where attention does
well by whole tiles only (see `power.gguf.memory.attention`), small steps cost
several times as much for each token, and a step that takes four times the limit has
to read 2.6 times as much in a second.  Elsewhere it would have to read sixteen times
as much, so the limit holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from power.worker.batch import TILE, Chunk, Load, Work, plan_step, weigh
from power.worker.steptimes import StepTimes

# Tokens a step may have together: few different shapes, and from 64 on whole tiles: 67 tokens took 520 ms where 64
# took 370 (0.5B, one thread).
SIZES = (1, 2, 4, 8, 12, 16, 20, 24, 32, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
STEP_SECONDS = 0.25  # that a step should take while others wait for a token; twice this is a tile of a 0.5B model
PATIENCE = 5  # times the target a step may take when nobody waits for a token: a Cancel is noticed after it
LEAP = 2  # times the largest step so far is the most that may be tried, however little it should take
QUICK = 0.2  # part of the limit: if all there is to do takes no longer, it is done, and nothing else considered
ALIKE = 0.97  # part of the best: of two steps that are nearly alike the larger one is taken, to find out what it takes


class Manner(NamedTuple):
    """How strictly the target is kept.

    `lenience`: a step may take so many times the target while a prompt is in it.
    `price`: what a step's speed is worth less for its being too long, (limit / seconds) to this power.
    `slowdown`: so many times what those that decode take alone is not too long: or prompts of slow models would crawl.
    """

    lenience: float
    price: float
    slowdown: float


# With less lenience, a 0.5B model on one thread read prompts 8 tokens at a time, which cost 2.5 times as much for each:
# 8 clients got 0.68 of the tokens. With a price of 1, a busy machine read a long prompt 8 tokens at a time, three times
# as slowly, to make gaps of 0.9 s out of 1.6 s.
BY_TILES = Manner(2, 0.7, 3)
EVENLY = Manner(1.2, 2, 2)  # on a shared machine one step in a thousand takes 1.5 times what it should, or more


class Pace:
    """Plans steps, and learns from what they took."""

    def __init__(self, n_batch: int, step_seconds: float = STEP_SECONDS, *, tiles: bool = True) -> None:
        """`tiles`: whether attention does better by whole tiles."""
        self.times = StepTimes(tiles=tiles)
        self._manner = BY_TILES if tiles else EVENLY
        self._target = step_seconds
        self._sizes = [size for size in SIZES if size < n_batch] + [n_batch]

    def plan(self, work: Sequence[Work], n_cells: int | None = None) -> list[Chunk]:
        """The next step. See `plan_step`, and for `n_cells` `weigh`."""
        if all(one.n_now <= 1 for one in work):
            return plan_step(work, 0)
        decoding = [one for one in work if one.decodes]
        plans: dict[int, list[Chunk]] = {}

        def load(size: int) -> Load:
            plans[size] = plan_step(work, max(0, size - len(decoding)))
            return weigh([(work[chunk.which].n_past, chunk.n_tokens) for chunk in plans[size]], n_cells)

        alone = weigh([(one.n_past, 1) for one in decoding], n_cells)
        return plans[self._best(load, alone)]

    def room(self, n_decoding: int) -> int:
        """Tokens for a step of something else, while so many sequences wait for their next token; never none."""
        return max(1, self._best(Load, Load(n_decoding)) - n_decoding)

    def record(self, load: Load, seconds: float) -> None:
        """A step took so long."""
        self.times.record(load, seconds)

    def limit(self, alone: Load) -> float:
        """Seconds that a step should not exceed that would be `alone` without prompts."""
        if not alone.n_tokens:
            return self._target * PATIENCE
        return max(self._target * self._manner.lenience, self._manner.slowdown * self.times.estimate(alone))

    def _best(self, load: Callable[[int], Load], alone: Load) -> int:
        """The size whose step reads most in a second, what is beyond the limit counted against it."""
        limit = self.limit(alone)
        boldest = max(TILE, LEAP * self.times.n_most)
        whole = load(self._sizes[-1])
        if self.times and whole.n_tokens <= boldest and self.times.estimate(whole) <= QUICK * limit:
            return self._sizes[-1]
        sizes = [size for size in self._sizes if size > alone.n_tokens] or [alone.n_tokens + 1]
        best, best_score, last = sizes[0], -1.0, Load(-1)
        for size in sizes:
            now = load(size)
            if now == last or size > boldest:
                break  # that is all there is, or may be done without knowing more
            last, seconds = now, max(self.times.estimate(now), 1e-9)
            score = (now.n_tokens - alone.n_tokens) / seconds * min(1.0, limit / seconds) ** self._manner.price
            if score > best_score * ALIKE:
                best, best_score = size, max(best_score, score)
        return best


class FixedPace(Pace):
    """Steps of one size, whatever they take: what is computed does not depend on the clock."""

    def __init__(self, n_batch: int) -> None:
        super().__init__(n_batch)
        self._size = min(TILE, n_batch)

    def plan(self, work: Sequence[Work], n_cells: int | None = None) -> list[Chunk]:
        return plan_step(work, self._size - sum(one.decodes for one in work))

    def record(self, load: Load, seconds: float) -> None:
        pass
