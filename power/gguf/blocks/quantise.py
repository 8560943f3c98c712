"""Float32 to the simple types, by ggml's reference arithmetic (quantize_row_*_ref in ggml/src/ggml-quants.c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from power.gguf.blocks.common import Bytes, Floats
from power.gguf.blocks.dequantise import PIECE_ELEMENTS
from power.gguf.blocks.fields import block_dtype
from power.gguf.constants import TensorType
from power.gguf.layout import GGUFError

Records = npt.NDArray[Any]
Levels = npt.NDArray[np.uint8]


def quantise(values: npt.NDArray[Any], kind: TensorType) -> Bytes:
    """The values as blocks of `kind`, little-endian.

    Args:
        values: numbers of shape (*rows, elements per row); rounded to float32 first.
        kind: one of F32 F16 BF16 Q8_0 Q5_1 Q5_0 Q4_1 Q4_0.

    Returns:
        uint8 of shape (*rows, bytes per row).

    Raises:
        GGUFError: there is no such quantisation here, a row is no whole number of blocks,
            or (but for F32, F16 and BF16) a value is not finite, or too large for the scale.
    """
    pack = _PACK.get(kind.name)
    if pack is None:
        raise GGUFError(f"quantisation to {kind.name} is not done here, only to {', '.join(_PACK)}")
    values = np.atleast_1d(values)
    if values.shape[-1] % kind.block:
        raise GGUFError(f"rows of {values.shape[-1]} elements, which {kind.name} packs by {kind.block}")
    rows = np.ascontiguousarray(values).reshape(-1, kind.block)
    blocks = np.empty(len(rows), block_dtype(kind))
    step = PIECE_ELEMENTS // kind.block
    with np.errstate(all="ignore"):  # what is wrong with the result is looked for in the result
        for start in range(0, len(rows), step):
            pack(rows[start : start + step].astype(np.float32, copy=False), blocks[start : start + step])
    if kind.block > 1 and not np.isfinite(blocks["d"]).all():
        raise GGUFError(f"a value is infinite, not a number, or too large for {kind.name}")
    return blocks.view(np.uint8).reshape(*values.shape[:-1], -1)


def _numbers(rows: Floats, blocks: Records) -> None:
    blocks["d"] = rows[:, 0]


def _bf16(rows: Floats, blocks: Records) -> None:
    bits = rows[:, 0].view(np.uint32)
    # To the nearest, and to the even one of two equally near; NaN stays NaN, whatever its lower bits.
    rounded = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16
    blocks["d"] = np.where(bits & 0x7FFFFFFF > 0x7F800000, bits >> 16 | 0x40, rounded)


def _signed(rows: Floats, blocks: Records, n_levels: int) -> Levels:
    """Levels around zero; the scale is such that the value farthest from zero is the lowest level."""
    farthest = np.abs(rows).argmax(axis=1)
    factors = rows[np.arange(len(rows)), farthest] / np.float32(-n_levels // 2)
    blocks["d"] = factors
    # Cut off after adding a half, which rounds; the value opposite to the farthest may be one level too high.
    return _cut(rows * _inverse(factors), n_levels / 2 + 0.5, n_levels)


def _from_minimum(rows: Floats, blocks: Records, n_levels: int) -> Levels:
    minima = rows.min(axis=1)
    factors = (rows.max(axis=1) - minima) / np.float32(n_levels - 1)
    blocks["d"], blocks["m"] = factors, minima
    # An infinite minimum leaves no scale either, so looking at the scales finds it.
    return _cut((rows - minima[:, None]) * _inverse(factors), 0.5, n_levels)


def _cut(scaled: Floats, offset: float, n_levels: int) -> Levels:
    scaled += np.float32(offset)
    return np.minimum(scaled.astype(np.uint8), n_levels - 1, dtype=np.uint8)


def _inverse(factors: Floats) -> Floats:
    return np.where(factors == 0, np.float32(0), np.float32(1) / factors)[:, None]


def _put_nibbles(levels: Levels, blocks: Records) -> None:
    blocks["qs"] = levels[:, :16] & 15 | levels[:, 16:] << 4


def _put_fives(levels: Levels, blocks: Records) -> None:
    _put_nibbles(levels, blocks)
    blocks["qh"] = np.packbits(levels >> 4, axis=1, bitorder="little")


def _q8_0(rows: Floats, blocks: Records) -> None:
    factors = np.abs(rows).max(axis=1) / np.float32(127)
    blocks["d"] = factors
    scaled = rows * _inverse(factors)
    # C's roundf: halves away from zero. The fraction is exact, where adding a half would round.
    whole = np.trunc(scaled)
    blocks["qs"] = whole + np.trunc((scaled - whole) * 2)


_PACK: dict[str, Callable[[Floats, Records], None]] = {
    "F32": _numbers,
    "F16": _numbers,
    "BF16": _bf16,
    "Q8_0": _q8_0,
    "Q5_1": lambda rows, blocks: _put_fives(_from_minimum(rows, blocks, 32), blocks),
    "Q5_0": lambda rows, blocks: _put_fives(_signed(rows, blocks, 32), blocks),
    "Q4_1": lambda rows, blocks: _put_nibbles(_from_minimum(rows, blocks, 16), blocks),
    "Q4_0": lambda rows, blocks: _put_nibbles(_signed(rows, blocks, 16), blocks),
}
QUANTISABLE = tuple(_PACK)
