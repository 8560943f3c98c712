"""Which tokens go into the next decode step.

Iteration-level scheduling as in Orca (Yu et al., OSDI 2022) with the chunked
prefill of Sarathi (Agrawal et al., 2023): every sequence that decodes gets its
one token in every step, and what is left of the step goes to prompts in pieces,
so that a long prompt delays others' tokens by a bounded time and can be
cancelled between two pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# Tokens. Flash attention on a CPU takes queries in tiles of 64 (ggml-cpu/ops.cpp): 67 tokens took
# 520 ms where 64 took 370 (0.5B, one thread), and fewer than a tile go a slower way.
TILE = 64
DECODING_TARGET = 0.15  # seconds a step may take while others wait for their next token
PREFILL_TARGET = 0.5  # seconds a step may take at all: a Cancel is noticed after it
FAIR_SHARE = 4  # one part in so many of the prefill is dealt out evenly


class Work(NamedTuple):
    """What one sequence has to be decoded: `pending` tokens, at least 1; `decodes`: its answer has begun."""

    pending: int
    decodes: bool


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
        One chunk for every sequence, those that decode first.  They share
        `extra` before prompts do, but no prompt gets less than one token.
    """
    prompts = sorted((n, index) for index, (n, decodes) in enumerate(work) if not decodes and n > 1)
    decoding = []
    for index, (n, decodes) in enumerate(work):
        if decodes or n == 1:
            take = min(n, 1 + max(0, extra - len(prompts)))
            extra -= take - 1
            decoding.append(Chunk(index, take, int(take == n)))
    return decoding + _share(prompts, extra)


def _share(prompts: list[tuple[int, int]], prefill: int) -> list[Chunk]:
    """Deal out a part evenly, so that all make progress; the rest to the shortest, so that many finish early."""
    if not prompts:
        return []
    even = max(1, prefill // FAIR_SHARE // len(prompts))
    rest = max(0, prefill - sum(min(n, even) for n, _ in prompts))
    chunks = []
    for n, index in prompts:
        take = min(n, even)
        extra = max(0, min(n - take, rest))
        rest -= extra
        chunks.append(Chunk(index, take + extra, int(take + extra == n)))
    return chunks


class Pace:
    """How many prompt tokens a step may take, from how fast they have been so far."""

    def __init__(self, n_batch: int) -> None:
        self._n_batch = n_batch
        self._seconds_per_token = 0.0  # 0: not measured yet

    def prefill(self, n_decoding: int) -> int:
        """Tokens of prompts for the next step, in which `n_decoding` sequences wait for their next token.

        Together they are a power of two or all of the batch: few different
        shapes, and whole tiles.
        """
        return max(1, self._step_size(DECODING_TARGET if n_decoding else PREFILL_TARGET) - n_decoding)

    def record(self, n_tokens: int, seconds: float) -> None:
        """A step of `n_tokens` took so long; only steps with a prompt in them tell anything."""
        if n_tokens < TILE // 2:
            return
        measured = seconds / n_tokens
        old = self._seconds_per_token or measured
        self._seconds_per_token = (old + measured) / 2

    def _step_size(self, target: float) -> int:
        """Tokens that take `target` seconds, as far as it can be known."""
        n = int(target / self._seconds_per_token) if self._seconds_per_token else TILE
        return min(max(TILE, 1 << n.bit_length() >> 1), self._n_batch)
