"""Load a model and say how far it is."""

from __future__ import annotations

from time import perf_counter_ns

from power.worker.line import Line
from power.worker.llama import Llama, LoadFailure
from power.worker.wire import Load, Loading, Ready

__all__ = ["LoadFailure", "load_model"]

REPORT_EVERY_NS = 100_000_000  # llama.cpp reports every tensor; a person wants ten a second


class Progress:
    """Sends `Loading`, not too often, and never going back."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._last_at = 0

    def __call__(self, fraction: float) -> None:
        now = perf_counter_ns()
        if now - self._last_at >= REPORT_EVERY_NS:
            self._last_at = now
            self._line.send(Loading(fraction))


def load_model(load: Load, line: Line, began_ns: int) -> tuple[Llama, Ready]:
    """The model, and what the server is told about it.

    Raises:
        LoadFailure: it cannot be loaded.
    """
    llama = Llama(load, Progress(line))
    vocab = llama.vocab
    ready = Ready(
        n_ctx=llama.n_ctx,
        n_ctx_pool=llama.n_cells,
        n_ctx_train=llama.n_ctx_train,
        n_vocab=vocab.n_tokens,
        n_params=llama.n_params,
        model_bytes=llama.model_bytes,
        kv_bytes=llama.kv_bytes,
        on_gpu=llama.on_gpu,
        bos=vocab.text(vocab.bos),
        eos=vocab.text(vocab.eos),
        load_ns=perf_counter_ns() - began_ns,
    )
    return llama, ready
