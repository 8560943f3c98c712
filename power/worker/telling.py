"""What is told of an answer's tokens: the text that is certain by now, and how likely they were."""

from __future__ import annotations

from power.events import Logprob
from power.stream.align import InStep
from power.stream.stop import StopMatcher
from power.stream.utf8 import Utf8Decoder
from power.worker.logprobs import Distribution
from power.worker.vocab import Vocab
from power.worker.wire import Piece, Start


class Telling:
    """Of one sequence. Text lags behind tokens: half a character, half a stop string."""

    def __init__(self, start: Start, vocab: Vocab) -> None:
        self._vocab = vocab
        self._marks = vocab.marks(start.visible)
        self._utf8 = Utf8Decoder()
        self._stop = StopMatcher(start.stop)
        self._logprobs = InStep()

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string has come."""
        return self._stop.matched is not None

    def add(self, token: int, distribution: Distribution | None) -> tuple[str, str]:
        """One more token. Returns what it wrote, and the text that is certain now."""
        piece = self._marks.get(token) or self._vocab.piece(token)
        written = self._utf8.feed(piece)
        if distribution is not None:
            self._logprobs.add(distribution.describe(token, piece, written, self._vocab))
        return written, self._stop.feed(written)

    def logprobs(self, text: str, *, ended: bool) -> tuple[Logprob, ...]:
        """Those of the tokens that are complete with this text."""
        return self._logprobs.release(len(text), ended=ended)

    def flush(self) -> str:
        """The text held back, which nothing can complete any more."""
        rest = self._utf8.flush()
        self._logprobs.complete(rest)
        return self._stop.feed(rest) + self._stop.flush()


def join(pieces: list[Piece]) -> Piece | None:
    """Pieces of one sequence as one; None if there is none."""
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    return Piece(
        pieces[0].id,
        "".join(piece.text for piece in pieces),
        tuple(token for piece in pieces for token in piece.tokens),
        tuple(logprob for piece in pieces for logprob in piece.logprobs),
    )
