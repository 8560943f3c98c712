"""Which kind of attention a context gets, and that the worker and the estimate agree on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.gguf.memory.attention import (
    FEW_ROWS,
    PIECES,
    SCORE_BYTES,
    SCORES_BYTES,
    Attention,
    Heads,
    choose_attention,
)

FLASH, PLAIN = Attention(True, 512), Attention(False, 64)


@given(st.integers(0, 256), st.integers(1, FEW_ROWS), st.integers(256, 1 << 20), st.integers(1, 4096))
def test_scores_stay_within_their_bounds_on_a_processor(n_heads: int, n_rows: int, n_cells: int, n_batch: int) -> None:
    is_flash, n_ubatch = choose_attention(
        None, Heads(n_heads, 128), kv_type="f16", on_gpu=False, n_rows=n_rows, n_cells=n_cells, n_batch=n_batch
    )

    assert 1 <= n_ubatch <= n_batch
    assert is_flash or n_ubatch * n_heads * n_cells * SCORE_BYTES <= SCORES_BYTES
    assert is_flash == (PIECES[-1] * n_heads * n_cells * SCORE_BYTES > SCORES_BYTES)


@given(st.booleans(), st.sampled_from(["f16", "bf16", "f32"]), st.booleans(), st.integers(256, 1 << 20))
def test_what_was_asked_for_is_done(wanted: bool, kv_type: str, on_gpu: bool, n_cells: int) -> None:
    heads = Heads(32, 64)
    chosen = choose_attention(wanted, heads, kv_type=kv_type, on_gpu=on_gpu, n_rows=8, n_cells=n_cells, n_batch=512)

    assert chosen.is_flash is wanted


@pytest.mark.parametrize(
    ("kv_type", "on_gpu", "n_rows", "head", "has_fp16", "chosen"),
    [
        ("q8_0", False, 1, 128, False, FLASH),
        ("f16", True, 1, 128, False, FLASH),
        ("f16", False, 1, 128, False, PLAIN),
        ("f16", False, FEW_ROWS + 1, 128, False, FLASH),
        ("f16", False, FEW_ROWS + 1, 64, False, FLASH),
        ("f16", False, FEW_ROWS + 1, 128, True, FLASH),
        ("f16", False, FEW_ROWS + 1, 64, True, PLAIN),
    ],
)
def test_flash_attention_is_for_narrow_cells_gpus_and_many_rows(
    kv_type: str,
    on_gpu: bool,
    n_rows: int,
    head: int,
    has_fp16: bool,
    chosen: Attention,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("power.gguf.memory.attention.has_fp16", lambda: has_fp16)
    found = choose_attention(
        None, Heads(14, head), kv_type=kv_type, on_gpu=on_gpu, n_rows=n_rows, n_cells=4096, n_batch=512
    )

    assert found == chosen
