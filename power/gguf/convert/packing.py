"""Pack float32 rows as the types a conversion can write."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from power.gguf.blocks import quantise
from power.gguf.constants import TYPE_NAMED, TensorType
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.safetensors import Floats
from power.gguf.layout import GGUFError

# What a file of each type says of itself: enum llama_ftype, include/llama.h.
FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}


def tensor_type(kind: str, row_length: int) -> TensorType:
    """What a matrix in a file of this kind is packed as: F16 where its rows are no whole number of blocks."""
    chosen = TYPE_NAMED[kind.upper()]
    return chosen if row_length % chosen.block == 0 else TYPE_NAMED["F16"]


def pack(rows: Floats, kind: TensorType, name: str) -> npt.NDArray[np.uint8]:
    """The rows' bytes.

    Raises:
        ConvertError: a number is infinite or none, or too large for the type.
    """
    if not np.isfinite(rows).all():
        raise ConvertError(f"tensor {name!r} has weights that are infinite or not a number: the checkpoint is broken")
    try:
        packed = quantise(rows, kind)
    except GGUFError as error:
        raise _too_large(kind, name) from error
    if kind.name == "F16" and not np.isfinite(packed.view("<f2")).all():
        raise _too_large(kind, name)
    return packed


def _too_large(kind: TensorType, name: str) -> ConvertError:
    return ConvertError(f"tensor {name!r} has weights too large for {kind.name}; convert to bf16 or f32")
