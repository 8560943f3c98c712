"""One request for vectors or scores on its way: which inputs are read, which are done, and what is told of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from power.worker.inputs import BadInput
from power.worker.wire import Done, Embed, Embedded, Refused


class Input:
    """One input on its way through the steps."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens
        self.n_past = 0
        self.row = -1  # once it has one
        self.vector: NDArray[np.float32] | None = None

    @property
    def n_left(self) -> int:
        return len(self.tokens) - self.n_past

    @property
    def is_split(self) -> bool:
        """Is a part of it in its row, and the rest to come?"""
        return self.row >= 0 and self.vector is None


class Job:
    """What belongs to one `Embed`, until its `Done`."""

    def __init__(self, command: Embed, read: Callable[[Embed, int], list[int]]) -> None:
        self.id = command.id
        self.inputs: deque[Input] = deque()  # read, and not done
        self._command = command
        self._read = read
        self._n_read = 0
        self._n_tokens = 0
        self._began = perf_counter_ns()

    def look_ahead(self, n_tokens: int, n_inputs: int) -> list[int]:
        """How many tokens its next inputs have left: so many inputs, or enough for so many tokens.

        Raises:
            BadInput: one of them cannot be embedded.
        """
        sizes = [item.n_left for item in self.inputs]
        while sum(sizes) < n_tokens and len(sizes) < n_inputs and self._n_read < len(self._command.inputs):
            item = Input(self._read(self._command, self._n_read))
            self._n_read += 1
            self.inputs.append(item)
            sizes.append(item.n_left)
        return sizes

    @property
    def has_ended(self) -> bool:
        return not self.inputs and self._n_read == len(self._command.inputs)

    @property
    def is_split(self) -> bool:
        return any(item.is_split for item in self.inputs)

    def harvest(self) -> list[Input]:
        """Take out the inputs that are done."""
        done = []
        while self.inputs and self.inputs[0].vector is not None:
            done.append(self.inputs.popleft())
        return done

    def encode(self, done: list[Input]) -> Embedded:
        """The vectors as they were asked for.

        Raises:
            BadInput: one has a number that is none.
        """
        vectors = np.stack([item.vector for item in done if item.vector is not None])
        if not np.isfinite(vectors).all():
            raise BadInput(Refused(self.id, "bad-request", "embedding contains NaN or Inf values", field="input"))
        command = self._command
        if command.query is None:
            if 0 < command.n_dims < vectors.shape[1]:
                vectors = vectors[:, : command.n_dims]
            if command.normalize:
                vectors = normalized(vectors)
        counts = tuple(len(item.tokens) for item in done)
        self._n_tokens += sum(counts)
        return Embedded(self.id, counts, vectors.shape[1], vectors.astype("<f4").tobytes())

    def done(self) -> Done:
        ended = self.has_ended
        return Done(
            id=self.id,
            reason="stop" if ended else "cancel",
            n_prompt=self._n_tokens,
            n_cached=0,
            n_generated=0,
            prefill_ns=perf_counter_ns() - self._began,
            decode_ns=0,
        )


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its length; a row of zeros stays one."""
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    scaled: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
