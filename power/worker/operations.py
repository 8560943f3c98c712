"""What the table of rows wants done to the memory, and what it tells of a row."""

from __future__ import annotations

from typing import NamedTuple


class Cut(NamedTuple):
    """Keep the first `n_tokens` of a row and forget the others."""

    row: int
    n_tokens: int


class Copy(NamedTuple):
    """Let `row` have tokens `start` … `end` of `source`, instead of its own if it has some there."""

    row: int
    source: int
    start: int
    end: int


class Store(NamedTuple):
    """Save tokens `start` … `end` of a row under a new key; the row keeps them."""

    row: int
    key: int
    start: int
    end: int


class Load(NamedTuple):
    """Let `row` have tokens `start` … `end` of a saved state, which stays saved."""

    row: int
    key: int
    start: int
    end: int


class Drop(NamedTuple):
    """Forget a saved state."""

    key: int


Operation = Cut | Copy | Store | Load | Drop


class Seat(NamedTuple):
    """A row for a new sequence; after `operations` it holds the prompt's first `n_cached` tokens."""

    row: int
    n_cached: int
    operations: tuple[Operation, ...]


class Turn(NamedTuple):
    """What a row may do next, once `operations` are done.

    It holds its first `n_past` tokens now, some of which others may have computed, and may go
    on with at most `n_tokens`: 0 if it waits for another, -1 for any number.
    """

    operations: tuple[Operation, ...]
    n_past: int
    n_tokens: int
