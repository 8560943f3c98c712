"""Bytes that a context keeps for what its sequences have seen.

Attention keeps a key and a value per token, in cells that all sequences share
(llama-kv-cache.cpp); sliding layers need no more cells than their window
(llama-kv-cache-iswa.cpp), MLA keeps one latent row in place of both. A recurrent
layer keeps one state per sequence, however long that is (llama-memory-recurrent.cpp).
"""

from __future__ import annotations

from power.gguf.constants import TensorType
from power.gguf.memory.settings import Settings, padded
from power.gguf.memory.shape import Layer, ModelShape

F32 = 4  # bytes


class CacheSizes:
    """The caches of one context: how many cells, and what a layer costs."""

    def __init__(self, shape: ModelShape, settings: Settings) -> None:
        self._type = settings.cell_type
        self.n_rows = max(settings.n_seq_max, 1)
        self.n_streams = 1 if settings.kv_unified else self.n_rows
        n_ctx = padded(settings.n_ctx)
        self.n_cells = n_ctx if settings.kv_unified else padded(n_ctx // self.n_rows)
        self.n_sliding_cells = self._sliding_cells(shape, settings)
        # Without flash attention values lie transposed, and all layers are made as wide as the widest.
        self._n_v = 0 if settings.flash_attention else max((layer.n_v for layer in shape.layers), default=0)

    def kv_bytes(self, layer: Layer) -> int:
        """Keys and values of all sequences."""
        n_cells = (self.n_sliding_cells if layer.is_sliding else self.n_cells) * self.n_streams
        n_v = max(layer.n_v, self._n_v) if layer.n_v else 0
        return n_cells * (_row_bytes(self._type, layer.n_k) + _row_bytes(self._type, n_v))

    def state_bytes(self, layer: Layer) -> int:
        """Convolution and recurrent states of all sequences."""
        return self.n_rows * (layer.n_conv + layer.n_state) * F32

    def _sliding_cells(self, shape: ModelShape, settings: Settings) -> int:
        if settings.swa_full:
            return self.n_cells
        n_windows = self.n_rows if settings.kv_unified else 1
        n_ubatch = min(settings.n_ubatch, settings.n_batch, settings.n_ctx)
        return padded(min(self.n_cells, shape.n_window * n_windows + n_ubatch))


def _row_bytes(kind: TensorType, n_elements: int) -> int:
    return -(-n_elements // kind.block) * kind.block_bytes
