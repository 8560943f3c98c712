"""The sequences of one context: plan a step, decode it, sample, report.

Who has a row of the KV cache, and who waits for one, is the matter of `power.worker.seats`.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from power.worker.batch import Chunk, weigh
from power.worker.disk import Disk
from power.worker.draft_model import DraftModel
from power.worker.drafting import Drafting
from power.worker.llama import DecodeFailure, Llama
from power.worker.memory import Memory
from power.worker.pace import Pace
from power.worker.prefix import Rows
from power.worker.sampler import NothingToSample
from power.worker.seats import Seats
from power.worker.sequence import Sequence
from power.worker.slots import Slots
from power.worker.wire import Event, Piece, Refused, Step


class Lane:
    """Sequences that share a context and its steps.

    Attributes:
        llama: the context.
        seats: who has a row.
        slots: what was computed in which slot.
    """

    def __init__(
        self,
        llama: Llama,
        rows: Rows,
        pace: Pace,
        *,
        shares: bool = True,
        disk: Disk | None = None,
        draft_model: DraftModel | None = None,
    ) -> None:
        """`shares`: whether sequences take over from each other what they have in common.

        `disk`: where that is kept for later workers. `draft_model`: guesses what comes next.
        """
        memory = Memory(llama, rows, disk)
        self.llama = llama
        self.seats = Seats(llama, rows, memory, shares=shares)
        self._pace = pace
        self._drafting = Drafting(llama, draft_model, pace.times)
        self.slots = Slots(llama.weights.load, rows, memory, is_flash=llama.is_flash)

    def __len__(self) -> int:
        return len(self.running) + len(self.seats.waiting)

    @property
    def running(self) -> list[Sequence]:
        return self.seats.running

    @property
    def _n_cells(self) -> int | None:
        """In use, if attention compares every token with all of them."""
        return None if self.llama.is_flash else self.seats.n_cells

    @property
    def n_decoding(self) -> int:
        """Sequences that somebody reads."""
        return sum(sequence.decodes for sequence in self.running)

    def add(self, sequence: Sequence) -> list[Event]:
        """One more, with a row at once if there is room."""
        self.seats.waiting.append(sequence)
        self.slots.remember(sequence.slot, sequence.tokens)
        return self.seats.give()

    def cancel(self, id: int) -> list[Event]:
        """End a sequence early; nothing, if it is not here."""
        for sequence in [s for s in (*self.running, *self.seats.waiting) if s.id == id]:
            self.seats.remove(sequence)
            return [sequence.done()]
        return []

    def step(self) -> list[Event]:
        """Decode some tokens of every sequence that can go on."""
        events = self.seats.give()
        chunks = self._plan()
        while chunks:
            try:
                return events + self._decode(chunks)
            except DecodeFailure as error:
                chunks, failed = self._make_do(chunks, error)
                events += failed
        return events

    # -- steps --

    def _plan(self) -> list[Chunk]:
        """The next step, with room for it in memory."""
        for sequence in [s for s in self.running if s.overflows]:
            self.seats.shift(sequence)
        work = [self.seats.look_at(sequence) for sequence in self.running]
        chunks = self._draft(self._pace.plan(work, self._n_cells))
        n_tokens = sum(self._n_rows(chunk) for chunk in chunks)
        if not self.seats.make_room(n_tokens) and len(self.running) > 1:
            self.seats.pause(self.running[-1])
            return self._plan()
        return chunks

    def _draft(self, chunks: list[Chunk]) -> list[Chunk]:
        """Guess what may come next, where checking it in the same step is worth it: never beside a prompt."""
        self._drafting.clear()
        if any(chunk.n_tokens > 1 or not self.running[chunk.which].decodes for chunk in chunks):
            return chunks
        self._drafting.make([self.running[chunk.which] for chunk in chunks])
        return [chunk._replace(n_logits=chunk.n_logits + self._n_rows(chunk) - 1) for chunk in chunks]

    def _n_rows(self, chunk: Chunk) -> int:
        """Cells that the chunk takes, its drafts' too."""
        return chunk.n_tokens + len(self._drafting.of(self.running[chunk.which]))

    def _decode(self, chunks: list[Chunk]) -> list[Event]:
        began = perf_counter()
        load = weigh([(self.running[chunk.which].n_past, self._n_rows(chunk)) for chunk in chunks], self._n_cells)
        for which, n, n_logits in chunks:
            sequence = self.running[which]
            tokens = [*sequence.next_tokens(n), *self._drafting.of(sequence)]
            self.llama.add(sequence.row, sequence.n_past, tokens, n_logits=n_logits)
        logits = self.llama.decode()
        for sequence in self.running:
            sequence.n_passed_over += 1
        for which, n, _ in chunks:
            sequence = self.running[which]
            self.seats.advance(sequence, sequence.next_tokens(n))
        # llama_decode may return before a GPU is done; reading the logits waits for it.
        seconds = perf_counter() - began
        self._pace.record(load, seconds)
        if all(chunk.n_tokens == 1 for chunk in chunks):
            self._drafting.economics.record(load, seconds)
        watched: list[Event] = [sequence.progress() for sequence in self.running if sequence.is_watched]
        return watched + self._report([(self.running[chunk.which], chunk.n_logits) for chunk in chunks], logits)

    def _report(self, ready: list[tuple[Sequence, int]], logits: NDArray[np.float32]) -> list[Event]:
        """What came of a step in which each sequence got so many rows of the logits."""
        pieces: list[Piece] = []
        ends: list[Event] = []
        at = 0
        for sequence, n_logits in ready:
            if not n_logits:
                continue
            rows, at = logits[at : at + n_logits], at + n_logits
            try:
                piece = self._choose(sequence, rows)
            except NothingToSample as error:
                ends.append(self._fail(sequence, str(error)))
                continue
            if piece is not None:
                pieces.append(piece)
            if sequence.ended is not None:
                self.seats.remove(sequence)
                ends.append(sequence.done())
        return [Step(tuple(pieces)), *ends] if pieces else ends

    def _choose(self, sequence: Sequence, logits: NDArray[np.float32]) -> Piece | None:
        """The sequence's next token, or tokens if some were drafted; of drafts only the right ones stay."""
        drafts = self._drafting.of(sequence)
        if not drafts:
            return sequence.step(logits[0])
        try:
            piece, n_right = sequence.check(drafts, logits, self._drafting.trust(sequence))
            self.seats.advance(sequence, drafts[:n_right])
            return piece
        finally:
            self.llama.cut(sequence.row, sequence.n_past)

    def _make_do(self, chunks: list[Chunk], error: DecodeFailure) -> tuple[list[Chunk], list[Event]]:
        """After a failed step: what to try instead, with less in it or fewer sequences; and who failed."""
        if error.no_room:
            if self._drafting:
                self._drafting.clear()
                return [Chunk(which, n, min(n_logits, 1)) for which, n, n_logits in chunks], []
            if self.seats.empty_idle():
                return chunks, []
            if any(chunk.n_tokens > 1 for chunk in chunks):
                return [_halve(chunk) for chunk in chunks], []
            if len(self.running) > 1:
                self.seats.pause(self.running[-1])
                return self._plan(), []
        victims = [self.running[chunk.which] for chunk in chunks]
        rows = [sequence.row for sequence in victims]
        failed: list[Event] = [self._fail(sequence, str(error)) for sequence in victims]
        self.seats.forget(rows)
        return [], failed

    def _fail(self, sequence: Sequence, message: str) -> Refused:
        self.seats.remove(sequence)
        return Refused(sequence.id, "failed", message)


def _halve(chunk: Chunk) -> Chunk:
    if chunk.n_tokens == 1:
        return chunk
    return Chunk(chunk.which, (chunk.n_tokens + 1) // 2, 0)
