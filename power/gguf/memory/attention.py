"""Whether attention keeps its scores or not (*flash*), and how many tokens it takes at once.

Flash attention needs no memory for scores, and is what GPUs are good at.  ggml's kernel for processors, though,
goes from cell to cell, one token at a time unless 64 are in a step: plain attention, two matrix products,
takes a third to a fortieth of the time for each pair of a token and a cell (docs/engine.md has figures), and
as long in small steps as in large ones.  What it costs is room for the scores of all heads, so that a step is
computed in pieces that keep them small; for contexts too long for that it is flash after all.
"""

from __future__ import annotations

from typing import NamedTuple

from power.settings import WIDE_CACHE_TYPES

N_UBATCH = 512  # tokens computed at once; llama.cpp's default
PIECES = (64, 32)  # tokens computed at once by plain attention; a processor is no faster with more
SCORES_BYTES = 64 << 20  # that the scores of a piece may take
SCORE_BYTES = 4


class Attention(NamedTuple):
    is_flash: bool
    n_ubatch: int  # tokens computed at once


def choose_attention(
    wanted: bool | None, *, kv_type: str, on_gpu: bool, n_heads: int, n_cells: int, n_batch: int
) -> Attention:
    """What suits a context of `n_cells` cells, unless it is `wanted` one way.

    Cells narrower than 16 bits can only be read by flash attention.
    """
    flash = Attention(True, min(N_UBATCH, n_batch))
    if wanted or kv_type not in WIDE_CACHE_TYPES or (on_gpu and wanted is None):
        return flash
    if on_gpu:
        return Attention(False, min(N_UBATCH, n_batch))
    fitting = [n for n in PIECES if n * n_heads * n_cells * SCORE_BYTES <= SCORES_BYTES]
    if not fitting and wanted is None:
        return flash
    return Attention(False, min(max(fitting, default=PIECES[-1]), n_batch))
