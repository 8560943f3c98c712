"""The K types: 256 elements in groups, whose own scales are small integers times that of the block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from power.gguf.blocks.common import Blocks, Bytes, Floats, fill, packed, scale, unpack


def q2_k(blocks: Blocks, out: Floats) -> None:
    scales = packed(blocks, "scales")
    quarters = unpack(packed(blocks).reshape(-1, 2, 32), 2)
    factors = scale(blocks)[:, None] * (scales & 15)
    fill(out, quarters, factors, scale(blocks, "dmin")[:, None] * (scales >> 4))


def q3_k(blocks: Blocks, out: Floats) -> None:
    quarters = unpack(packed(blocks).reshape(-1, 2, 32), 2).reshape(-1, 8, 32).view(np.int8)
    quarters += unpack(packed(blocks, "hmask"), 1).view(np.int8) << 2
    quarters -= 4
    fill(out, quarters, scale(blocks)[:, None] * _sixteen_scales(packed(blocks, "scales")))


def _sixteen_scales(data: Bytes) -> npt.NDArray[np.int8]:
    """Sixteen numbers of six bits out of twelve bytes: four bits in the first eight, two in the last four."""
    low = unpack(data[:, :8], 4).reshape(-1, 16)
    high = unpack(data[:, 8:], 2).reshape(-1, 16)
    return (low | high << 4).view(np.int8) - 32


def _eight_scales(data: Bytes) -> tuple[Bytes, Bytes]:
    """Eight scales and eight minima of six bits out of twelve bytes.

    The first four of each are in the lower bits of bytes 0 to 7; the last four have
    their lower bits in bytes 8 to 11, and their upper ones where the first left room.
    """
    first, second, third = data[:, :4], data[:, 4:8], data[:, 8:]
    scales = np.concatenate([first & 63, third & 15 | first >> 6 << 4], axis=1)
    minima = np.concatenate([second & 63, third >> 4 | second >> 6 << 4], axis=1)
    return scales, minima


def q4_k(blocks: Blocks, out: Floats) -> None:
    scales, minima = _eight_scales(packed(blocks, "scales"))
    halves = unpack(packed(blocks).reshape(-1, 4, 32), 4)
    fill(out, halves, scale(blocks)[:, None] * scales, scale(blocks, "dmin")[:, None] * minima)


def q5_k(blocks: Blocks, out: Floats) -> None:
    scales, minima = _eight_scales(packed(blocks, "scales"))
    halves = unpack(packed(blocks).reshape(-1, 4, 32), 4).reshape(-1, 8, 32)
    halves |= unpack(packed(blocks, "qh"), 1) << 4
    fill(out, halves, scale(blocks)[:, None] * scales, scale(blocks, "dmin")[:, None] * minima)


def q6_k(blocks: Blocks, out: Floats) -> None:
    halves = unpack(packed(blocks, "ql").reshape(-1, 2, 64), 4).reshape(-1, 8, 32)
    halves |= unpack(packed(blocks, "qh").reshape(-1, 2, 32), 2).reshape(-1, 8, 32) << 4
    fill(out, halves.view(np.int8) - 32, scale(blocks)[:, None] * blocks["scales"])
