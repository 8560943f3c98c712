"""The dimensions of a model that decide how much memory it needs."""

from __future__ import annotations

import msgspec


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer keeps of the tokens it has seen. Widths count elements."""

    n_k: int  # of all keys of a token; 0: this layer keeps none
    n_v: int
    is_sliding: bool  # it sees the window only
    n_conv: int  # of a sequence's convolution state, F32
    n_state: int  # of a sequence's recurrent state, F32
    n_weight_bytes: int


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """All that the estimate needs to know of a model; everything counts elements unless it says otherwise."""

    architecture: str
    n_ctx_train: int  # tokens
    n_vocab: int
    n_embd: int
    layers: tuple[Layer, ...]
    n_window: int  # tokens; 0: no layer slides
    is_causal: bool
    has_cache: bool  # False: an encoder
    n_heads: int  # the largest of all layers
    n_q: int  # queries of a token
    n_attn_out: int  # what attention gives for a token, before its output matrix
    is_mla: bool
    n_ff: int  # width of a feed-forward, of the layer where it is largest
    n_ff_up: int  # of its first product: twice `n_ff` where gate and up are one matrix
    is_gated: bool
    n_experts_used: int
    n_ff_expert: int
    n_inner: int  # of a state-space layer
    n_projected: int  # what a state-space layer makes of a token: gate, input, and so on
    n_conv_width: int
    n_conv_kernel: int
    input_bytes: int  # the token embeddings: in the CPU's memory whatever is offloaded
    embedding_bytes: int  # of those, the matrix of the tokens' embeddings
    output_bytes: int  # the output matrix and norm
    is_tied: bool  # the output matrix is the token embeddings

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def is_recurrent(self) -> bool:
        """Whether any layer keeps a state that cannot be cut (recurrent and hybrid models)."""
        return any(layer.n_state or layer.n_conv for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        return self.input_bytes + self.output_bytes + sum(layer.n_weight_bytes for layer in self.layers)
