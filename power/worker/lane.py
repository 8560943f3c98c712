"""The sequences of one context: plan a step, decode it, sample, report.

Every sequence that decodes has a *row* of the KV cache; those without one wait,
in order of arrival: because they have just come, or because they had to give
their row back (*pause*).  More may be asked of the memory than it has room for:
a sequence gets a row when what is known of it fits beside what is known of the
others.  As answers grow the room runs out; then what is only cached goes first,
and then the sequence that came last pauses.  What it had computed is saved, and
it goes on later as if nothing had happened.
"""

from __future__ import annotations

from bisect import insort
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from power.worker.batch import Chunk, Work, weigh
from power.worker.disk import Disk
from power.worker.draft_model import DraftModel
from power.worker.drafting import Drafting
from power.worker.llama import DecodeFailure, Llama
from power.worker.memory import Memory
from power.worker.pace import Pace
from power.worker.prefix import Rows
from power.worker.sampler import NothingToSample
from power.worker.sequence import Sequence
from power.worker.slots import Slots
from power.worker.wire import Event, Paused, Piece, Refused, Step

# Tokens that a sequence should be able to add before anyone has to pause: pausing after each would be all work and
# no play.
HEADROOM = 16


class Lane:
    """Sequences that share a context and its steps.

    Attributes:
        llama: the context.
        running: those with a row, in order of arrival.
        waiting: those without, in order of arrival.
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
        self.running: list[Sequence] = []
        self.waiting: list[Sequence] = []
        self.llama = llama
        self._rows = rows
        self._pace = pace
        self._memory = Memory(llama, rows, disk)
        self._shares = shares
        self._drafting = Drafting(llama, draft_model)
        self._told = 0  # sequences that pause, as the server knows
        self._n_pauses = 0  # since then
        self.slots = Slots(llama.weights.load, rows, self._memory)

    def __len__(self) -> int:
        return len(self.running) + len(self.waiting)

    @property
    def n_decoding(self) -> int:
        """Sequences that somebody reads."""
        return sum(sequence.decodes for sequence in self.running)

    def add(self, sequence: Sequence) -> list[Event]:
        """One more, with a row at once if there is room."""
        self.waiting.append(sequence)
        self.slots.remember(sequence.slot, sequence.tokens)
        return self._seat_waiting()

    def cancel(self, id: int) -> list[Event]:
        """End a sequence early; nothing, if it is not here."""
        for sequence in [s for s in (*self.running, *self.waiting) if s.id == id]:
            self._remove(sequence)
            return [sequence.done()]
        return []

    def news(self) -> list[Event]:
        """Whether others pause now than did when this was last asked."""
        n_now = sum(sequence.has_paused for sequence in self.waiting)
        if n_now == self._told and not self._n_pauses:
            return []
        paused = Paused(n_now, self._n_pauses)
        self._told, self._n_pauses = n_now, 0
        return [paused]

    def step(self) -> list[Event]:
        """Decode some tokens of every sequence that can go on."""
        events = self._seat_waiting()
        chunks = self._plan()
        while chunks:
            try:
                return events + self._decode(chunks)
            except DecodeFailure as error:
                chunks, failed = self._make_do(chunks, error)
                events += failed
        return events

    # -- rows --

    def _seat_waiting(self) -> list[Event]:
        """Give rows to those in front. Nobody goes past them: they might wait for ever."""
        events: list[Event] = []
        while self.waiting and self._has_room(self.waiting[0]):
            sequence = self.waiting.pop(0)
            self._seat(sequence)
            insort(self.running, sequence, key=lambda s: s.id)
            events += sequence.accept()
        return events

    def _has_room(self, sequence: Sequence) -> bool:
        if not self.running:
            return True  # alone it fits, or it would not have been admitted
        n_running = len(self.running) + 1
        headroom = HEADROOM * n_running
        return (
            n_running <= len(self._rows.rows) and self._rows.n_needed(sequence.tokens) + headroom <= self._rows.n_cells
        )

    def _seat(self, sequence: Sequence) -> None:
        seat = self._rows.seat(sequence.tokens, secret=not self._shares)
        done = self._memory.do(seat.operations)
        sequence.take_row(seat.row, seat.n_cached)
        if not done or (seat.n_cached and not self.llama.holds(seat.row, seat.n_cached)):
            self._compute_all(sequence)

    def _compute_all(self, sequence: Sequence) -> None:
        """The memory could not do it, or does not have it any more."""
        self._memory.do([self._rows.forget(sequence.row)])
        sequence.take_row(sequence.row, 0)

    def _pause(self, sequence: Sequence) -> None:
        """Take a sequence's row; it goes on when there is room."""
        self.running.remove(sequence)
        self._memory.do(self._rows.park(sequence.row))
        sequence.give_row()
        insort(self.waiting, sequence, key=lambda s: s.id)
        self._n_pauses += 1

    def _shift(self, sequence: Sequence) -> None:
        """Let a sequence go on that has filled its context."""
        n_keep, n_discard = sequence.shift()
        if self.llama.can_shift and self._rows.shift(sequence.row, n_keep, n_discard):
            self.llama.shift(sequence.row, n_keep, n_discard)
            sequence.n_past -= n_discard
            return
        # What is left is computed again.
        self._memory.do(self._rows.leave(sequence.row))
        sequence.give_row()
        self._seat(sequence)

    def _remove(self, sequence: Sequence) -> None:
        if sequence in self.running:
            self.running.remove(sequence)
            # What is to last is saved at once, since nobody knows when the end will come.
            leave = self._rows.park if self._memory.is_lasting else self._rows.leave
            self._memory.do(leave(sequence.row))
        else:
            self.waiting.remove(sequence)
        sequence.close()

    # -- steps --

    def _plan(self) -> list[Chunk]:
        """The next step, with room for it in memory."""
        for sequence in [s for s in self.running if s.overflows]:
            self._shift(sequence)
        work = [self._look_at(sequence) for sequence in self.running]
        chunks = self._draft(self._pace.plan(work))
        n_tokens = sum(self._n_rows(chunk) for chunk in chunks)
        self._memory.do(self._rows.make_room(n_tokens))
        if self._rows.n_free < n_tokens and len(self.running) > 1:
            self._pause(self.running[-1])
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

    def _look_at(self, sequence: Sequence) -> Work:
        turn = self._rows.turn(sequence.row)
        if self._memory.do(turn.operations):
            sequence.catch_up(turn.n_past)
            n_now = sequence.pending if turn.n_tokens < 0 else min(sequence.pending, turn.n_tokens)
        else:
            self._compute_all(sequence)
            n_now = sequence.pending
        return Work(sequence.pending, n_now, sequence.decodes, sequence.n_passed_over, sequence.n_past)

    def _decode(self, chunks: list[Chunk]) -> list[Event]:
        began = perf_counter()
        load = weigh([(self.running[chunk.which].n_past, self._n_rows(chunk)) for chunk in chunks])
        for which, n, n_logits in chunks:
            sequence = self.running[which]
            tokens = [*sequence.next_tokens(n), *self._drafting.of(sequence)]
            self.llama.add(sequence.row, sequence.n_past, tokens, n_logits=n_logits)
        logits = self.llama.decode()
        for sequence in self.running:
            sequence.n_passed_over += 1
        for which, n, _ in chunks:
            sequence = self.running[which]
            self._memory.do(self._rows.extend(sequence.row, sequence.next_tokens(n)))
            sequence.advance(n)
        # llama_decode may return before a GPU is done; reading the logits waits for it.
        seconds = perf_counter() - began
        self._pace.record(load, seconds)
        if all(chunk.n_tokens == 1 for chunk in chunks):
            self._drafting.economics.record(load.n_tokens, seconds)
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
                self._remove(sequence)
                ends.append(sequence.done())
        return [Step(tuple(pieces)), *ends] if pieces else ends

    def _choose(self, sequence: Sequence, logits: NDArray[np.float32]) -> Piece | None:
        """The sequence's next token, or tokens if some were drafted; of drafts only the right ones stay."""
        drafts = self._drafting.of(sequence)
        if not drafts:
            return sequence.step(logits[0])
        try:
            piece, n_right = sequence.check(drafts, logits, self._drafting.trust(sequence))
            self._memory.do(self._rows.extend(sequence.row, drafts[:n_right]))
            sequence.advance(n_right)
            return piece
        finally:
            self.llama.cut(sequence.row, sequence.n_past)

    def _make_do(self, chunks: list[Chunk], error: DecodeFailure) -> tuple[list[Chunk], list[Event]]:
        """After a failed step: what to try instead, with less in it or fewer sequences; and who failed."""
        if error.no_room:
            if self._drafting:
                self._drafting.clear()
                return [Chunk(which, n, min(n_logits, 1)) for which, n, n_logits in chunks], []
            if idle := self._rows.make_room(self._rows.n_cells):
                self._memory.do(idle)
                return chunks, []
            if any(chunk.n_tokens > 1 for chunk in chunks):
                return [_halve(chunk) for chunk in chunks], []
            if len(self.running) > 1:
                self._pause(self.running[-1])
                return self._plan(), []
        victims = [self.running[chunk.which] for chunk in chunks]
        rows = [sequence.row for sequence in victims]
        failed: list[Event] = [self._fail(sequence, str(error)) for sequence in victims]
        self._memory.do([self._rows.forget(row) for row in rows])
        return [], failed

    def _fail(self, sequence: Sequence, message: str) -> Refused:
        self._remove(sequence)
        return Refused(sequence.id, "failed", message)


def _halve(chunk: Chunk) -> Chunk:
    if chunk.n_tokens == 1:
        return chunk
    return Chunk(chunk.which, (chunk.n_tokens + 1) // 2, 0)
