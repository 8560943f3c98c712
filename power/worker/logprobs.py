"""How probable a chosen token was, and which others could have been."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from power.events import Logprob, TopLogprob
from power.worker.candidates import likeliest
from power.worker.vocab import Vocab


class Distribution:
    """Natural log-probabilities over the vocabulary, from the logits as the model gave them."""

    def __init__(self, logits: NDArray[np.float32], n_top: int) -> None:
        """Take from `logits` what is needed: a sampler may change them afterwards."""
        self._logits = logits.copy()
        top = float(logits.max())
        # Summed in double: 152k small terms lose a digit in single precision.
        self._log_total = top + math.log(np.exp(logits - top).sum(dtype=np.float64))
        self._top = _top(logits, n_top)

    def describe(self, token: int, piece: bytes, text: str, vocab: Vocab) -> Logprob:
        """The token chosen, its bytes and the text it completed, with the likeliest ones, likeliest first."""
        others = tuple(self._other(int(other), vocab) for other in self._top)
        return Logprob(text, self._logprob(token), tuple(piece), top=others)

    def _other(self, token: int, vocab: Vocab) -> TopLogprob:
        piece = vocab.piece(token)
        return TopLogprob(piece.decode(errors="replace"), self._logprob(token), tuple(piece))

    def _logprob(self, token: int) -> float:
        # JSON has no infinity; a token ruled out by the model itself is as good as e^-9999.
        return max(-9999.0, float(self._logits[token]) - self._log_total)


def _top(logits: NDArray[np.float32], n: int) -> NDArray[np.int32]:
    if n <= 0:
        return np.empty(0, np.int32)
    near = likeliest(logits, n)
    ids = np.arange(len(logits), dtype=np.int32) if near is None else near
    return ids[np.argsort(-logits[ids], kind="stable")[:n]]
