"""Which tokens go into the next decode step.

Iteration-level scheduling as in Orca (Yu et al., OSDI 2022) with the chunked
prefill of Sarathi (Agrawal et al., 2023): every sequence that decodes gets its
one token in every step, and what is left of the step goes to prompts in pieces,
so that a long prompt delays others' tokens by a bounded time and can be
cancelled between two pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

TILE = 64  # flash attention on a processor takes so many tokens at once (ggml-cpu/ops.cpp), if a step has that many
FAIR_SHARE = 2  # one part in so many of the prompts' tokens goes to who was passed over most: short ones never end


class Work(NamedTuple):
    """What one sequence has to do.

    `pending` tokens are known and not decoded, at least 1; `n_now` of them may be decoded in this step, none if it
    waits for another sequence; `decodes`: its answer has begun; `n_passed_over` steps since it had a part in one;
    `n_past` tokens of it are in memory, and attention compares each new one with all of them.
    """

    pending: int
    n_now: int
    decodes: bool
    n_passed_over: int = 0
    n_past: int = 0


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


class Load(NamedTuple):
    """What makes a step long.

    `n_pairs`: for how many pairs of a token and a cell of memory attention does its work.
    """

    n_tokens: int
    n_pairs: int = 0


def weigh(parts: Sequence[tuple[int, int]], n_cells: int | None = None) -> Load:
    """The load of a step: of each sequence in it how many tokens are in memory, and how many are added.

    `n_cells`: cells in use, where attention compares every token with all of them; None: with its sequence's alone.
    """
    n_tokens = sum(n for _, n in parts)
    if n_cells is not None:
        return Load(n_tokens, n_tokens * (n_cells + n_tokens))
    if n_tokens < TILE:
        return Load(n_tokens, sum(n * n_past + n * (n + 1) // 2 for n_past, n in parts))
    return Load(n_tokens, TILE * sum(_cells_of_tiles(parts)))


def _cells_of_tiles(parts: Iterable[tuple[int, int]]) -> Iterable[int]:
    """Of each sequence in each tile, the cells that the tile is compared with: as a whole, however few want them."""
    used = 0
    for n_past, n in parts:
        done = 0
        while done < n:
            take = min(n - done, TILE - used)
            done += take
            used = (used + take) % TILE
            yield n_past + done
