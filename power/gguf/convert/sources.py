"""Where the rows of an output tensor come from.

A tensor is seen as a matrix of rows, whatever its dimensions, and made a few
rows at a time: read, permuted, shifted, stacked.  So a conversion holds some megabytes,
however large the model.  Everything is float32 until it is encoded at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from power.gguf.convert.safetensors import Floats

CHUNK = 2**20  # elements held at once: 4 MiB of float32


class Rows(Protocol):
    """A tensor that can be read by rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def rows(self, start: int, stop: int) -> Floats:
        """float32 of shape (stop - start, shape[-1]); rows are counted over all other dimensions."""
        ...


def n_rows(source: Rows) -> int:
    return math.prod(source.shape[:-1])


def chunks(source: Rows) -> Iterator[Floats]:
    """The whole tensor, front to back, in pieces of at most about CHUNK elements."""
    step = max(1, CHUNK // max(1, source.shape[-1] if source.shape else 1))
    total = n_rows(source)
    for start in range(0, total, step):
        yield source.rows(start, min(start + step, total))


class Values(NamedTuple):
    """Numbers in memory."""

    array: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def rows(self, start: int, stop: int) -> Floats:
        return self.array.reshape(-1, self.shape[-1])[start:stop]


class Affine(NamedTuple):
    """`source * scale + shift`."""

    source: Rows
    scale: float = 1.0
    shift: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    def rows(self, start: int, stop: int) -> Floats:
        with np.errstate(over="ignore"):  # who writes it finds what is infinite
            return self.source.rows(start, stop) * np.float32(self.scale) + np.float32(self.shift)


class Reordered(NamedTuple):
    """Row n is row `order[n]` of the source, which lies not far from it."""

    source: Rows
    order: npt.NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    def rows(self, start: int, stop: int) -> Floats:
        wanted = self.order[start:stop]
        if not len(wanted):
            return self.source.rows(0, 0)
        first = int(wanted.min())
        return self.source.rows(first, int(wanted.max()) + 1)[wanted - first]


class ReorderedElements(NamedTuple):
    """The same for a vector's elements."""

    source: Rows
    order: npt.NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    def rows(self, start: int, stop: int) -> Floats:
        return self.source.rows(start, stop)[:, self.order]


class Part(NamedTuple):
    """`n_rows` rows of the source from `start` on, as a tensor of `shape`."""

    source: Rows
    start: int
    shape: tuple[int, ...]

    def rows(self, start: int, stop: int) -> Floats:
        return self.source.rows(self.start + start, self.start + stop)


class Stacked(NamedTuple):
    """Tensors of one shape as the layers of one that has a dimension more."""

    sources: tuple[Rows, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.sources), *self.sources[0].shape)

    def rows(self, start: int, stop: int) -> Floats:
        each = n_rows(self.sources[0])
        pieces = [
            self.sources[layer].rows(max(start - layer * each, 0), min(stop - layer * each, each))
            for layer in range(start // each, -(-stop // each))
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


class Transposed(NamedTuple):
    """A matrix with rows and columns exchanged; read as a whole, so for small ones."""

    source: Rows

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.source.shape[1], self.source.shape[0])

    def rows(self, start: int, stop: int) -> Floats:
        return np.ascontiguousarray(self.source.rows(0, self.source.shape[0]).T[start:stop])


def interleaved(n_heads: int, n_rows: int) -> npt.NDArray[np.int64]:
    """The order that brings rotary pairs together.

    Checkpoints keep the two elements that a rotation mixes half a head apart,
    llama.cpp's `llama` architecture side by side.
    """
    halves = np.arange(n_rows, dtype=np.int64).reshape(n_heads, 2, -1)
    return halves.swapaxes(1, 2).reshape(-1)
