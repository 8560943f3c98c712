"""Types of one scale a block: Q4_0 to Q8_1, the ternary ones, and plain numbers."""

from __future__ import annotations

import numpy as np

from power.gguf.blocks.common import Blocks, Bytes, Floats, bits, fill, packed, scale, unpack


def numbers(blocks: Blocks, out: Floats) -> None:
    """F64, F32 and the integers."""
    out[...] = blocks["d"][:, None]


def f16(blocks: Blocks, out: Floats) -> None:
    """Half precision, by moving its bits: twice as fast as numpy, which converts one number after the other."""
    halves = blocks["d"].view(blocks["d"].dtype.str.replace("f", "u"))[:, None]
    result = out.view(np.uint32)
    np.left_shift(halves & 0x7FFF, 13, out=result, dtype=np.uint32)
    # Where the exponent is that of infinity or of no number, float32's is larger by more than for the others.
    special = result >= 0x7C00 << 13
    out *= np.float32(2.0**112)  # the exponent of float32 counts from 127, that of float16 from 15
    if special.any():
        result[special] |= 0x7F800000
    result |= np.left_shift(halves & 0x8000, 16, dtype=np.uint32)


def bf16(blocks: Blocks, out: Floats) -> None:
    """The upper half of a float32."""
    np.left_shift(blocks["d"][:, None], 16, out=out.view(np.uint32), dtype=np.uint32)


def q4_0(blocks: Blocks, out: Floats) -> None:
    fill(out, unpack(packed(blocks), 4).view(np.int8) - 8, scale(blocks))


def q4_1(blocks: Blocks, out: Floats) -> None:
    fill(out, unpack(packed(blocks), 4), scale(blocks), -scale(blocks, "m"))


def _five_bits(blocks: Blocks) -> Bytes:
    low = unpack(packed(blocks), 4).reshape(len(blocks), 32)
    low |= bits(packed(blocks, "qh")) << 4
    return low


def q5_0(blocks: Blocks, out: Floats) -> None:
    fill(out, _five_bits(blocks).view(np.int8) - 16, scale(blocks))


def q5_1(blocks: Blocks, out: Floats) -> None:
    fill(out, _five_bits(blocks), scale(blocks), -scale(blocks, "m"))


def q8(blocks: Blocks, out: Floats) -> None:
    """Q8_0, Q8_1 and Q8_K, whose further fields are sums that only products need."""
    fill(out, blocks["qs"], scale(blocks))


def q1_0(blocks: Blocks, out: Floats) -> None:
    fill(out, bits(packed(blocks)).view(np.int8) * 2 - 1, scale(blocks))


def q2_0(blocks: Blocks, out: Floats) -> None:
    # Four neighbours share a byte, where elsewhere those of a byte lie far apart.
    quarters = packed(blocks)[..., None] >> np.array([0, 2, 4, 6], np.uint8) & 3
    fill(out, quarters.view(np.int8) - 1, scale(blocks))


def tq1_0(blocks: Blocks, out: Floats) -> None:
    qs, qh = packed(blocks), packed(blocks, "qh")
    parts = [_trits(qs[:, :32], 5), _trits(qs[:, 32:], 5), _trits(qh, 4)]
    fill(out, np.concatenate(parts, axis=1), scale(blocks))


def _trits(
    data: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], n_trits: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    """The byte is a fraction of 256 in base 3: multiplied by 3 ** n, its first digit is the n-th."""
    shifted = data[:, None, :] * (3 ** np.arange(n_trits)).astype(np.uint8)[:, None]
    return (((shifted.astype(np.uint16) * 3) >> 8).astype(np.int8) - 1).reshape(len(data), -1)


def tq2_0(blocks: Blocks, out: Floats) -> None:
    quarters = unpack(packed(blocks).reshape(-1, 2, 32), 2)
    fill(out, quarters.view(np.int8) - 1, scale(blocks))
