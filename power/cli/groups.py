"""One reason where there is only one.

A nursery raises groups.  Where its tasks serve a single purpose, a caller wants
the error that ended it, not the shape it came in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from power.errors import PowerError


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the only exception of a group in its place; of several, the first that is Power's own."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        ours = [leaf for leaf in leaves if isinstance(leaf, PowerError)]
        if len(leaves) > 1 and not ours:
            raise
        raise (ours or leaves)[0] from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for inner in group.exceptions:
        yield from _leaves(inner) if isinstance(inner, BaseExceptionGroup) else [inner]
