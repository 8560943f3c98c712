"""llama.cpp, as much of it as generating needs, with its edges taken off.

Of `llama_cpp`, this package imports the C API alone, and nothing else of Power imports it.
`Llama` is a model, its vocabulary and a context; everything it gives out is a
Python value or a numpy view, everything it raises is a `LoadFailure` or a
`DecodeFailure`.  One thread uses it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import llama_cpp.llama_cpp as c
import numpy as np
from numpy.typing import NDArray

from power.worker.cores import count_cores
from power.worker.log import Log
from power.worker.step import Batch
from power.worker.vocab import Vocab
from power.worker.wire import Load

N_UBATCH = 512  # tokens; llama.cpp's own default
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
NO_ROOM = 1  # llama_decode: there are not enough free cells for this batch


class LoadFailure(Exception):
    """The model cannot be loaded or cannot generate; the message says why."""


class DecodeFailure(Exception):
    """llama_decode did not do it. With `no_room` the memory is as it was before."""

    def __init__(self, status: int) -> None:
        super().__init__(f"llama_decode failed with status {status}")
        self.no_room = status == NO_ROOM


class Llama:
    """A loaded model with one context.

    Attributes:
        n_ctx: tokens one sequence may use.
        n_cells: tokens all rows of the KV cache may hold together.
        n_rows: rows of the KV cache.
        can_cut: whether a row can be cut and shared at any token (attention), or not (recurrent, hybrid).
    """

    def __init__(self, load: Load, progress: Callable[[float], None]) -> None:
        """Load; `progress` is called with 0.0 … 1.0.

        Raises:
            LoadFailure: a broken or missing file, a kind of model that does not generate, no memory.
        """
        self._log = Log()
        c.llama_backend_init()
        self._model = self._load_model(load, progress)
        self.vocab = Vocab(c.llama_model_get_vocab(self._model))
        self._check_generates(load)
        self.can_cut = not (c.llama_model_is_recurrent(self._model) or c.llama_model_is_hybrid(self._model))
        self.n_ctx_train: int = c.llama_model_n_ctx_train(self._model)
        self.n_ctx = min(load.n_ctx, self.n_ctx_train) if self.n_ctx_train > 0 else load.n_ctx
        self.n_rows = load.n_slots
        self.n_batch = max(load.n_batch, load.n_slots)
        self.context = self._open_context(load)
        self._apply_adapters(load.adapters)
        self.n_cells: int = c.llama_n_ctx(self.context)
        self._memory = c.llama_get_memory(self.context)
        self._n_swa: int = c.llama_model_n_swa(self._model)
        self._batch = Batch(self.n_batch)
        self._n_logits = load.n_slots
        self._logits_at = 0
        self._logits = np.empty((0, 0), np.float32)
        self._warm_up()

    @property
    def n_params(self) -> int:
        return int(c.llama_model_n_params(self._model))

    @property
    def model_bytes(self) -> int:
        return int(c.llama_model_size(self._model))

    @property
    def kv_bytes(self) -> int:
        return self._log.kv_bytes

    @property
    def on_gpu(self) -> bool:
        """Whether llama.cpp was built for a GPU and found one."""
        return bool(c.llama_supports_gpu_offload())

    def add(self, row: int, position: int, tokens: Sequence[int], *, n_logits: int) -> int:
        """Put tokens of one row into the next step; the logits after the last `n_logits` of them are wanted.

        Returns:
            The last token's place in the step, for `llama_sampler_sample` and the like.
        """
        return self._batch.add(row, position, tokens, n_logits)

    def decode(self) -> NDArray[np.float32]:
        """Compute the step that was put together with `add`, and begin a new one.

        Returns:
            The wanted logits in the order they were added, shape (n, n_vocab):
            llama.cpp's own memory, writable, valid until the next step.

        Raises:
            DecodeFailure: what was added is forgotten.
        """
        n_wanted = self._batch.n_logits
        status = c.llama_decode(self.context, self._batch.take())
        if status:
            raise DecodeFailure(status)
        return self._view_logits()[:n_wanted] if n_wanted else self._logits[:0]

    def cut(self, row: int, n_tokens: int) -> bool:
        """Keep the first `n_tokens` of a row. False: this kind of memory cannot, and holds what it held."""
        return bool(c.llama_memory_seq_rm(self._memory, row, n_tokens, -1))

    def copy(self, row: int, source: int, n_tokens: int) -> None:
        """Let `row` share the first `n_tokens` of `source`."""
        c.llama_memory_seq_cp(self._memory, source, row, 0, n_tokens)

    def park(self, row: int) -> NDArray[np.uint8]:
        """A copy of a row's state, for `restore`."""
        size: int = c.llama_state_seq_get_size(self.context, row)
        state = np.empty(size, np.uint8)
        written: int = c.llama_state_seq_get_data(self.context, _bytes_of(state), size, row)
        return state[:written]

    def restore(self, row: int, state: NDArray[np.uint8]) -> bool:
        """Give an empty row a saved state. False: there was no room, and the row is still empty."""
        return bool(c.llama_state_seq_set_data(self.context, _bytes_of(state), len(state), row))

    def holds(self, row: int, n_tokens: int) -> bool:
        """Whether a row really has all that is needed to go on after `n_tokens`.

        A sliding window's cells may have been given to others once it had moved on.
        """
        first: int = c.llama_memory_seq_pos_min(self._memory, row)
        last: int = c.llama_memory_seq_pos_max(self._memory, row)
        if not self.can_cut:
            return last == n_tokens - 1
        return last == n_tokens - 1 and first <= max(0, n_tokens - self._n_swa if self._n_swa else 0)

    def close(self) -> None:
        """Give the memory back. Nothing else may be called afterwards."""
        c.llama_free(self.context)
        c.llama_model_free(self._model)

    def _load_model(self, load: Load, progress: Callable[[float], None]) -> c.llama_model_p:
        params = c.llama_model_default_params()
        params.n_gpu_layers = load.n_gpu_layers
        params.load_mode = _load_mode(load)
        if load.main_gpu is not None:
            params.main_gpu = load.main_gpu

        def report(fraction: float, _user_data: int | None) -> bool:
            progress(fraction)
            return True

        # Kept in a name: ctypes would free the callback while C still calls it.
        callback = c.llama_progress_callback(report)
        params.progress_callback = callback
        model: c.llama_model_p | None = c.llama_model_load_from_file(load.path.encode(errors="surrogateescape"), params)
        if not model:
            raise LoadFailure(f"unable to load model: {self._log.last_errors() or load.path}")
        return model

    def _check_generates(self, load: Load) -> None:
        encodes = c.llama_model_has_encoder(self._model) or not c.llama_model_has_decoder(self._model)
        if encodes or c.llama_model_is_diffusion(self._model):
            raise LoadFailure(f"the model {load.path} does not support generate")
        if not self.vocab.n_tokens or c.llama_vocab_type(self.vocab.pointer) == c.LLAMA_VOCAB_TYPE_NONE:
            raise LoadFailure(f"the model {load.path} has no vocabulary")

    def _open_context(self, load: Load) -> c.llama_context_p:
        if load.kv_type not in KV_TYPES:
            raise LoadFailure(f"the KV cache type is one of {', '.join(KV_TYPES)}, not {load.kv_type!r}")
        params = c.llama_context_default_params()
        params.n_ctx = self.n_ctx * load.n_slots
        params.n_batch = self.n_batch
        params.n_ubatch = min(N_UBATCH, self.n_batch)
        params.n_seq_max = self.n_rows
        # At most one row of logits per sequence and step; llama.cpp would keep room for one per token
        # (n_batch of them), and never keeps less than one per row.
        params.n_outputs_max = self.n_rows
        params.n_threads = load.n_threads or count_cores()
        # Kept equal unless asked otherwise: another number of threads makes OpenMP rebuild its team each time.
        params.n_threads_batch = load.n_threads_batch or params.n_threads
        params.flash_attn_type = -1 if load.flash_attention is None else int(load.flash_attention)
        params.type_k = params.type_v = KV_TYPES[load.kv_type]
        params.kv_unified = True
        params.swa_full = True
        params.no_perf = True
        context: c.llama_context_p | None = c.llama_init_from_model(self._model, params)
        if not context:
            reason = self._log.last_errors() or "llama.cpp gave no reason"
            raise LoadFailure(f"unable to make a context of {params.n_ctx} tokens, is there enough memory? ({reason})")
        if not c.llama_get_causal_attn(context):
            raise LoadFailure(f"the model {load.path} does not support generate")
        return context

    def _apply_adapters(self, adapters: Sequence[tuple[str, float]]) -> None:
        """For as long as the context lives; the model owns what was loaded."""
        loaded = (c.llama_adapter_lora_p_ctypes * len(adapters))()
        for index, (path, _) in enumerate(adapters):
            adapter = c.llama_adapter_lora_init(self._model, path.encode(errors="surrogateescape"))
            if not adapter:
                raise LoadFailure(f"unable to load adapter: {self._log.last_errors() or path}")
            loaded[index] = adapter
        scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
        if adapters and c.llama_set_adapters_lora(self.context, loaded, len(adapters), scales):
            raise LoadFailure(f"unable to apply the adapters: {self._log.last_errors()}")

    def _warm_up(self) -> None:
        """Touch every weight once, so that the first request does not wait for the disk."""
        token = next((t for t in (self.vocab.bos, self.vocab.eos) if t >= 0), 0)
        self.add(0, 0, [token], n_logits=1)
        try:
            self.decode()
        except DecodeFailure as error:
            raise LoadFailure(f"the model does not compute: {self._log.last_errors() or error}") from None
        c.llama_memory_clear(self._memory, True)

    def _view_logits(self) -> NDArray[np.float32]:
        pointer = c.llama_get_logits(self.context)
        address = ctypes.addressof(pointer.contents)
        if address != self._logits_at:  # llama.cpp moves them only when it needs more room
            shape = (self._n_logits, self.vocab.n_tokens)
            self._logits = np.ctypeslib.as_array(pointer, shape)
            self._logits_at = address
        return self._logits


def _bytes_of(array: NDArray[np.uint8]) -> ctypes.Array[ctypes.c_uint8]:
    pointer: ctypes.Array[ctypes.c_uint8] = array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))  # type: ignore[assignment]
    return pointer


def _load_mode(load: Load) -> int:
    if load.use_mmap:
        # AUTO maps the file unless the devices do better without.
        return int(c.LLAMA_LOAD_MODE_MMAP_MLOCK if load.use_mlock else c.LLAMA_LOAD_MODE_AUTO)
    return int(c.LLAMA_LOAD_MODE_MLOCK if load.use_mlock else c.LLAMA_LOAD_MODE_NONE)
