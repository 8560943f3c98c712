"""From a `Start` to a sequence in a row of the KV cache, or the reason why not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from power.worker.candidates import Candidates
from power.worker.grammar import Grammar, Grammars
from power.worker.llama import Llama
from power.worker.prefix import Copy, Cut, Drop, Operation, Park, Restore, Rows
from power.worker.sampler import BadSampling, Sampler
from power.worker.sequence import Sequence
from power.worker.wire import Refused, Start


class Rejected(Exception):
    """The sequence cannot be started; `event` tells the server why."""

    def __init__(self, event: Refused) -> None:
        super().__init__(event.message)
        self.event = event


class Admission:
    """Checks prompts, makes samplers, gives out rows."""

    def __init__(self, llama: Llama, n_slots: int) -> None:
        self._llama = llama
        self._n_slots = n_slots
        self._candidates = Candidates(llama.vocab.n_tokens)
        self._grammars = Grammars(llama.vocab, self._candidates)
        self._parked: dict[int, NDArray[np.uint8]] = {}  # states by their keys in `rows`
        self.rows = Rows(llama.n_rows, llama.n_cells, can_cut=llama.can_cut)

    def admit(self, start: Start, n_running: int) -> Sequence:
        """A sequence ready to be decoded.

        Raises:
            Rejected: the prompt or the sampling is not possible; nothing has changed.
        """
        if n_running >= self._n_slots:
            raise Rejected(Refused(start.id, "failed", f"all {self._n_slots} slots are busy"))
        prompt = self._read_prompt(start)
        n_ctx = min(start.n_ctx, self._llama.n_ctx) if start.n_ctx > 0 else self._llama.n_ctx
        if len(prompt) > n_ctx - 1:
            message = f"the prompt has {len(prompt)} tokens, and the context room for {n_ctx} with the answer"
            raise Rejected(Refused(start.id, "too-long", message, n_prompt=len(prompt), n_ctx=n_ctx))
        sequence = Sequence(start, prompt, n_ctx, self._make_sampler(start), self._llama.vocab)
        self._seat(sequence)
        return sequence

    def _read_prompt(self, start: Start) -> list[int]:
        vocab = self._llama.vocab
        prompt: list[int] = []
        for part in start.prompt:
            if isinstance(part, str):
                prompt += vocab.tokenize(part)
            elif all(0 <= token < vocab.n_tokens for token in part):
                prompt += part
            else:
                message = f"the context has tokens that are not in the vocabulary of {vocab.n_tokens} tokens"
                raise Rejected(Refused(start.id, "bad-request", message, field="context"))
        prompt = vocab.with_bos(prompt)
        if not prompt and vocab.bos >= 0:
            return [vocab.bos]
        if not prompt:
            raise Rejected(Refused(start.id, "bad-request", "the prompt is empty", field="prompt"))
        return prompt

    def _make_sampler(self, start: Start) -> Sampler:
        grammar = self._open_grammar(start)
        try:
            return Sampler(start.sampling, grammar, self._llama.vocab, self._candidates)
        except BadSampling as error:
            if grammar is not None:
                grammar.close()
            raise Rejected(Refused(start.id, "bad-request", str(error), field=error.field)) from None

    def _open_grammar(self, start: Start) -> Grammar | None:
        if not start.grammar:
            return None
        try:
            return self._grammars.open(start.grammar, start.rules)
        except ValueError as error:
            raise Rejected(Refused(start.id, "bad-request", str(error), field="format")) from None

    def _seat(self, sequence: Sequence) -> None:
        seat = self.rows.seat(sequence.tokens)
        n_cached = seat.n_cached
        # All of them are done even if one fails: the table counts on it.
        done = [self._do(operation) for operation in seat.operations]
        if not (all(done) and (n_cached == 0 or self._llama.holds(seat.row, n_cached))):
            # The memory cannot do it, or does not have it any more: compute all of it again.
            self._llama.cut(*self.rows.forget(seat.row))
            n_cached = 0
        sequence.take_seat(seat.row, n_cached)

    def _do(self, operation: Operation) -> bool:
        match operation:
            case Cut(row, n_tokens):
                return self._llama.cut(row, n_tokens)
            case Copy(row, source, n_tokens):
                self._llama.copy(row, source, n_tokens)
            case Park(row, key):
                self._parked[key] = self._llama.park(row)
            case Restore(row, key):
                return self._llama.restore(row, self._parked[key])
            case Drop(key):
                del self._parked[key]
        return True
