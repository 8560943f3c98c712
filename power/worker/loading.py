"""Load a model and say how far it is."""

from __future__ import annotations

from time import perf_counter_ns

from msgspec.structs import replace

from power.worker.draft_model import vocabulary_difference
from power.worker.line import Line
from power.worker.weights import LoadFailure, Weights
from power.worker.wire import Load, Loading, Ready

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


def load_weights(load: Load, line: Line) -> Weights:
    """The model in memory, and its draft model, without a context; LoadFailure if it cannot be loaded."""
    progress = Progress(line)
    weights = Weights(load, progress)
    if load.draft and not load.embeds and not weights.keeps_state:  # whose drafts could not be taken back
        weights.draft = _load_draft(weights, progress)
    return weights


def _load_draft(weights: Weights, progress: Progress) -> Weights:
    load = weights.load
    alone = replace(load, path=load.draft, draft="", n_draft=0, adapters=())
    # It is small beside the other: what it adds to the progress is that there is some.
    draft = Weights(alone, lambda _: progress(1.0), weights.log)
    if difference := vocabulary_difference(weights.vocab, draft.vocab):
        raise LoadFailure(f"the draft model {load.draft} has another vocabulary than {load.path}: {difference}")
    return draft


def ready(weights: Weights, *, n_ctx: int, n_cells: int, began_ns: int) -> Ready:
    """What the server is told about a model that is in memory."""
    vocab = weights.vocab
    return Ready(
        n_ctx=n_ctx,
        n_ctx_pool=n_cells,
        n_ctx_train=weights.n_ctx_train,
        n_vocab=vocab.n_tokens,
        n_params=weights.n_params,
        model_bytes=weights.model_bytes,
        kv_bytes=weights.kv_bytes,
        device_bytes=weights.device_bytes,
        on_gpu=weights.on_gpu,
        bos=vocab.text(vocab.bos),
        eos=vocab.text(vocab.eos),
        load_ns=perf_counter_ns() - began_ns,
    )
