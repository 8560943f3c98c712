"""Read a model's dimensions out of its header.

By llama.cpp's own rules for the metadata (load_hparams in src/llama-model.cpp, and
src/models/*.cpp), and from the tensors' shapes where those say the same more
plainly: a feed-forward's width is its matrix's, whatever the architecture calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from power.gguf.facts import MAX_LAYERS
from power.gguf.layout import GGUFError
from power.gguf.memory.architectures import (
    BOTH_IN_EACH,
    CACHED_LAYERS,
    DEFAULT_WINDOW,
    EVERY_NTH,
    FULL_FIRST,
    HYBRID,
    RECURRENT,
    SKIPS_LAST,
    SLIDING,
    WITHOUT_CACHE,
)
from power.gguf.memory.shape import Layer, ModelShape

if TYPE_CHECKING:
    from power.gguf.reader import GGUF, TensorInfo


def shape_of(gguf: GGUF) -> ModelShape:
    """The shape of an open model file.

    Raises:
        GGUFError: it names no architecture, or claims a number of layers that no model has.
    """
    keys = Keys(gguf.metadata)
    if not keys.architecture:
        raise GGUFError(f"{gguf.path.name}: general.architecture is missing")
    if not 0 <= keys.number("block_count") <= MAX_LAYERS:
        raise GGUFError(f"{gguf.path.name}: {keys.number('block_count')} layers are more than {MAX_LAYERS}")
    return _Reading(keys, gguf.tensors).shape()


class Keys:
    """An architecture's metadata, of which any part may be missing or of a wrong type."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata
        said = metadata.get("general.architecture")
        self.architecture = said if isinstance(said, str) else ""

    def get(self, key: str) -> Any:
        return self._metadata.get(f"{self.architecture}.{key}")

    def number(self, key: str, default: int = 0) -> int:
        """A count; of one that is given per layer, the largest. Never negative."""
        return max(self.numbers(key), default=default)

    def numbers(self, key: str) -> list[int]:
        value = self.get(key)
        some = value[:MAX_LAYERS] if hasattr(value, "__len__") else [value]
        items = some.tolist() if hasattr(some, "tolist") else some
        return [max(0, int(item)) for item in items if isinstance(item, int)]

    def per_layer(self, key: str, n_layers: int, default: int = 0) -> list[int]:
        found = self.numbers(key) or [default]
        return (found * n_layers if len(found) == 1 else found + [0] * n_layers)[:n_layers]


class _Reading:
    """One model's keys and tensors, put together."""

    def __init__(self, keys: Keys, tensors: Mapping[str, TensorInfo]) -> None:
        self.keys = keys
        self.architecture = keys.architecture
        self.tensors = tensors
        self.n_layers = keys.number("block_count")
        self.n_embd = keys.number("embedding_length")
        self.heads = keys.per_layer("attention.head_count", self.n_layers)
        self.heads_kv = (
            keys.per_layer("attention.head_count_kv", self.n_layers)
            if keys.numbers("attention.head_count_kv")
            else self.heads
        )
        self.by_layer, self.ends = _by_layer(tensors, self.n_layers)

    def shape(self) -> ModelShape:
        keys = self.keys
        head = self.heads[0] if self.heads else 0
        n_head_k = keys.number("attention.key_length") or (self.n_embd // head if head else 0)
        n_head_v = keys.number("attention.value_length") or (self.n_embd // head if head else 0)
        n_heads = max(self.heads, default=0)
        n_embedded = self._rows("token_embd.weight")
        output = [info for name, info in self.ends.items() if name.startswith("output")]
        return ModelShape(
            architecture=self.architecture,
            n_ctx_train=keys.number("context_length"),
            n_vocab=n_embedded or keys.number("vocab_size"),
            n_embd=self.n_embd,
            layers=tuple(self._layers(n_head_k, n_head_v)),
            n_window=self._window(),
            is_causal=keys.get("attention.causal") is not False,
            has_cache=self.architecture not in WITHOUT_CACHE,
            n_heads=n_heads,
            n_q=n_heads * n_head_k,
            n_attn_out=n_heads * n_head_v,
            is_mla=self._is_mla(),
            **self._feed_forward(),
            **self._state_space(),
            input_bytes=sum(info.n_bytes for name, info in self.ends.items() if info not in output),
            embedding_bytes=self._n_bytes("token_embd.weight"),
            output_bytes=sum(info.n_bytes for info in output),
            is_tied="output.weight" not in self.ends,
        )

    def _layers(self, n_head_k: int, n_head_v: int) -> Iterator[Layer]:
        keys = self.keys
        n_k_swa = keys.number("attention.key_length_swa") or n_head_k
        n_v_swa = keys.number("attention.value_length_swa") or n_head_v
        n_cached = self._n_cached()
        sliding, recurrent = self._sliding(), self._recurrent()
        n_conv, n_state = self._states()
        n_trunk = self.n_layers - keys.number("nextn_predict_layers")
        for layer in range(self.n_layers):
            attends = layer < n_cached and (not recurrent[layer] or self.architecture in BOTH_IN_EACH)
            if self.architecture in WITHOUT_CACHE or self.architecture in RECURRENT:
                attends = False
            n_kv = self.heads_kv[layer] if attends else 0
            is_recurrent = recurrent[layer] and layer < n_trunk
            is_loaded = layer < n_trunk or self.architecture not in SKIPS_LAST
            yield Layer(
                n_k=n_kv * (n_k_swa if sliding[layer] else n_head_k),
                n_v=0 if self._is_mla() else n_kv * (n_v_swa if sliding[layer] else n_head_v),
                is_sliding=sliding[layer],
                n_conv=n_conv if is_recurrent else 0,
                n_state=n_state if is_recurrent else 0,
                n_weight_bytes=sum(info.n_bytes for info in self.by_layer[layer].values()) if is_loaded else 0,
            )

    def _n_cached(self) -> int:
        """Layers with keys and values of their own: not those at the end that guess tokens ahead."""
        n_own = self.n_layers - self.keys.number("nextn_predict_layers")
        shared = self.keys.number("attention.shared_kv_layers")
        return min(n_own, CACHED_LAYERS.get(self.architecture, self.n_layers) - shared)

    def _is_mla(self) -> bool:
        return bool(self.keys.number("attention.key_length_mla") and self.keys.number("attention.value_length_mla"))

    def _window(self) -> int:
        if self.architecture not in SLIDING or (self.architecture == "exaone4" and self.n_layers != 64):
            return 0
        return self.keys.number("attention.sliding_window", DEFAULT_WINDOW.get(self.architecture, 0))

    def _sliding(self) -> list[bool]:
        if not self._window():
            return [False] * self.n_layers
        said = self.keys.numbers("attention.sliding_window_pattern")
        if len(said) > 1:
            return [bool(flag) for flag in said[: self.n_layers]] + [False] * (self.n_layers - len(said))
        period = said[0] if said else SLIDING[self.architecture]
        if self.architecture in HYBRID:  # every layer that attends
            return [not recurrent for recurrent in self._recurrent()]
        if self.architecture in FULL_FIRST:
            return [period == 0 or layer % period != 0 for layer in range(self.n_layers)]
        return [period == 0 or layer % period < period - 1 for layer in range(self.n_layers)]

    def _recurrent(self) -> list[bool]:
        if self.architecture in RECURRENT | BOTH_IN_EACH:
            return [True] * self.n_layers
        if self.architecture not in HYBRID:
            return [False] * self.n_layers
        if self.architecture in EVERY_NTH:
            said = self.keys.numbers("attention.recurrent_layers")
            period = self.keys.number("full_attention_interval") or EVERY_NTH[self.architecture]
            every = [int((layer + 1) % period != 0) for layer in range(self.n_layers)]
            return [bool(flag) for flag in (said if len(said) == self.n_layers else every)]
        widths = self.keys.per_layer("feed_forward_length", self.n_layers)
        if self.architecture.startswith("nemotron_h"):  # a layer does one thing: state, attention or feed-forward
            return [not n_kv and not n_ff for n_kv, n_ff in zip(self.heads_kv, widths, strict=True)]
        return [not n_kv for n_kv in self.heads_kv]

    def _states(self) -> tuple[int, int]:
        """Elements of a sequence's convolution and recurrent state (llama_hparams::n_embd_r and n_embd_s)."""
        keys = self.keys
        if head_size := keys.number("wkv.head_size"):
            return (keys.number("token_shift_count") or 2) * self.n_embd, self.n_embd * head_size
        if n_kernel := keys.number("shortconv.l_cache"):
            return self.n_embd * (n_kernel - 1), 0
        n_kernel = max(keys.number("ssm.conv_kernel") - 1, 0)
        n_head = self.heads[0] if self.heads else 0
        if head_size := keys.number("kda.head_dim"):
            return 3 * (n_kernel or 3) * n_head * head_size, head_size**2 * n_head
        if self.architecture == "minimax-01":
            return 0, keys.number("attention.key_length") ** 2 * n_head
        n_inner, n_state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
        return n_kernel * (n_inner + 2 * keys.number("ssm.group_count") * n_state), n_inner * n_state

    def _feed_forward(self) -> dict[str, Any]:
        n_up = max(self._widths("ffn_up.weight"), default=0)
        n_down = max(self._row_lengths("ffn_down.weight"), default=0)
        has_gate = any("ffn_gate.weight" in layer for layer in self.by_layer)
        return {
            "n_ff": n_down,
            "n_ff_up": n_up,
            "is_gated": has_gate or n_up == 2 * n_down > 0,
            "n_experts_used": self.keys.number("expert_used_count"),
            "n_ff_expert": max(self._row_lengths("ffn_down_exps.weight"), default=0),
        }

    def _state_space(self) -> dict[str, Any]:
        n_inner, n_state = self.keys.number("ssm.inner_size"), self.keys.number("ssm.state_size")
        return {
            "n_inner": n_inner,
            "n_projected": max(self._widths("ssm_in.weight"), default=0),
            "n_conv_width": n_inner + 2 * self.keys.number("ssm.group_count") * n_state,
            "n_conv_kernel": self.keys.number("ssm.conv_kernel"),
        }

    def _rows(self, name: str) -> int:
        info = self.tensors.get(name)
        return info.shape[1] if info and len(info.shape) > 1 else 0

    def _n_bytes(self, name: str) -> int:
        return self.tensors[name].n_bytes if name in self.tensors else 0

    def _widths(self, name: str) -> list[int]:
        """Of a matrix of every layer, how many elements it makes of a token."""
        return [layer[name].shape[1] for layer in self.by_layer if name in layer and len(layer[name].shape) > 1]

    def _row_lengths(self, name: str) -> list[int]:
        return [layer[name].shape[0] for layer in self.by_layer if name in layer and layer[name].shape]


def _by_layer(
    tensors: Mapping[str, TensorInfo], n_layers: int
) -> tuple[list[dict[str, TensorInfo]], dict[str, TensorInfo]]:
    """The tensors of each layer, without its `blk.N.`, and those of no layer."""
    layers: list[dict[str, TensorInfo]] = [{} for _ in range(n_layers)]
    ends = {}
    for name, info in tensors.items():
        head, _, rest = name.partition(".")
        number, _, rest = rest.partition(".")
        if head == "blk" and number.isdecimal() and len(number) < 5 and int(number) < n_layers:
            layers[int(number)][rest] = info
        else:
            ends[name] = info
    return layers, ends
