"""Bytes of scratch memory for computing one batch.

llama.cpp plans its largest graph and gives tensors whose lives do not overlap
the same place (ggml-alloc.c). So what is needed is what the inputs take, which
live all along, and what lives at the fullest moment of a layer. Those moments
are few: in the middle of attention, of the feed-forward, of the experts, of a
state-space layer, or at the logits. How many activations survive into each was
read off what llama.cpp allocates for some twenty shapes (tests/gguf/test_estimate.py);
that includes the holes that its allocator leaves.
"""

from __future__ import annotations

from collections.abc import Iterator

from power.gguf.memory.cache import F32, CacheSizes
from power.gguf.memory.settings import Settings
from power.gguf.memory.shape import ModelShape

F16 = 2
I64 = 8


def compute_bytes(shape: ModelShape, settings: Settings) -> int:
    """Of the device that computes all layers."""
    plan = _Plan(shape, settings)
    # By the time of the logits the inputs are no longer needed, and their place is taken.
    return max(plan.input_bytes() + F32 * max(plan.moments()), F32 * plan.logits())


def input_bytes(shape: ModelShape, settings: Settings) -> int:
    """Of a device that only prepares the inputs for another."""
    plan = _Plan(shape, settings)
    return plan.input_bytes() + F32 * shape.n_embd * plan.n_tokens


def output_bytes(shape: ModelShape, settings: Settings) -> int:
    """Of the buffer that logits (and embeddings) are handed out in."""
    n_rows = max(settings.n_seq_max, 1, settings.n_ubatch if settings.all_outputs else 1)
    return n_rows * (shape.n_vocab + (shape.n_embd if settings.embeddings else 0)) * F32


class _Plan:
    """The largest graph of a context; counts are elements."""

    def __init__(self, shape: ModelShape, settings: Settings) -> None:
        self.shape = shape
        self.has_flash = settings.flash_attention
        self.cache = CacheSizes(shape, settings)
        self.n_seqs = self.cache.n_rows
        n_batch = min(settings.n_batch, settings.n_ctx) if shape.is_causal else settings.n_batch
        n_tokens = min(settings.n_ctx, n_batch, settings.n_ubatch or n_batch)
        self.n_tokens = -(-n_tokens // self.n_seqs) * self.n_seqs
        self.n_outputs = min(n_tokens, settings.n_outputs or n_batch)

    def input_bytes(self) -> int:
        """Masks of attention, and indices of the cells that keys and values go to."""
        shape, mask_cell = self.shape, F16 if self.has_flash else F32
        if not shape.has_cache:
            return self.n_tokens * self.n_tokens * mask_cell
        n_masked = 0
        if any(layer.n_k for layer in shape.layers):
            n_masked = self.cache.n_cells + (self.cache.n_sliding_cells if shape.n_window else 0)
        n_indices = (2 if shape.n_window else 1) * (1 + self._values_indexed())
        return self.n_tokens * (n_masked * mask_cell + n_indices * I64)

    def _values_indexed(self) -> int:
        """Transposed values are stored one by one, so each has an index of its own."""
        widest = max((layer.n_v for layer in self.shape.layers), default=0)
        return min(widest, 1) if self.has_flash else widest

    def moments(self) -> Iterator[int]:
        """How much lives at the moments that may be the fullest."""
        yield self._attention()
        yield self.n_tokens * self._feed_forward()
        yield self.n_tokens * self._experts()
        yield self._state_space()

    def logits(self) -> int:
        """Logits, and what they are made from; an encoder has embeddings for an answer."""
        if not self.shape.has_cache:
            return 0
        return self.n_outputs * (self.shape.n_vocab + 2 * self.shape.n_embd)

    def _attention(self) -> int:
        shape = self.shape
        # The latent values of MLA are multiplied out once more before they leave.
        n_out = shape.n_attn_out * (2 if shape.is_mla else 1)
        n_live = self.n_tokens * (shape.n_q + n_out + 3 * shape.n_embd)
        if self.has_flash:
            return n_live
        n_seen = self.cache.n_cells if shape.has_cache else self.n_tokens
        return n_live + shape.n_heads * n_seen * self.n_tokens

    def _feed_forward(self) -> int:
        """Gate, up and their product, or up alone."""
        shape = self.shape
        if not shape.is_gated:
            # An encoder norms after it adds, and has nothing to keep beside.
            return shape.n_ff_up + (4 if shape.has_cache else 3) * shape.n_embd
        is_fused = shape.n_ff_up > shape.n_ff
        return 3 * shape.n_ff + (3 if is_fused else 4) * shape.n_embd

    def _experts(self) -> int:
        """Every token's experts side by side: their inner widths, and then their outputs, raw and weighted."""
        shape = self.shape
        if not shape.n_ff_expert:
            return 0
        n_inner, n_out = shape.n_experts_used * shape.n_ff_expert, shape.n_experts_used * shape.n_embd
        return max(3 * n_inner + 4 * shape.n_embd, n_inner + 2 * n_out + 3 * shape.n_embd)

    def _state_space(self) -> int:
        """What is projected, the convolution's window and result, the scan's input and output, and the new states."""
        shape = self.shape
        state = max((layer.n_state for layer in shape.layers), default=0) * self.n_seqs
        if not shape.n_inner:
            return state * 2 + self.n_tokens * 8 * shape.n_embd if state else 0
        n_conv = shape.n_conv_width
        window = n_conv * (self.n_tokens + (shape.n_conv_kernel - 1) * self.n_seqs)
        if not shape.n_projected:  # a delta net, whose gate is a matrix of its own
            return self.n_tokens * (2 * n_conv + shape.n_inner) + window + 2 * state
        if n_conv == shape.n_inner:  # Mamba 1: the time steps are as wide as the input
            n_live = shape.n_projected + 3 * shape.n_inner + shape.n_embd
        else:
            n_live = shape.n_projected + n_conv + 2 * shape.n_inner + 2 * shape.n_embd
        return self.n_tokens * n_live + window + state
