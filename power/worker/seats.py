"""Who has a row of the KV cache, and who waits for one.

Every sequence that decodes has a *row*; those without one wait, in order of
arrival: because they have just come, or because they had to give their row back
(*pause*).  More may be asked of the memory than it has room for: a sequence gets a
row when what is known of it fits beside what is known of the others.  As answers
grow the room runs out; then what is only cached goes first, and then the sequence
that came last pauses.  What it had computed is saved, and it goes on later as if
nothing had happened.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from collections.abc import Sequence as Tokens

from power.worker.batch import Work
from power.worker.llama import Llama
from power.worker.memory import Memory
from power.worker.prefix import Rows
from power.worker.sequence import Sequence
from power.worker.wire import Event, Paused

# Tokens that a sequence should be able to add before anyone has to pause: pausing after each would be all work and
# no play.
HEADROOM = 16


class Seats:
    """The rows of one context, and the sequences that have or want them.

    Attributes:
        running: those with a row, in order of arrival.
        waiting: those without, in order of arrival.
    """

    def __init__(self, llama: Llama, rows: Rows, memory: Memory, *, shares: bool) -> None:
        """`shares`: whether sequences take over from each other what they have in common."""
        self.running: list[Sequence] = []
        self.waiting: list[Sequence] = []
        self._llama = llama
        self._rows = rows
        self._memory = memory
        self._shares = shares
        self._told = 0  # sequences that pause, as the server knows
        self._n_pauses = 0  # since then

    @property
    def n_cells(self) -> int:
        """In use."""
        return self._rows.n_used

    def news(self) -> list[Event]:
        """Whether others pause now than did when this was last asked."""
        n_now = sum(sequence.has_paused for sequence in self.waiting)
        if n_now == self._told and not self._n_pauses:
            return []
        paused = Paused(n_now, self._n_pauses)
        self._told, self._n_pauses = n_now, 0
        return [paused]

    def give(self) -> list[Event]:
        """Give rows to those in front. Nobody goes past them: they might wait for ever."""
        events: list[Event] = []
        while self.waiting and self._has_room(self.waiting[0]):
            sequence = self.waiting.pop(0)
            self._seat(sequence)
            insort(self.running, sequence, key=lambda s: s.id)
            events += sequence.accept()
        return events

    def pause(self, sequence: Sequence) -> None:
        """Take a sequence's row; it goes on when there is room."""
        self.running.remove(sequence)
        self._memory.do(self._rows.park(sequence.row))
        sequence.give_row()
        insort(self.waiting, sequence, key=lambda s: s.id)
        self._n_pauses += 1

    def shift(self, sequence: Sequence) -> None:
        """Let a sequence go on that has filled its context."""
        n_keep, n_discard = sequence.shift()
        if self._llama.can_shift and self._rows.shift(sequence.row, n_keep, n_discard):
            self._llama.shift(sequence.row, n_keep, n_discard)
            sequence.n_past -= n_discard
            return
        # What is left is computed again.
        self._memory.do(self._rows.leave(sequence.row))
        sequence.give_row()
        self._seat(sequence)

    def remove(self, sequence: Sequence) -> None:
        """It has ended."""
        if sequence in self.running:
            self.running.remove(sequence)
            # What is to last is saved at once, since nobody knows when the end will come.
            leave = self._rows.park if self._memory.is_lasting else self._rows.leave
            self._memory.do(leave(sequence.row))
        else:
            self.waiting.remove(sequence)
        sequence.close()

    def look_at(self, sequence: Sequence) -> Work:
        """What a running sequence has to do, after it has taken over what others computed for it."""
        turn = self._rows.turn(sequence.row)
        if self._memory.do(turn.operations):
            sequence.catch_up(turn.n_past)
            n_now = sequence.pending if turn.n_tokens < 0 else min(sequence.pending, turn.n_tokens)
        else:
            self._compute_all(sequence)
            n_now = sequence.pending
        return Work(sequence.pending, n_now, sequence.decodes, sequence.n_passed_over, sequence.n_past)

    def advance(self, sequence: Sequence, tokens: Tokens[int]) -> None:
        """These tokens of it are in its row now."""
        self._memory.do(self._rows.extend(sequence.row, tokens))
        sequence.advance(len(tokens))

    def make_room(self, n_tokens: int) -> bool:
        """See to it that there is room for so many more tokens, if what is only cached can give it."""
        self._memory.do(self._rows.make_room(n_tokens))
        return self._rows.n_free >= n_tokens

    def empty_idle(self) -> bool:
        """Give up all that is only cached in rows. False: there was nothing."""
        operations = self._rows.make_room(self._rows.n_cells)
        self._memory.do(operations)
        return bool(operations)

    def forget(self, rows: Iterable[int]) -> None:
        """Nothing is certain about what these hold."""
        self._memory.do([self._rows.forget(row) for row in rows])

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
        if not done or (seat.n_cached and not self._llama.holds(seat.row, seat.n_cached)):
            self._compute_all(sequence)

    def _compute_all(self, sequence: Sequence) -> None:
        """The memory could not do it, or does not have it any more."""
        self._memory.do([self._rows.forget(sequence.row)])
        sequence.take_row(sequence.row, 0)
