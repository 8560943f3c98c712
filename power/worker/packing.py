"""Which inputs are embedded together in the next step.

Pure.  Every request (a *job*) is a queue of inputs, done in order; a step takes
inputs of many jobs, round-robin, so that many short ones share one batch and a
request of a thousand inputs delays one of a single input by a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Take(NamedTuple):
    """The next `n_tokens` tokens of the job `which`'s next input."""

    which: int
    n_tokens: int


def pack(queues: Sequence[Sequence[int]], n_tokens: int, n_rows: int, *, can_split: bool) -> list[Take]:
    """Decide one step.

    Args:
        queues: for each job, how many tokens its next inputs have left (each at least 1); earlier jobs go first.
        n_tokens: that the step should have; more only if the very first input is larger and cannot be split.
        n_rows: inputs the step may have.
        can_split: whether an input may be spread over several steps.

    Returns:
        At least one take if there is any input.  At most one input is split, by
        the last take; it has to be the first of the next step.
    """
    takes: list[Take] = []
    left = n_tokens
    waiting = [which for which, queue in enumerate(queues) if queue]
    at = [0] * len(queues)
    while waiting and left > 0:
        for which in list(waiting):
            size = queues[which][at[which]]
            fits = size <= left
            if len(takes) == n_rows or left <= 0:
                return takes
            if not fits and takes and not can_split:
                waiting.remove(which)
                continue
            n = size if fits or not can_split else left
            takes.append(Take(which, n))
            left -= n
            at[which] += 1
            if at[which] == len(queues[which]):
                waiting.remove(which)
    return takes
