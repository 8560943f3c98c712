"""Types whose elements name values in a table: FP4, IQ4 and the IQ types with their grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from power.gguf.blocks import grids
from power.gguf.blocks.common import Blocks, Bytes, Floats, bits, fill, packed, scale, translate, unpack

# Of four-bit numbers; only the lower half of a byte is looked up.
IQ4_VALUES = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] * 16, np.int8
).tobytes()
FP4_VALUES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12] * 16, np.int8).tobytes()  # doubled

# FP4's scales, halved because its values are doubled: a power of two, and eight bits of 4 + 3 without sign.
E8M0_HALVES = np.ldexp(np.float32(1), np.arange(256) - 128).astype(np.float32)


def _ue4m3(code: int) -> float:
    exponent, mantissa = code >> 3 & 15, code & 7
    if code in (0, 0x7F):  # the latter is NaN elsewhere
        return 0.0
    return mantissa * 2.0**-10 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 8)


UE4M3_HALVES = np.array([_ue4m3(code) for code in range(256)], np.float32)

# Signs come as a byte whose bits say which of eight values are negative, here as
# eight int8 of 1 or -1; or as seven bits, to which the eighth makes the number even.
_EIGHT_SIGNS = (1 - 2 * bits(np.arange(256, dtype=np.uint8)[:, None]).view(np.int8)).view("<u8")[:, 0]
_SEVEN_BITS = np.arange(128, dtype=np.uint8)
_SEVEN_SIGNS = _EIGHT_SIGNS[_SEVEN_BITS | (np.bitwise_count(_SEVEN_BITS) & 1) << 7]

IQ1_DELTA = np.float32(0.125)


def mxfp4(blocks: Blocks, out: Floats) -> None:
    fill(out, translate(unpack(packed(blocks), 4), FP4_VALUES), E8M0_HALVES[blocks["e"]])


def nvfp4(blocks: Blocks, out: Floats) -> None:
    fill(out, translate(unpack(packed(blocks).reshape(-1, 4, 8), 4), FP4_VALUES), UE4M3_HALVES[blocks["d"]])


def iq4_nl(blocks: Blocks, out: Floats) -> None:
    fill(out, translate(unpack(packed(blocks), 4), IQ4_VALUES), scale(blocks))


def iq4_xs(blocks: Blocks, out: Floats) -> None:
    low = np.stack([blocks["scales_l"] & 15, blocks["scales_l"] >> 4], axis=-1).reshape(-1, 8)
    high = blocks["scales_h"].astype(np.uint16)[:, None] >> np.arange(0, 16, 2).astype(np.uint16) & 3
    factors = scale(blocks)[:, None] * ((low | high << 4).astype(np.int16) - 32).astype(np.float32)
    fill(out, translate(unpack(packed(blocks).reshape(-1, 8, 16), 4), IQ4_VALUES), factors)


def _halves(factors: Floats, nibbles: npt.NDArray[Any], unit: float) -> Floats:
    """Scales of most IQ types: a four-bit number and a half, times that of the block."""
    steps: Floats = np.float32(0.5) + nibbles.astype(np.float32)
    product: Floats = factors[:, None] * steps * np.float32(unit)
    return product


def _nibbles(data: Bytes) -> Bytes:
    """Both halves of each byte as neighbours: (n, k) becomes (n, 2 k)."""
    return np.stack([data & 15, data >> 4], axis=-1).reshape(len(data), -1)


def _words(blocks: Blocks, name: str, dtype: str) -> npt.NDArray[Any]:
    """A field's numbers in our byte order, seen as wider ones."""
    native = np.ascontiguousarray(blocks[name], blocks[name].dtype.newbyteorder("<"))
    words: npt.NDArray[Any] = native.view(dtype)
    return words


def _sevens(words: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Four signs of seven bits out of each word: (n, k) becomes (n, 4 k) times eight int8."""
    codes = words[..., None] >> np.array([0, 7, 14, 21], np.uint32) & 127
    signs: npt.NDArray[np.int8] = _SEVEN_SIGNS[codes].reshape(len(words), -1).view(np.int8)
    return signs


def iq2_xxs(blocks: Blocks, out: Floats) -> None:
    words = _words(blocks, "qs", "<u4").reshape(-1, 8, 2)
    codes = np.ascontiguousarray(words[..., 0]).view(np.uint8)
    values = grids.IQ2XXS()[codes].view(np.int8) * _sevens(words[..., 1])
    fill(out, values, _halves(scale(blocks), words[..., 1] >> 28, 0.25))


def iq2_xs(blocks: Blocks, out: Floats) -> None:
    words = _words(blocks, "qs", "<u2")
    values = grids.IQ2XS()[words & 511].view(np.int8) * _SEVEN_SIGNS[words >> 9].view(np.int8)
    fill(out, values, _halves(scale(blocks), _nibbles(blocks["scales"]), 0.25))


def iq2_s(blocks: Blocks, out: Floats) -> None:
    high = blocks["qh"][..., None] >> np.array([0, 2, 4, 6], np.uint8) & 3
    codes = blocks["qs"] | high.reshape(-1, 32).astype(np.uint16) << 8
    values = grids.IQ2S()[codes].view(np.int8) * _EIGHT_SIGNS[blocks["signs"]].view(np.int8)
    fill(out, values, _halves(scale(blocks), _nibbles(blocks["scales"]), 0.25))


def iq3_xxs(blocks: Blocks, out: Floats) -> None:
    words = _words(blocks, "signs", "<u4")
    values = grids.IQ3XXS()[blocks["qs"]].view(np.int8) * _sevens(words)
    fill(out, values, _halves(scale(blocks), words >> 28, 0.5))


def iq3_s(blocks: Blocks, out: Floats) -> None:
    codes = blocks["qs"] | bits(packed(blocks, "qh")).astype(np.uint16) << 8
    values = grids.IQ3S()[codes].view(np.int8) * _EIGHT_SIGNS[blocks["signs"]].view(np.int8)
    fill(out, values, scale(blocks)[:, None] * (1 + 2 * _nibbles(blocks["scales"])).astype(np.float32))


def iq1_s(blocks: Blocks, out: Floats) -> None:
    words = _words(blocks, "qh", "<u2")
    high = words[..., None] >> np.array([0, 3, 6, 9], np.uint16) & 7
    codes = blocks["qs"] | high.reshape(-1, 32) << 8
    deltas = np.where(words & 0x8000, -IQ1_DELTA, IQ1_DELTA)
    factors = scale(blocks)[:, None] * (2 * (words >> 12 & 7) + 1).astype(np.float32)
    _fill_shifted(out, grids.IQ1S()[codes].view(np.int8), deltas, factors)


def iq1_m(blocks: Blocks, out: Floats) -> None:
    words = _words(blocks, "scales", "<u2")
    # The block's own scale is what the four words have in their upper four bits.
    parts = (words >> 12).astype(np.uint16) << np.array([0, 4, 8, 12], np.uint16)
    factor = np.bitwise_or.reduce(parts, axis=1).view(np.float16).astype(np.float32)
    scales = (words[..., None] >> np.array([0, 3, 6, 9], np.uint16) & 7).reshape(-1, 16)
    high = _nibbles(blocks["qh"])
    codes = blocks["qs"] | (high & 7).astype(np.uint16) << 8
    deltas = np.where(high & 8, -IQ1_DELTA, IQ1_DELTA)
    _fill_shifted(out, grids.IQ1S()[codes].view(np.int8), deltas, factor[:, None] * (2 * scales + 1).astype(np.float32))


def _fill_shifted(out: Floats, values: npt.NDArray[np.int8], deltas: Floats, factors: Floats) -> None:
    """out = (values + deltas) * factors; each delta and factor goes for as many values that follow one another."""
    groups = out.reshape(*deltas.shape, -1)
    groups[...] = values.reshape(groups.shape)
    groups += deltas[..., None]
    groups = out.reshape(*factors.shape, -1)
    groups *= factors[..., None]
