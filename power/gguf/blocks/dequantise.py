"""Blocks of any type to float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from power.gguf.blocks import coded, kquants, simple
from power.gguf.blocks.common import Blocks, Bytes, Floats
from power.gguf.blocks.fields import block_dtype
from power.gguf.constants import TensorType
from power.gguf.layout import GGUFError

# Elements unpacked in one go: what is made of them on the way stays in the cache.
PIECE_ELEMENTS = 2**16

_UNPACK: dict[str, Callable[[Blocks, Floats], None]] = {
    **dict.fromkeys(("F64", "F32", "I8", "I16", "I32", "I64"), simple.numbers),
    "F16": simple.f16,
    "BF16": simple.bf16,
    "Q4_0": simple.q4_0,
    "Q4_1": simple.q4_1,
    "Q5_0": simple.q5_0,
    "Q5_1": simple.q5_1,
    **dict.fromkeys(("Q8_0", "Q8_1", "Q8_K"), simple.q8),
    "Q1_0": simple.q1_0,
    "Q2_0": simple.q2_0,
    "TQ1_0": simple.tq1_0,
    "TQ2_0": simple.tq2_0,
    "Q2_K": kquants.q2_k,
    "Q3_K": kquants.q3_k,
    "Q4_K": kquants.q4_k,
    "Q5_K": kquants.q5_k,
    "Q6_K": kquants.q6_k,
    "MXFP4": coded.mxfp4,
    "NVFP4": coded.nvfp4,
    "IQ4_NL": coded.iq4_nl,
    "IQ4_XS": coded.iq4_xs,
    "IQ2_XXS": coded.iq2_xxs,
    "IQ2_XS": coded.iq2_xs,
    "IQ2_S": coded.iq2_s,
    "IQ3_XXS": coded.iq3_xxs,
    "IQ3_S": coded.iq3_s,
    "IQ1_S": coded.iq1_s,
    "IQ1_M": coded.iq1_m,
}


def dequantise(data: npt.NDArray[Any], kind: TensorType, *, big_endian: bool = False) -> Floats:
    """The tensor as float32, equal to what ggml makes of it.

    Args:
        data: rows of whole blocks, of any dtype: shape (*rows, bytes per row, or numbers); no shape is one row.
        big_endian: the byte order of what is in `data`.

    Returns:
        Shape (*rows, elements per row). F32 in our own byte order is not copied.

    Raises:
        GGUFError: a row is not a whole number of blocks.
    """
    data = np.ascontiguousarray(data) if data.ndim else data.reshape(1)
    row_bytes = data.shape[-1] * data.itemsize
    if row_bytes % kind.block_bytes:
        raise GGUFError(f"rows of {row_bytes} bytes are not whole blocks of {kind.name}")
    if kind.name == "F32" and not big_endian:
        return data.view("<f4")
    out = np.empty((*data.shape[:-1], row_bytes // kind.block_bytes * kind.block), np.float32)
    dequantise_into(out.reshape(-1), data.reshape(-1).view(np.uint8), kind, big_endian=big_endian)
    return out


def dequantise_into(out: Floats, data: Bytes, kind: TensorType, *, big_endian: bool = False) -> None:
    """Unpack `data`, whole blocks one after the other, into `out`; both flat and contiguous."""
    blocks = data.view(block_dtype(kind, big_endian=big_endian))
    rows = out.reshape(len(blocks), kind.block)
    unpack, step = _UNPACK[kind.name], PIECE_ELEMENTS // kind.block
    with np.errstate(all="ignore"):  # scales may be infinite or no numbers: so are the results
        for start in range(0, len(blocks), step):
            unpack(blocks[start : start + step], rows[start : start + step])
