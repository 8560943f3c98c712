"""What unpacking has in common, whatever the type."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Blocks = npt.NDArray[Any]
"""Records of one type, see `fields.py`; any byte order."""
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def scale(blocks: Blocks, name: str = "d") -> Floats:
    """One factor per block."""
    return blocks[name].astype(np.float32)


def packed(blocks: Blocks, name: str = "qs") -> Bytes:
    """A field's bytes, a row per block, together in memory: the steps that follow are much faster so."""
    return np.ascontiguousarray(blocks[name])


def unpack(data: Bytes, n_bits: int) -> Bytes:
    """Small numbers out of bytes: of shape (..., n) the lowest bits, then the next ones: (..., 8 // n_bits, n)."""
    n_parts = 8 // n_bits
    parts = np.empty((*data.shape[:-1], n_parts, data.shape[-1]), np.uint8)
    for number in range(n_parts):
        part = parts[..., number, :]
        np.right_shift(data, number * n_bits, out=part)
    if n_bits < 8:
        parts &= 2**n_bits - 1
    return parts


def bits(data: Bytes) -> Bytes:
    """Every bit as a byte, the lowest first: (..., n) becomes (..., 8 n)."""
    return np.unpackbits(data, axis=-1, bitorder="little")


def translate(data: Bytes, table: bytes) -> npt.NDArray[np.int8]:
    """Every byte replaced by what the table of 256 has for it."""
    # bytes.translate does a byte in half a nanosecond; numpy indexes by 64-bit
    # integers, and has to make them first.
    return np.frombuffer(data.tobytes().translate(table), np.int8).reshape(data.shape)


def fill(out: Floats, values: npt.NDArray[Any], factors: Floats, minima: Floats | None = None) -> None:
    """out = values * factors - minima, in ggml's order of steps.

    `factors` are of shape (n,) or (n, groups), and each goes for as many values that follow one another.
    """
    groups = out.reshape(*factors.shape, -1)
    groups[...] = values.reshape(groups.shape)
    groups *= factors[..., None]
    if minima is not None:
        groups -= minima[..., None]
