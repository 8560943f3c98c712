"""The loop of a worker whose model is there for vectors or scores alone: no KV cache, no sequences that decode."""

from __future__ import annotations

from power.worker.embedding import Embeddings
from power.worker.loop import Line, answer
from power.worker.weights import Weights
from power.worker.wire import Cancel, Command, Embed


class EmbeddingLoop:
    """Serves one model until its line ends."""

    def __init__(self, weights: Weights, line: Line) -> None:
        """Raises LoadFailure if the model does not embed."""
        self._vocab = weights.vocab
        self._line = line
        self._embeddings = Embeddings(weights)
        embedder = self._embeddings.open()
        self.n_ctx = embedder.n_limit
        self.n_cells = embedder.n_cells

    def run(self) -> None:
        """Serve; returns only by EOFError, when the server has gone."""
        while True:
            for command in self._line.receive(wait=not self._embeddings):
                self._handle(command)
            if self._embeddings:
                self._line.send(*self._embeddings.step(0))

    def _handle(self, command: Command) -> None:
        if isinstance(command, Embed):
            self._line.send(*self._embeddings.start(command))
        elif isinstance(command, Cancel):
            self._line.send(*self._embeddings.cancel(command.id))
        else:
            self._line.send(answer(command, self._vocab))
