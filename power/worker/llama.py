"""llama.cpp, as much of it as generating needs, with its edges taken off.

Of `llama_cpp`, this package imports the C API alone, and nothing else of Power imports it.
`Llama` is a context over a model's weights; everything it gives out is a
Python value or a numpy view, everything it raises is a `LoadFailure` or a
`DecodeFailure`.  One thread uses it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp.llama_cpp as c
import numpy as np
from numpy.typing import NDArray

from power.gguf.memory.attention import choose_attention
from power.gguf.memory.settings import padded
from power.worker.step import Batch
from power.worker.weights import LoadFailure, Weights

__all__ = ["DecodeFailure", "Llama", "LoadFailure"]

NO_ROOM = 1  # llama_decode: there are not enough free cells for this batch


class DecodeFailure(Exception):
    """llama_decode did not do it. With `no_room` the memory is as it was before."""

    def __init__(self, status: int) -> None:
        super().__init__(f"llama_decode failed with status {status}")
        self.no_room = status == NO_ROOM


class Llama:
    """A loaded model with a context to generate with.

    Attributes:
        n_ctx: tokens one sequence may use if it does not say.
        n_ctx_max: tokens one sequence may use at most.
        n_cells: tokens all rows of the KV cache may hold together.
        n_rows: rows of the KV cache, for one sequence each.
        n_draft: drafted tokens that a step may check.
        can_cut: whether a row can be cut and shared at any token (attention), or not (recurrent, hybrid).
        can_shift: whether tokens in a row can move to earlier positions.
        is_flash: whether attention compares a token with its own row's cells only, and not with all in use.
    """

    def __init__(self, weights: Weights, *, alone: bool = False) -> None:
        """A context for all slots, or `alone` for one sequence at a time.

        Raises:
            LoadFailure: a kind of model that does not generate, or no memory.
        """
        load = weights.load
        self.weights = weights
        self.vocab = weights.vocab
        if weights.has_encoder or c.llama_model_is_diffusion(weights.model):
            raise LoadFailure(f"the model {load.path} does not support generate")
        self.can_cut = not weights.keeps_state
        self.n_ctx = weights.n_ctx
        self.n_rows = 1 if alone else load.n_slots
        self._spare = self.n_rows  # one row more than there are slots, for parts of others
        # A token of every row has to fit, the spare one's too: llama.cpp makes sure of it with an assertion.
        self.n_batch = max(load.n_batch, load.n_slots + 1)
        self.n_draft = 0 if alone or not self.can_cut else min(load.n_drafts, self.n_batch - self.n_rows)
        self.context = self._open_context(weights.n_ctx if alone else load.n_pool or weights.n_ctx * load.n_slots)
        self.n_cells: int = c.llama_n_ctx(self.context)
        self.n_ctx = min(self.n_ctx, self.n_cells)
        self.n_ctx_max = min(self.n_cells, weights.n_ctx_train) if weights.n_ctx_train > 0 else self.n_cells
        self._memory = c.llama_get_memory(self.context)
        self.can_shift = self.can_cut and bool(c.llama_memory_can_shift(self._memory))
        self._n_swa: int = c.llama_model_n_swa(weights.model)
        self._batch = Batch(self.n_batch)
        self._n_logits = self.n_rows + 1 + self.n_draft
        self._logits_at = 0
        self._logits = np.empty((0, 0), np.float32)
        self._warm_up()

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

    def copy(self, row: int, source: int, start: int, end: int) -> None:
        """Let `row` share tokens `start` … `end` of `source`, instead of its own there."""
        c.llama_memory_seq_rm(self._memory, row, start, end)
        c.llama_memory_seq_cp(self._memory, source, row, start, end)

    def store(self, row: int, start: int, end: int) -> NDArray[np.uint8]:
        """A copy of the state of tokens `start` … `end` of a row, for `load`."""
        if not self.can_cut:
            return self._read_state(row)
        self.copy(self._spare, row, start, end)
        state = self._read_state(self._spare)
        self.cut(self._spare, 0)
        return state

    def load(self, row: int, state: NDArray[np.uint8], start: int, end: int) -> bool:
        """Give a row tokens `start` … `end` of a stored state. False: there was no room, or it is none."""
        if not self.can_cut:
            return self._write_state(row, state)
        if not self._write_state(self._spare, state):
            return False
        self.copy(row, self._spare, start, end)
        return self.cut(self._spare, 0)

    def shift(self, row: int, n_keep: int, n_discard: int) -> None:
        """Forget `n_discard` tokens of a row after its first `n_keep`, and move those behind them up.

        Only if `can_shift`, and no other row shares any of them.
        """
        c.llama_memory_seq_rm(self._memory, row, n_keep, n_keep + n_discard)
        c.llama_memory_seq_add(self._memory, row, n_keep + n_discard, -1, -n_discard)

    def _read_state(self, row: int) -> NDArray[np.uint8]:
        size: int = c.llama_state_seq_get_size(self.context, row)
        state = np.empty(size, np.uint8)
        written: int = c.llama_state_seq_get_data(self.context, _bytes_of(state), size, row)
        return state[:written]

    def _write_state(self, row: int, state: NDArray[np.uint8]) -> bool:
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
        self.weights.close()

    def _open_context(self, n_cells: int) -> c.llama_context_p:
        params = self.weights.context_params()
        params.n_ctx = n_cells
        params.n_batch = self.n_batch
        self.is_flash, params.n_ubatch = choose_attention(
            self.weights.load.flash_attention,
            self.weights.heads,
            kv_type=self.weights.load.kv_type,
            on_gpu=self.weights.on_gpu and self.weights.load.n_gpu_layers != 0,
            n_rows=self.n_rows,
            n_cells=padded(n_cells),
            n_batch=self.n_batch,
        )
        if not self.is_flash:
            params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.n_seq_max = self.n_rows + 1  # and a spare one, for parts of a row
        # At most one row of logits per sequence and step, and one for each drafted token; llama.cpp would keep
        # room for one per token (n_batch of them), and never keeps less than one per row.
        params.n_outputs_max = min(self.n_rows + 1 + self.n_draft, self.n_batch)
        context = self.weights.open_context(params)
        if not c.llama_get_causal_attn(context):
            raise LoadFailure(f"the model {self.weights.load.path} does not support generate")
        return context

    def _warm_up(self) -> None:
        """Touch every weight once, so that the first request does not wait for the disk."""
        token = next((t for t in (self.vocab.bos, self.vocab.eos) if t >= 0), 0)
        self.add(0, 0, [token], n_logits=1)
        try:
            self.decode()
        except DecodeFailure as error:
            raise LoadFailure(f"the model does not compute: {self.weights.last_errors or error}") from None
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
