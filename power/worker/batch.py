"""Which tokens go into the next decode step.

Iteration-level scheduling as in Orca (Yu et al., OSDI 2022) with the chunked
prefill of Sarathi (Agrawal et al., 2023): every sequence that decodes gets its
one token in every step, and what is left of the step goes to prompts in pieces,
so that a long prompt delays others' tokens by a bounded time and can be
cancelled between two pieces.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

# Tokens a step may have together: few different shapes, and from 64 on whole tiles. Flash attention on
# a CPU takes queries in tiles of 64 (ggml-cpu/ops.cpp): 67 tokens took 520 ms where 64 took 370 (0.5B,
# one thread). Below, a token of 8 costs 2.5 times as much as one of 64, of 16 twice, of 24 1.25 times.
SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
TILE = 64  # the first step's size, when nothing is known
STEP_SECONDS = 0.25  # that a step should take while others wait for a token; twice this is a tile of a 0.5B model
# A step may take so many times the target while a prompt is in it. With less, a 0.5B model on one thread reads
# prompts 8 tokens at a time, which costs 2.5 times as much for each: 8 clients got 0.68 of the tokens.
LENIENCE = 2
# When all that prompts have left is no more than that, it is read in larger steps: the end is near, and a few
# tokens at a time would make everybody wait longer than one step does.
FEW = 4 * TILE
BURST = 3  # times the target that such a step may take
SLOWDOWN = 3  # times what those that decode take by themselves is never too long: or prompts of slow models would crawl
PATIENCE = 5  # times the target a step may take when nobody waits for a token: a Cancel is noticed after it
LEAST_PREFILL = 32  # tokens of a step when nobody waits for one, however long it takes: fewer cost twice as much each
HOPE = 0.75  # of what it would take in proportion to a smaller one, a larger step is hoped to take
FORGETTING = 0.99  # per step of one size, of how slow the next one was: where there is hope, it is tried again
FAIR_SHARE = 2  # one part in so many of the prompts' tokens goes to who was passed over most: short ones never end


class Work(NamedTuple):
    """What one sequence has to do.

    `pending` tokens are known and not decoded, at least 1; `n_now` of them may be decoded in this step, none if it
    waits for another sequence; `decodes`: its answer has begun; `n_passed_over` steps since it had a part in one.
    """

    pending: int
    n_now: int
    decodes: bool
    n_passed_over: int = 0


class Chunk(NamedTuple):
    """The next `n_tokens` tokens of one sequence, with the logits after the last `n_logits` of them.

    `which` is the sequence's place in what was given to `plan_step`.
    """

    which: int
    n_tokens: int
    n_logits: int


def plan_step(work: Sequence[Work], extra: int) -> list[Chunk]:
    """Decide the next step.

    Args:
        work: what each sequence has to do.
        extra: how many tokens the step may take beside one for each sequence that decodes.

    Returns:
        A chunk for every sequence that decodes, and then for some of those that
        read their prompts.  Tokens that are known beforehand go before prompts,
        but one token of a prompt is always in it.
    """
    decoding = [(one.n_now, index) for index, one in enumerate(work) if _decodes(one)]
    prompts = [(one.n_now, index) for index, one in enumerate(work) if one.n_now and not _decodes(one)]
    taken: dict[int, int] = {}
    for n, index in decoding:
        taken[index] = min(n, 1 + max(0, extra - bool(prompts)))
        extra -= taken[index] - 1
    if prompts:
        _share(prompts, max(1, extra), max(prompts, key=lambda item: work[item[1]].n_passed_over)[1], taken)
    return [Chunk(index, n, int(n == work[index].pending)) for index, n in taken.items()]


def _decodes(work: Work) -> bool:
    # The last token of a prompt is as urgent as those of an answer: somebody has waited for all of it.
    return work.n_now > 0 and (work.decodes or work.pending == 1)


def _share(prompts: list[tuple[int, int]], n_tokens: int, oldest: int, taken: dict[int, int]) -> None:
    """Deal out a part to who was passed over most, so that all make progress; the rest to the shortest, so that many
    finish early."""
    sizes = {index: n for n, index in prompts}
    taken[oldest] = min(sizes[oldest], max(1, n_tokens // FAIR_SHARE))
    n_tokens -= taken[oldest]
    for n, index in sorted(prompts):
        take = min(n - taken.get(index, 0), n_tokens)
        n_tokens -= take
        if take:
            taken[index] = taken.get(index, 0) + take


class Pace:
    """How many tokens a step may take, from how long steps of each size took so far."""

    def __init__(self, n_batch: int, step_seconds: float = STEP_SECONDS) -> None:
        self._target = step_seconds
        self._n_batch = n_batch
        self._seconds: dict[int, float] = {}  # by size

    def extra(self, n_decoding: int, n_unread: int = FEW + 1) -> int:
        """Tokens for the next step beside one for each of `n_decoding` sequences that wait for their next one.

        `n_unread`: tokens that all prompts together have left.
        """
        aim = self._target * (PATIENCE if not n_decoding else BURST if n_unread <= FEW else LENIENCE)
        if n_decoding:
            aim = max(aim, SLOWDOWN * self._seconds.get(_size_of(n_decoding), 0))
        sizes = [size for size in SIZES if size < self._n_batch] + [self._n_batch]
        fitting = [size for size in sizes if self._estimate(size) <= aim]
        least = sizes[0] if n_decoding else min(LEAST_PREFILL, self._n_batch)
        return max(0, max(fitting, default=least) - n_decoding, 0 if n_decoding else least)

    def prefill(self, n_decoding: int) -> int:
        """The same, but something always goes on."""
        return max(1, self.extra(n_decoding))

    def record(self, n_tokens: int, seconds: float) -> None:
        """A step of `n_tokens` took so long."""
        size = _size_of(n_tokens)
        measured = seconds * size / n_tokens
        self._seconds[size] = (self._seconds.get(size, measured) + measured) / 2
        # Only the next one: others might be forgotten for as long as they are not used, and then be far too slow.
        larger = min((known for known in self._seconds if known > size), default=0)
        if larger:
            old = self._seconds[larger]
            self._seconds[larger] = max(old * FORGETTING, min(old, self._hope(larger)))

    def _estimate(self, size: int) -> float:
        """Seconds for a step of so many tokens; hopeful where nothing is known."""
        size = _size_of(size)
        if not self._seconds:
            return 0.0 if size <= TILE else float("inf")
        return self._seconds.get(size) or self._hope(size)

    def _hope(self, size: int) -> float:
        smaller = max((known for known in self._seconds if known < size), default=0)
        if smaller:
            return self._seconds[smaller] * size / smaller * HOPE
        return min(self._seconds.values()) * HOPE


class FixedPace(Pace):
    """Steps of one size, whatever they take: what is computed does not depend on the clock."""

    def __init__(self, n_batch: int) -> None:
        super().__init__(n_batch)
        self._size = min(TILE, n_batch)

    def extra(self, n_decoding: int, n_unread: int = 0) -> int:
        return self._size - n_decoding

    def record(self, n_tokens: int, seconds: float) -> None:
        pass


def _size_of(n_tokens: int) -> int:
    return SIZES[min(bisect_left(SIZES, n_tokens), len(SIZES) - 1)]
