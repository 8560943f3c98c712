"""The worker's loop: commands in; plan, decode, sample, report; over and over.

Continuous batching: sequences come and go between steps, and every step serves
all of them.  The loop waits for a command only when there is nothing to decode,
and nothing left to prepare for grammars.
"""

from __future__ import annotations

from typing import Protocol

from power.worker.admission import Admission, Rejected
from power.worker.cells import CellRows
from power.worker.disk import open_disk
from power.worker.draft_model import open_draft_model
from power.worker.embedding import Embeddings
from power.worker.lane import Lane
from power.worker.lengthy import count
from power.worker.llama import Llama
from power.worker.pace import FixedPace, Pace
from power.worker.prefix import Rows
from power.worker.states import StateRows
from power.worker.vocab import Vocab
from power.worker.weights import LoadFailure, Weights
from power.worker.wire import (
    Cancel,
    Command,
    Count,
    Counted,
    Detokenize,
    Detokenized,
    Embed,
    Event,
    Refused,
    SlotAction,
    Start,
    Tokenize,
    Tokenized,
)

# Between two steps, while the first grammar would still have to wait: 2 ms were 3 % of a 0.5B model's steps.
PREPARE_SECONDS = 0.0002
PREPARE_IDLE_SECONDS = 0.02  # when nobody waits for a step
STATES_SAVED = 8  # for each row: a conversation needs two or three, and they may be large


class Line(Protocol):
    """The server's end: commands from it, events to it."""

    def receive(self, *, wait: bool) -> list[Command]: ...

    def send(self, *events: Event) -> None: ...


class Loop:
    """Serves one loaded model until its line ends."""

    def __init__(self, llama: Llama, line: Line, n_slots: int) -> None:
        self.n_ctx = llama.n_ctx
        self.n_cells = llama.n_cells
        self._llama = llama
        self._line = line
        self._n_slots = n_slots
        self._admission = Admission(llama.vocab)
        load = llama.weights.load
        pace = Pace(llama.n_batch, load.step_seconds, tiles=llama.is_flash)
        draft_model = open_draft_model(llama.weights)
        self._lane = Lane(
            llama, make_rows(llama), pace, disk=open_disk(load, is_flash=llama.is_flash), draft_model=draft_model
        )
        self._apart = Apart(llama.weights)
        self._embeddings = Embeddings(llama.weights)

    def run(self) -> None:
        """Serve; returns only by EOFError, when the server has gone."""
        while True:
            for command in self._line.receive(wait=self._is_idle and self._admission.is_prepared):
                self._line.send(*self._handle(command))
            if self._lane:
                self._line.send(*self._lane.step())
            if news := self._lane.seats.news():  # also of one that was cancelled
                self._line.send(*news)
            if self._apart.lane:
                self._line.send(*self._apart.lane.step())
            if self._embeddings:
                self._line.send(*self._embeddings.step(self._lane.n_decoding))
            if not self._admission.is_prepared:
                self._admission.prepare(PREPARE_IDLE_SECONDS if self._is_idle else PREPARE_SECONDS)

    @property
    def _is_idle(self) -> bool:
        return not (self._lane or self._apart.lane or self._embeddings)

    def _handle(self, command: Command) -> list[Event]:
        match command:
            case Start():
                return self._start(command)
            case Cancel(id):
                return self._lane.cancel(id) or self._apart.cancel(id) or self._embeddings.cancel(id)
            case Embed():
                return self._embeddings.start(command)
            case SlotAction():
                return [self._lane.slots.act(command)]
            case _:
                return [answer(command, self._llama.vocab)]

    def _start(self, start: Start) -> list[Event]:
        if len(self._lane) + len(self._apart.lane or ()) >= self._n_slots:
            return [Refused(start.id, "failed", f"all {self._n_slots} slots are busy")]
        try:
            lane = self._apart.open() if start.deterministic else self._lane
            events = lane.add(self._admission.admit(start, lane.llama))
            if lane is not self._lane:
                self._lane.slots.forget(start.slot)
            return events
        except LoadFailure as error:
            return [Refused(start.id, "failed", str(error))]
        except Rejected as error:
            return [error.event]


class Apart:
    """Where sequences are computed that nothing else may have a part in; made when the first one comes.

    What a step computes is rounded differently beside others, or after a beginning
    that was computed in other steps, and where two tokens are nearly as likely that
    decides.  So these have a context of their own, one after the other, in steps of
    one size, from an empty memory.
    """

    def __init__(self, weights: Weights) -> None:
        self.lane: Lane | None = None
        self._weights = weights

    def open(self) -> Lane:
        """Raises LoadFailure if there is no memory for it."""
        if self.lane is None:
            llama = Llama(self._weights, alone=True)
            self.lane = Lane(llama, make_rows(llama), FixedPace(llama.n_batch), shares=False)
        return self.lane

    def cancel(self, id: int) -> list[Event]:
        return self.lane.cancel(id) if self.lane else []


def make_rows(llama: Llama) -> Rows:
    """The table for a context's kind of memory."""
    if llama.can_cut:
        return CellRows(llama.n_rows, llama.n_cells, llama.n_cells)
    return StateRows(llama.n_rows, llama.n_cells, STATES_SAVED * llama.n_rows)


def answer(command: Command, vocab: Vocab) -> Event:
    """What can be told from the vocabulary alone."""
    match command:
        case Tokenize(id, text, add_special, parse_special, want_pieces):
            tokens = vocab.tokenize(text, parse_special=parse_special)
            if add_special:
                before, after = vocab.ends
                tokens = [*([] if tokens[: len(before)] == before else before), *tokens, *after]
            pieces = tuple(map(vocab.piece, tokens)) if want_pieces else ()
            return Tokenized(id, tuple(tokens), pieces)
        case Count(id, text, n_most):
            return Counted(id, count(vocab, text, n_most))
        case Detokenize(id, tokens, special):
            if not all(0 <= token < vocab.n_tokens for token in tokens):
                message = f"there are tokens that are not in the vocabulary of {vocab.n_tokens} tokens"
                return Refused(id, "bad-request", message, field="tokens")
            return Detokenized(id, vocab.detokenize(tokens, special=special).decode(errors="replace"))
        case _:
            raise AssertionError(f"{type(command).__name__} after loading")
