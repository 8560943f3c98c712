"""A llama.cpp context that makes vectors of tokens.

An encoder sees all of an input at once, so an input has to fit into one batch.  A
causal model reads an input in pieces, and what the pieces give is put together:
the mean of means, the first one's first token, the last one's last.

One input is one row (llama.cpp's sequence id); rows of a batch do not see each
other.  Everything with an input in it is forgotten as soon as it is done: there
is no cache of prefixes here.
"""

from __future__ import annotations

from collections.abc import Sequence

import llama_cpp.llama_cpp as c
import numpy as np
from numpy.typing import NDArray

from power.worker.step import Batch
from power.worker.weights import LoadFailure, Weights

# Inputs that may share a step.
MAX_ROWS = 32
# Tokens. In an encoder every token of a step is compared with every other, also of other inputs (and
# masked): packing more than this costs more than it saves, and a step should stay short.
PACK = 512
POOLINGS = {"none": 0, "mean": 1, "cls": 2, "last": 3, "rank": 4}  # llama_pooling_type


class EmbedFailure(Exception):
    """llama.cpp did not compute the step; it is forgotten."""


class Embedder:
    """Makes vectors, or scores if `is_ranker`.

    Attributes:
        n_limit: tokens an input may have.
        n_batch: tokens a step may have.
        n_rows: inputs a step may have; rows are 0 … n_rows - 1.
        can_split: whether an input may be spread over several steps.
        n_cells: tokens the context has room for.
        n_dims: numbers in a vector.
    """

    def __init__(self, weights: Weights) -> None:
        """Raises LoadFailure if the model does not embed, or for want of memory."""
        self.weights = weights
        self.context = self._open_context(is_causal=not weights.has_encoder)
        if not weights.has_encoder and not c.llama_get_causal_attn(self.context):
            # Only a context tells: some files have a key for it, and some architectures are known for it.
            c.llama_free(self.context)
            self.context = self._open_context(is_causal=False)
        self._memory = c.llama_get_memory(self.context)
        self.can_split = bool(self._memory) and bool(c.llama_get_causal_attn(self.context))
        self.n_batch: int = c.llama_n_batch(self.context)
        # A recurrent model's batch is computed in parts of equal length, and pooled for each part.
        self.n_rows = 1 if weights.keeps_state else MAX_ROWS
        self._pooling: int = c.llama_pooling_type(self.context)
        self._check_pooling()
        self.is_ranker = self._pooling == POOLINGS["rank"]
        self.n_limit: int = weights.n_ctx if self.can_split else min(weights.n_ctx, self.n_batch)
        self.n_cells: int = c.llama_n_ctx(self.context)
        self.n_dims = self._n_out()
        self._batch = Batch(self.n_batch)
        self._parts: list[tuple[int, int, bool]] = []  # row, tokens in it after this step, of this step
        self._n_past = [0] * self.n_rows
        self._so_far = np.zeros((self.n_rows, self.n_dims), np.float32)
        self._warm_up()

    def add(self, row: int, tokens: Sequence[int], *, last: bool) -> None:
        """Put the next tokens of a row into the next step; `last`: they are the end of its input."""
        self._batch.add(row, self._n_past[row], tokens, len(tokens))
        self._n_past[row] += len(tokens)
        self._parts.append((row, len(tokens), last))

    def compute(self) -> dict[int, NDArray[np.float32]]:
        """Compute the step. Returns the vectors of the inputs that ended in it, by row; those rows are free again.

        Raises:
            EmbedFailure: all rows of the step are free again.
        """
        parts, self._parts = self._parts, []
        batch = self._batch.take()
        compute = c.llama_encode if self.weights.has_encoder or not self._memory else c.llama_decode
        status = compute(self.context, batch)
        if status:
            for row, _, _ in parts:
                self.forget(row)
            raise EmbedFailure(f"llama.cpp could not embed a batch of {batch.n_tokens} tokens (status {status})")
        done = {}
        for row, n_tokens, last in parts:
            self._take(row, n_tokens)
            if last:
                done[row] = self._so_far[row].copy()
                self.forget(row)
        return done

    def forget(self, row: int) -> None:
        """Empty a row."""
        self._n_past[row] = 0
        self._so_far[row] = 0
        if self._memory:
            c.llama_memory_seq_rm(self._memory, row, -1, -1)

    def _warm_up(self) -> None:
        """Touch every weight once, so that the first request does not wait for the disk."""
        vocab = self.weights.vocab
        self.add(0, [next((token for token in (vocab.bos, vocab.eos) if token >= 0), 0)], last=True)
        try:
            self.compute()
        except EmbedFailure as error:
            raise LoadFailure(f"the model does not compute: {self.weights.last_errors or error}") from None

    def _take(self, row: int, n_tokens: int) -> None:
        """What this step's part of the row gives to its vector."""
        found = np.ctypeslib.as_array(c.llama_get_embeddings_seq(self.context, row), (self.n_dims,))
        n_past = self._n_past[row]
        if self._pooling == POOLINGS["mean"]:
            self._so_far[row] += (found - self._so_far[row]) * (n_tokens / n_past)
        elif self._pooling != POOLINGS["cls"] or n_past == n_tokens:
            self._so_far[row] = found

    def _open_context(self, *, is_causal: bool) -> c.llama_context_p:
        weights, load = self.weights, self.weights.load
        params = weights.context_params()
        params.embeddings = True
        params.n_seq_max = 1 if weights.keeps_state else MAX_ROWS
        params.pooling_type = self._wanted_pooling()
        # A batch is one micro-batch, since pooling is done for each of those. A causal model's input may go on
        # from step to step, beside whatever else a step has room for.
        n_batch = min(weights.n_ctx, PACK) if is_causal else min(weights.n_ctx, load.n_batch)
        params.n_batch = params.n_ubatch = n_batch
        params.n_ctx = weights.n_ctx + n_batch if is_causal else n_batch
        return weights.open_context(params)

    def _wanted_pooling(self) -> int:
        if self.weights.load.pooling:
            return POOLINGS[self.weights.load.pooling]
        # Where the file does not say, it was not trained to embed; the mean is what such models are best at
        # (Muennighoff, SGPT, 2022, weighs it; Jiang et al., 2023, need a prompt for the last token to be any good).
        said = self.weights.metadata(f"{self.weights.architecture}.pooling_type")
        return POOLINGS["mean"] if said is None else -1

    def _check_pooling(self) -> None:
        if self._pooling not in POOLINGS.values() or self._pooling == POOLINGS["none"]:
            raise LoadFailure(
                "the model gives a vector for each token, not for a text; the option pooling (mean, cls or last) "
                "says how to make one of them"
            )

    def _n_out(self) -> int:
        model = self.weights.model
        return int(c.llama_model_n_cls_out(model) if self.is_ranker else c.llama_model_n_embd_out(model))
