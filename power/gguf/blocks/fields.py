"""How a block of each tensor type lies in memory, field by field (ggml/src/ggml-common.h).

`d` is a scale, `m` or `dmin` a minimum, `qs` what is scaled, `qh` upper bits of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from power.gguf.constants import TensorType

_FIELDS = {
    "F32": "f4 d",
    "F16": "f2 d",
    "BF16": "u2 d",
    "F64": "f8 d",
    "I8": "i1 d",
    "I16": "i2 d",
    "I32": "i4 d",
    "I64": "i8 d",
    "Q4_0": "f2 d, 16u1 qs",
    "Q4_1": "f2 d, f2 m, 16u1 qs",
    "Q5_0": "f2 d, 4u1 qh, 16u1 qs",
    "Q5_1": "f2 d, f2 m, 4u1 qh, 16u1 qs",
    "Q8_0": "f2 d, 32i1 qs",
    "Q8_1": "f2 d, f2 s, 32i1 qs",
    "Q1_0": "f2 d, 16u1 qs",
    "Q2_0": "f2 d, 16u1 qs",
    "Q2_K": "16u1 scales, 64u1 qs, f2 d, f2 dmin",
    "Q3_K": "32u1 hmask, 64u1 qs, 12u1 scales, f2 d",
    "Q4_K": "f2 d, f2 dmin, 12u1 scales, 128u1 qs",
    "Q5_K": "f2 d, f2 dmin, 12u1 scales, 32u1 qh, 128u1 qs",
    "Q6_K": "128u1 ql, 64u1 qh, 16i1 scales, f2 d",
    "Q8_K": "f4 d, 256i1 qs, 16i2 bsums",
    "IQ1_S": "f2 d, 32u1 qs, 8u2 qh",
    "IQ1_M": "32u1 qs, 16u1 qh, 4u2 scales",
    "IQ2_XXS": "f2 d, 32u2 qs",
    "IQ2_XS": "f2 d, 32u2 qs, 8u1 scales",
    "IQ2_S": "f2 d, 32u1 qs, 32u1 signs, 8u1 qh, 8u1 scales",
    "IQ3_XXS": "f2 d, 64u1 qs, 8u4 signs",
    "IQ3_S": "f2 d, 64u1 qs, 8u1 qh, 32u1 signs, 4u1 scales",
    "IQ4_NL": "f2 d, 16u1 qs",
    "IQ4_XS": "f2 d, u2 scales_h, 4u1 scales_l, 128u1 qs",
    "TQ1_0": "48u1 qs, 4u1 qh, f2 d",
    "TQ2_0": "64u1 qs, f2 d",
    "MXFP4": "u1 e, 16u1 qs",
    "NVFP4": "4u1 d, 32u1 qs",
}


def block_dtype(kind: TensorType, *, big_endian: bool = False) -> np.dtype[Any]:
    """A block as a numpy record, `kind.block_bytes` long."""
    order = ">" if big_endian else "<"
    fields: list[Any] = []
    for field in _FIELDS[kind.name].split(", "):
        code, name = field.split(" ")
        count, letter = code[:-2], code[-2:]
        fields.append((name, order + letter, int(count)) if count else (name, order + letter))
    dtype = np.dtype(fields)
    assert dtype.itemsize == kind.block_bytes
    return dtype


def swap_order(data: npt.NDArray[np.uint8], kind: TensorType, *, big_endian: bool) -> npt.NDArray[np.uint8]:
    """Whole blocks in the other byte order than `big_endian` says they are in; a copy."""
    swapped = data.reshape(-1).view(block_dtype(kind, big_endian=big_endian))
    return swapped.astype(block_dtype(kind, big_endian=not big_endian)).view(np.uint8)
