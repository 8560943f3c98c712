"""Whether attention keeps its scores or not (*flash*), and how many tokens it takes at once.

Flash attention needs no memory for scores, and is what GPUs are good at.  ggml's kernel for processors, though,
goes from cell to cell, one token at a time unless 64 are in a step.  Plain attention, two matrix products, costs the
same for each token in small steps as in large ones; but it compares every token with all cells in use, those of other
rows too, so with many rows it is flash again that does less.  docs/engine.md has figures.

Plain attention costs memory for the scores of all heads, so a step is computed in pieces that keep them small; for
contexts too long for that it is flash after all.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from power.settings import WIDE_CACHE_TYPES

N_UBATCH = 512  # tokens computed at once; llama.cpp's default
PIECES = (64, 32)  # tokens computed at once by plain attention; a processor is no faster with more
SCORES_BYTES = 64 << 20  # that the scores of a piece may take
SCORE_BYTES = 4
FEW_ROWS = 4  # with so many, all of them long, plain attention takes about as long as flash, and with fewer less
# Where a processor can compute with 16-bit floats, the flash kernel takes 128 of them at a time, and what is left of a
# head one by one: heads of 64 cost 4 times as much as elsewhere (ggml_vec_mad_f16 in ggml-cpu/vec.h).
FP16_STEP = 128


class Attention(NamedTuple):
    is_flash: bool
    n_ubatch: int  # tokens computed at once


class Heads(NamedTuple):
    """Of the layer that has most of them."""

    n: int
    size: int  # elements of a key


def choose_attention(
    wanted: bool | None, heads: Heads, *, kv_type: str, on_gpu: bool, n_rows: int, n_cells: int, n_batch: int
) -> Attention:
    """What suits a context of `n_cells` cells for `n_rows` sequences, unless it is `wanted` one way.

    Cells narrower than 16 bits can only be read by flash attention.
    """
    whole = min(N_UBATCH, n_batch)
    if wanted or kv_type not in WIDE_CACHE_TYPES:
        return Attention(True, whole)
    if on_gpu:
        return Attention(wanted is None, whole)
    fitting = [n for n in PIECES if n * heads.n * n_cells * SCORE_BYTES <= SCORES_BYTES]
    is_better = n_rows <= FEW_ROWS or (heads.size % FP16_STEP != 0 and has_fp16())
    if wanted is None and not (fitting and is_better):
        return Attention(True, whole)
    return Attention(False, min(max(fitting, default=PIECES[-1]), n_batch))


@cache
def has_fp16() -> bool:
    """Whether this processor computes with 16-bit floats, so that llama.cpp, compiled for it, does."""
    try:
        return "avx512_fp16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
