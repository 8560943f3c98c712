"""A model's file in memory: weights and vocabulary, of which contexts are made.

What generates (`power.worker.llama`) and what embeds (`power.worker.embedder`)
each have a context of their own over the same weights.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence

import llama_cpp.llama_cpp as c

from power.gguf.memory.attention import Heads
from power.worker.cores import bounded, count_cores
from power.worker.log import Log
from power.worker.vocab import Vocab
from power.worker.wire import Load

KV_TYPES = {
    "f32": c.GGML_TYPE_F32,
    "f16": c.GGML_TYPE_F16,
    "bf16": 30,  # the bindings have no name for it
    "q8_0": c.GGML_TYPE_Q8_0,
    "q5_0": c.GGML_TYPE_Q5_0,
    "q5_1": c.GGML_TYPE_Q5_1,
    "q4_0": c.GGML_TYPE_Q4_0,
    "q4_1": c.GGML_TYPE_Q4_1,
    "iq4_nl": c.GGML_TYPE_IQ4_NL,
}
META_SIZE = 4096  # bytes of a metadata value that we look at


class LoadFailure(Exception):
    """The model cannot be loaded or used; the message says why."""


class Weights:
    """A loaded model.

    Attributes:
        n_ctx: tokens one sequence may have: what was asked for, or less if it was trained for less.
        draft: a smaller model of the same vocabulary that guesses what this one will say, if there is one.
    """

    def __init__(self, load: Load, progress: Callable[[float], None], log: Log | None = None) -> None:
        """Load; `progress` is called with 0.0 … 1.0. `log`: of other weights in this process, which has but one.

        Raises:
            LoadFailure: a broken or missing file, no vocabulary, no memory.
        """
        self.load = load
        self.log = log or Log()
        self.draft: Weights | None = None
        c.llama_backend_init()
        self.model = self._load_model(progress)
        self.vocab = Vocab(c.llama_model_get_vocab(self.model))
        if not self.vocab.n_tokens or self.vocab.kind == c.LLAMA_VOCAB_TYPE_NONE:
            raise LoadFailure(f"the model {load.path} has no vocabulary")
        self.n_ctx_train: int = c.llama_model_n_ctx_train(self.model)
        self.n_ctx = min(load.n_ctx, self.n_ctx_train) if self.n_ctx_train > 0 else load.n_ctx

    @property
    def n_params(self) -> int:
        return int(c.llama_model_n_params(self.model))

    @property
    def model_bytes(self) -> int:
        return int(c.llama_model_size(self.model)) + (self.draft.model_bytes if self.draft else 0)

    @property
    def kv_bytes(self) -> int:
        """Of all contexts so far."""
        return self.log.kv_bytes

    @property
    def device_bytes(self) -> dict[str, int]:
        """What llama.cpp has allocated, by its names of devices."""
        return self.log.device_bytes

    @property
    def on_gpu(self) -> bool:
        """Whether llama.cpp was built for a GPU and found one."""
        return bool(c.llama_supports_gpu_offload())

    @property
    def has_encoder(self) -> bool:
        """Whether it has to be run by llama_encode. (BERT and its kin, which only encode, do without.)"""
        return bool(c.llama_model_has_encoder(self.model) or not c.llama_model_has_decoder(self.model))

    @property
    def architecture(self) -> str:
        return self.metadata("general.architecture") or ""

    @property
    def heads(self) -> Heads:
        """Of attention, in the layer that has most; some models have a number for each layer."""
        prefix = f"{self.architecture}.attention"
        counts = [int(count) for count in re.findall(r"\d+", self.metadata(f"{prefix}.head_count") or "0")]
        size = self.metadata(f"{prefix}.key_length")
        # llama.cpp divides by the first layer's, too.
        return Heads(max(counts), int(size) if size else counts[0] and c.llama_model_n_embd(self.model) // counts[0])

    @property
    def keeps_state(self) -> bool:
        """Whether it is recurrent or hybrid: its memory cannot be cut or shared at any token."""
        return bool(c.llama_model_is_recurrent(self.model) or c.llama_model_is_hybrid(self.model))

    @property
    def last_errors(self) -> str:
        """What llama.cpp complained about last."""
        return self.log.last_errors()

    def metadata(self, key: str) -> str | None:
        """A value of the file's metadata as text ("false", "1"); None if it is not there."""
        buffer = ctypes.create_string_buffer(META_SIZE)
        n: int = c.llama_model_meta_val_str(self.model, key.encode(), buffer, META_SIZE)
        return buffer.value.decode(errors="replace") if n >= 0 else None

    def context_params(self) -> c.llama_context_params:
        """What all contexts of this load have in common."""
        load = self.load
        if load.kv_type not in KV_TYPES:
            raise LoadFailure(f"the KV cache type is one of {', '.join(KV_TYPES)}, not {load.kv_type!r}")
        params: c.llama_context_params = c.llama_context_default_params()
        params.n_threads = bounded(load.n_threads or count_cores())
        # Kept equal unless asked otherwise: another number of threads makes OpenMP rebuild its team each time.
        params.n_threads_batch = bounded(load.n_threads_batch or params.n_threads)
        params.flash_attn_type = -1 if load.flash_attention is None else int(load.flash_attention)
        params.type_k = params.type_v = KV_TYPES[load.kv_type]
        params.kv_unified = True
        params.swa_full = True
        params.no_perf = True
        return params

    def open_context(self, params: c.llama_context_params) -> c.llama_context_p:
        """A context with the adapters applied; LoadFailure if there is no memory for it."""
        context: c.llama_context_p | None = c.llama_init_from_model(self.model, params)
        if not context:
            reason = self.last_errors or "llama.cpp gave no reason"
            raise LoadFailure(f"unable to make a context of {params.n_ctx} tokens, is there enough memory? ({reason})")
        self._apply_adapters(context, self.load.adapters)
        return context

    def close(self) -> None:
        """Give the memory back; every context is to be freed before."""
        if self.draft:
            self.draft.close()
        c.llama_model_free(self.model)

    def _load_model(self, progress: Callable[[float], None]) -> c.llama_model_p:
        load = self.load
        params = c.llama_model_default_params()
        params.n_gpu_layers = load.n_gpu_layers
        params.load_mode = _load_mode(load)
        if load.main_gpu is not None:
            params.split_mode = c.LLAMA_SPLIT_MODE_LAYER if load.is_split else c.LLAMA_SPLIT_MODE_NONE
            params.main_gpu = load.main_gpu

        def report(fraction: float, _user_data: int | None) -> bool:
            progress(fraction)
            return True

        # Kept in a name: ctypes would free the callback while C still calls it.
        callback = c.llama_progress_callback(report)
        params.progress_callback = callback
        model: c.llama_model_p | None = c.llama_model_load_from_file(load.path.encode(errors="surrogateescape"), params)
        if not model:
            raise LoadFailure(f"unable to load model: {self.last_errors or load.path}")
        return model

    def _apply_adapters(self, context: c.llama_context_p, adapters: Sequence[tuple[str, float]]) -> None:
        """For as long as the context lives; the model owns what was loaded."""
        loaded = (c.llama_adapter_lora_p_ctypes * len(adapters))()
        for index, (path, _) in enumerate(adapters):
            adapter = c.llama_adapter_lora_init(self.model, path.encode(errors="surrogateescape"))
            if not adapter:
                raise LoadFailure(f"unable to load adapter: {self.last_errors or path}")
            loaded[index] = adapter
        scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
        if adapters and c.llama_set_adapters_lora(context, loaded, len(adapters), scales):
            raise LoadFailure(f"unable to apply the adapters: {self.last_errors}")


def _load_mode(load: Load) -> int:
    if load.use_mmap:
        # AUTO maps the file unless the devices do better without.
        return int(c.LLAMA_LOAD_MODE_MMAP_MLOCK if load.use_mlock else c.LLAMA_LOAD_MODE_AUTO)
    return int(c.LLAMA_LOAD_MODE_MLOCK if load.use_mlock else c.LLAMA_LOAD_MODE_NONE)
