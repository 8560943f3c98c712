"""Which kind of attention a context gets, and that the worker and the estimate agree on it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from power.gguf.memory.attention import PIECES, SCORE_BYTES, SCORES_BYTES, Attention, choose_attention


@given(st.integers(0, 256), st.integers(256, 1 << 20), st.integers(1, 4096))
def test_scores_stay_within_their_bounds_on_a_processor(n_heads: int, n_cells: int, n_batch: int) -> None:
    is_flash, n_ubatch = choose_attention(
        None, kv_type="f16", on_gpu=False, n_heads=n_heads, n_cells=n_cells, n_batch=n_batch
    )

    assert 1 <= n_ubatch <= n_batch
    assert is_flash or n_ubatch * n_heads * n_cells * SCORE_BYTES <= SCORES_BYTES
    assert is_flash == (PIECES[-1] * n_heads * n_cells * SCORE_BYTES > SCORES_BYTES)


@given(st.booleans(), st.sampled_from(["f16", "bf16", "f32"]), st.booleans(), st.integers(256, 1 << 20))
def test_what_was_asked_for_is_done(wanted: bool, kv_type: str, on_gpu: bool, n_cells: int) -> None:
    chosen = choose_attention(wanted, kv_type=kv_type, on_gpu=on_gpu, n_heads=32, n_cells=n_cells, n_batch=512)

    assert chosen.is_flash is wanted


def test_narrow_cells_and_gpus_have_flash_attention() -> None:
    sizes = {"n_heads": 14, "n_cells": 4096, "n_batch": 512}
    flash = Attention(True, 512)

    assert choose_attention(None, kv_type="q8_0", on_gpu=False, **sizes) == flash
    assert choose_attention(None, kv_type="f16", on_gpu=True, **sizes) == flash
    assert choose_attention(None, kv_type="f16", on_gpu=False, **sizes) == Attention(False, 64)
