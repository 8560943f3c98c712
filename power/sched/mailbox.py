"""The bounded way from a model to one request.

The model's side never waits: `put` is synchronous, so one reader that falls
behind cannot stall the streams of others.  What is unread is merged into one
piece when the reader comes back, so a slow client gets fewer and larger chunks
and loses nothing.  A client that stops reading altogether ends up with at most
`MAX_UNREAD` characters here, and then loses its place.
"""

from __future__ import annotations

import trio

from power.errors import PowerError
from power.worker.wire import Accepted, Done, Embedded, Piece

# Characters. Some 250,000 tokens of English: beyond what a reader that is only
# slow can leave behind, and little enough to hold for every client at once.
MAX_UNREAD = 1024 * 1024

Mail = Accepted | Piece | Embedded | Done


class Mailbox:
    """Events of one sequence, in order; texts that nobody has read yet are merged."""

    def __init__(self) -> None:
        self._accepted: Accepted | None = None
        self._pieces: list[Piece] = []
        self._vectors: list[Embedded] = []
        self._done: Done | None = None
        self._error: PowerError | None = None
        self._arrival = trio.Event()
        self.n_unread = 0  # characters

    def put(self, mail: Mail) -> None:
        """Add an event and wake the reader."""
        match mail:
            case Piece():
                self._pieces.append(mail)
                self.n_unread += len(mail.text) + len(mail.tokens)
            case Accepted():
                self._accepted = mail
                self._vectors.clear()  # of a worker that died: another begins again
            case Embedded():
                self._vectors.append(mail)
            case Done():
                self._done = mail
        self._arrival.set()

    def fail(self, error: PowerError) -> None:
        """End the sequence: the reader gets what had arrived before, then `error`."""
        self._error = error
        self._arrival.set()

    async def get(self) -> Mail:
        """The next event.

        Raises:
            PowerError: the sequence failed; whatever `fail` was given.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while (mail := self._take()) is None:
            if self._error is not None:
                raise self._error
            self._arrival = trio.Event()
            await self._arrival.wait()
        return mail

    def _take(self) -> Mail | None:
        if self._accepted is not None:
            accepted, self._accepted = self._accepted, None
            return accepted
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self.n_unread = 0
            return pieces[0] if len(pieces) == 1 else _merge(pieces)
        if self._vectors:
            return self._vectors.pop(0)
        done, self._done = self._done, None
        return done


def _merge(pieces: list[Piece]) -> Piece:
    return Piece(
        pieces[0].id,
        "".join(piece.text for piece in pieces),
        tuple(token for piece in pieces for token in piece.tokens),
        tuple(logprob for piece in pieces for logprob in piece.logprobs),
    )
