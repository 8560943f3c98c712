"""The worker's loop: commands in; plan, decode, sample, report; over and over.

Continuous batching: sequences come and go between steps, and every step serves
all of them.  The loop waits for a command only when there is nothing to decode.
"""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from power.worker.admission import Admission, Rejected
from power.worker.batch import Chunk, Pace, Work, plan_step
from power.worker.embedding import Embeddings
from power.worker.llama import DecodeFailure, Llama
from power.worker.prefix import Cut
from power.worker.sampler import NothingToSample
from power.worker.sequence import Sequence
from power.worker.vocab import Vocab
from power.worker.wire import (
    Accepted,
    Cancel,
    Command,
    Detokenize,
    Detokenized,
    Embed,
    Event,
    Piece,
    Refused,
    Start,
    Step,
    Tokenize,
    Tokenized,
)


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
        self._admission = Admission(llama, n_slots)
        self._rows = self._admission.rows
        self._pace = Pace(llama.n_batch)
        self._running: list[Sequence] = []
        self._embeddings = Embeddings(llama.weights)

    def run(self) -> None:
        """Serve; returns only by EOFError, when the server has gone."""
        while True:
            for command in self._line.receive(wait=not (self._running or self._embeddings)):
                self._handle(command)
            if self._running:
                self._step()
            if self._embeddings:
                self._line.send(*self._embeddings.step(len(self._running)))

    def _handle(self, command: Command) -> None:
        if isinstance(command, Start):
            self._start(command)
        elif isinstance(command, Cancel):
            self._cancel(command.id)
        elif isinstance(command, Embed):
            self._line.send(*self._embeddings.start(command))
        else:
            self._line.send(answer(command, self._llama.vocab))

    def _start(self, start: Start) -> None:
        try:
            sequence = self._admission.admit(start, len(self._running))
        except Rejected as error:
            self._line.send(error.event)
            return
        self._running.append(sequence)
        tokens = tuple(sequence.tokens) if start.want_tokens else ()
        self._line.send(Accepted(start.id, len(sequence.tokens), sequence.n_past, tokens))

    def _cancel(self, id: int) -> None:
        for sequence in [s for s in self._running if s.id == id]:
            self._remove(sequence)
            self._line.send(sequence.done())
        self._line.send(*self._embeddings.cancel(id))

    def _step(self) -> None:
        work = [Work(sequence.pending, sequence.decodes) for sequence in self._running]
        chunks = plan_step(work, self._pace.prefill(sum(decodes for _, decodes in work)))
        while chunks:
            try:
                self._decode(chunks)
            except DecodeFailure as error:
                chunks = self._make_do(chunks, error)
            else:
                return

    def _decode(self, chunks: list[Chunk]) -> None:
        began = perf_counter()
        n_tokens = sum(chunk.n_tokens for chunk in chunks)
        self._clear(self._rows.make_room(n_tokens))
        self._fill(chunks)
        logits = self._llama.decode()
        for which, n, _ in chunks:
            sequence = self._running[which]
            self._rows.extend(sequence.row, sequence.next_tokens(n))
            sequence.advance(n)
        # llama_decode may return before a GPU is done; reading the logits waits for it.
        self._pace.record(n_tokens, perf_counter() - began)
        self._report([self._running[chunk.which] for chunk in chunks if chunk.n_logits], logits)

    def _fill(self, chunks: list[Chunk]) -> None:
        for which, n, n_logits in chunks:
            sequence = self._running[which]
            self._llama.add(sequence.row, sequence.n_past, sequence.next_tokens(n), n_logits=n_logits)

    def _report(self, ready: list[Sequence], logits: NDArray[np.float32]) -> None:
        pieces: list[Piece] = []
        ends: list[Event] = []
        for sequence, row in zip(ready, logits, strict=True):
            try:
                piece = sequence.step(row)
            except NothingToSample as error:
                ends.append(self._fail(sequence, str(error)))
                continue
            if piece is not None:
                pieces.append(piece)
            if sequence.ended is not None:
                self._remove(sequence)
                ends.append(sequence.done())
        if pieces:
            ends.insert(0, Step(tuple(pieces)))
        if ends:
            self._line.send(*ends)

    def _make_do(self, chunks: list[Chunk], error: DecodeFailure) -> list[Chunk]:
        """After a failed step: what to try instead, with less in it or fewer sequences."""
        if error.no_room:
            idle = self._rows.make_room(self._rows.n_cells)
            self._clear(idle)
            if idle:
                return chunks
            if any(chunk.n_tokens > 1 for chunk in chunks):
                return [_halve(chunk) for chunk in chunks]
            victims = [self._running[chunks[-1].which]]
        else:
            victims = [self._running[chunk.which] for chunk in chunks]
        for sequence in victims:
            self._line.send(self._fail(sequence, str(error)))
            self._clear([self._rows.forget(sequence.row)])
        return []

    def _fail(self, sequence: Sequence, message: str) -> Refused:
        self._remove(sequence)
        return Refused(sequence.id, "failed", message)

    def _remove(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._rows.leave(sequence.row)
        sequence.close()

    def _clear(self, cuts: list[Cut]) -> None:
        for row, n_tokens in cuts:
            self._llama.cut(row, n_tokens)


def _halve(chunk: Chunk) -> Chunk:
    if chunk.n_tokens == 1:
        return chunk
    return Chunk(chunk.which, (chunk.n_tokens + 1) // 2, 0)


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
        case Detokenize(id, tokens):
            if not all(0 <= token < vocab.n_tokens for token in tokens):
                message = f"there are tokens that are not in the vocabulary of {vocab.n_tokens} tokens"
                return Refused(id, "bad-request", message, field="tokens")
            return Detokenized(id, vocab.detokenize(tokens).decode(errors="replace"))
        case _:
            raise AssertionError(f"{type(command).__name__} after loading")
