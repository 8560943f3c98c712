"""Requests for vectors and scores: their inputs, batched over all of them, and what comes back.

A request is a `Job`.  Its inputs are tokenized when their turn comes, so that a
request of a hundred thousand does not hold up anybody else, and its vectors go
out step by step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter, perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from power.worker.batch import Load
from power.worker.embedder import PACK, Embedder, EmbedFailure
from power.worker.lengthy import head
from power.worker.pace import Pace
from power.worker.packing import pack
from power.worker.rerank import PairFormat
from power.worker.vocab import Vocab
from power.worker.weights import LoadFailure, Weights
from power.worker.wire import Accepted, Done, Embed, Embedded, Event, Refused


class BadInput(Exception):
    """An input cannot be embedded; `event` tells the server why."""

    def __init__(self, event: Refused) -> None:
        super().__init__(event.message)
        self.event = event


class Input:
    """One input on its way through the steps."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens
        self.n_past = 0
        self.row = -1  # once it has one
        self.vector: NDArray[np.float32] | None = None

    @property
    def n_left(self) -> int:
        return len(self.tokens) - self.n_past

    @property
    def is_split(self) -> bool:
        """Is a part of it in its row, and the rest to come?"""
        return self.row >= 0 and self.vector is None


class Job:
    """What belongs to one `Embed`, until its `Done`."""

    def __init__(self, command: Embed, read: Callable[[Embed, int], list[int]]) -> None:
        self.id = command.id
        self.inputs: deque[Input] = deque()  # read, and not done
        self._command = command
        self._read = read
        self._n_read = 0
        self._n_tokens = 0
        self._began = perf_counter_ns()

    def look_ahead(self, n_tokens: int, n_inputs: int) -> list[int]:
        """How many tokens its next inputs have left: so many inputs, or enough for so many tokens.

        Raises:
            BadInput: one of them cannot be embedded.
        """
        sizes = [item.n_left for item in self.inputs]
        while sum(sizes) < n_tokens and len(sizes) < n_inputs and self._n_read < len(self._command.inputs):
            item = Input(self._read(self._command, self._n_read))
            self._n_read += 1
            self.inputs.append(item)
            sizes.append(item.n_left)
        return sizes

    @property
    def has_ended(self) -> bool:
        return not self.inputs and self._n_read == len(self._command.inputs)

    @property
    def is_split(self) -> bool:
        return any(item.is_split for item in self.inputs)

    def harvest(self) -> list[Input]:
        """Take out the inputs that are done."""
        done = []
        while self.inputs and self.inputs[0].vector is not None:
            done.append(self.inputs.popleft())
        return done

    def encode(self, done: list[Input]) -> Embedded:
        """The vectors as they were asked for.

        Raises:
            BadInput: one has a number that is none.
        """
        vectors = np.stack([item.vector for item in done if item.vector is not None])
        if not np.isfinite(vectors).all():
            raise BadInput(Refused(self.id, "bad-request", "embedding contains NaN or Inf values", field="input"))
        command = self._command
        if command.query is None:
            if 0 < command.n_dims < vectors.shape[1]:
                vectors = vectors[:, : command.n_dims]
            if command.normalize:
                vectors = normalized(vectors)
        counts = tuple(len(item.tokens) for item in done)
        self._n_tokens += sum(counts)
        return Embedded(self.id, counts, vectors.shape[1], vectors.astype("<f4").tobytes())

    def done(self) -> Done:
        ended = self.has_ended
        return Done(
            id=self.id,
            reason="stop" if ended else "cancel",
            n_prompt=self._n_tokens,
            n_cached=0,
            n_generated=0,
            prefill_ns=perf_counter_ns() - self._began,
            decode_ns=0,
        )


class Embeddings:
    """All jobs of one model; the context they are computed in is made when the first one comes."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._vocab: Vocab = weights.vocab
        self._jobs: deque[Job] = deque()
        self._embedder: Embedder | None = None
        self._failure = ""
        self._pairs = PairFormat(weights)
        self._pace = Pace(PACK)
        self._free_rows: list[int] = []
        self._is_careful = False  # the last step failed: now one input at a time

    def __bool__(self) -> bool:
        """Is there anything to do?"""
        return bool(self._jobs)

    def open(self) -> Embedder:
        """The context, made now if need be; LoadFailure if that cannot be done."""
        if self._embedder is None:
            self._embedder = Embedder(self._weights)
            self._free_rows = list(range(self._embedder.n_rows))
        return self._embedder

    def start(self, command: Embed) -> list[Event]:
        """A new job, or the reason why not."""
        try:
            embedder = self.open()
        except LoadFailure as error:
            return [Refused(command.id, "bad-request", str(error), field="model")]
        if embedder.is_ranker != (command.query is not None):
            what = "is a reranker: it scores documents for a query" if embedder.is_ranker else "does not rerank"
            return [Refused(command.id, "bad-request", f"the model {what}", field="model")]
        job = Job(command, self._read)
        if job.has_ended:
            return [Accepted(job.id, 0, 0), job.done()]
        self._jobs.append(job)
        return [Accepted(job.id, 0, 0)]

    def cancel(self, id: int) -> list[Event]:
        for job in [job for job in self._jobs if job.id == id]:
            self._remove(job)
            return [job.done()]
        return []

    def step(self, n_decoding: int) -> list[Event]:
        """Compute the next few inputs, beside so many sequences that wait for their next token."""
        embedder = self.open()
        n_tokens = min(self._pace.room(n_decoding), embedder.n_batch)
        jobs, queues, events = self._look_ahead(n_tokens, embedder)
        if not jobs:
            return events
        began = perf_counter()
        n_added, rows = self._fill(embedder, jobs, queues, n_tokens)
        try:
            vectors = embedder.compute()
        except EmbedFailure as error:
            return events + self._make_do(jobs, rows, str(error))
        self._pace.record(Load(n_added), perf_counter() - began)
        self._is_careful = False
        for row, vector in vectors.items():
            rows[row].vector = vector
            self._free_rows.append(row)
        self._take_turns()
        return events + [event for job in jobs for event in self._report(job)]

    def _look_ahead(self, n_tokens: int, embedder: Embedder) -> tuple[list[Job], list[list[int]], list[Event]]:
        """The jobs that may have a part in the next step; those with an input that cannot be embedded end here."""
        jobs: list[Job] = []
        queues: list[list[int]] = []
        events: list[Event] = []
        for job in list(self._jobs)[: embedder.n_rows]:
            try:
                queues.append(job.look_ahead(n_tokens, embedder.n_rows))
                jobs.append(job)
            except BadInput as error:
                self._remove(job)
                events.append(error.event)
        return jobs, queues, events

    def _fill(
        self, embedder: Embedder, jobs: list[Job], queues: list[list[int]], n_tokens: int
    ) -> tuple[int, dict[int, Input]]:
        """Put the step together: how many tokens it has, and which input is in which row."""
        n_rows = 1 if self._is_careful else embedder.n_rows
        at = dict.fromkeys(range(len(jobs)), 0)
        rows: dict[int, Input] = {}
        n_added = 0
        for which, n in pack(queues, n_tokens, n_rows, can_split=embedder.can_split):
            item = jobs[which].inputs[at[which]]
            at[which] += 1
            if item.row < 0:
                item.row = self._free_rows.pop()
            embedder.add(item.row, item.tokens[item.n_past : item.n_past + n], last=n == item.n_left)
            item.n_past += n
            n_added += n
            rows[item.row] = item
        return n_added, rows

    def _make_do(self, jobs: list[Job], rows: dict[int, Input], message: str) -> list[Event]:
        """After a failed step: its inputs begin again, one at a time; if it was only one, its job fails."""
        for row, item in rows.items():
            item.n_past, item.row = 0, -1
            self._free_rows.append(row)
        if len(rows) > 1:
            self._is_careful = True
            return []
        culprit = next(job for job in jobs if any(item in job.inputs for item in rows.values()))
        self._remove(culprit)
        return [Refused(culprit.id, "failed", message)]

    def _take_turns(self) -> None:
        """Another job is the first of the next step; one in the middle of an input goes before all."""
        self._jobs.rotate(-1)
        for job in [job for job in self._jobs if job.is_split]:
            self._jobs.remove(job)
            self._jobs.appendleft(job)

    def _report(self, job: Job) -> list[Event]:
        done = job.harvest()
        if not done:
            return []
        try:
            event = job.encode(done)
        except BadInput as error:
            self._remove(job)
            return [error.event]
        if not job.has_ended:
            return [event]
        self._remove(job)
        return [event, job.done()]

    def _remove(self, job: Job) -> None:
        self._jobs.remove(job)
        for item in job.inputs:
            if item.is_split:
                self.open().forget(item.row)
                self._free_rows.append(item.row)

    # -- from an input to its tokens --

    def _read(self, command: Embed, index: int) -> list[int]:
        """The tokens of one input; BadInput if it is too long, empty, or not of this vocabulary."""
        limit = self.open().n_limit if command.n_ctx <= 0 else min(command.n_ctx, self.open().n_limit)
        item = command.inputs[index]
        if isinstance(item, str):
            read = self._text if command.query is None else self._pair
            tokens = read(command, index, item, limit)
        else:
            self._check_tokens(command, index, item)
            tokens = list(item[:limit]) if command.truncate else list(item)
        if not tokens:
            raise BadInput(Refused(command.id, "bad-request", f"input {index} is empty", field="input"))
        if len(tokens) > limit:
            raise BadInput(_too_long(command, index, len(tokens), limit))
        return tokens

    def _text(self, command: Embed, index: int, text: str, limit: int) -> list[int]:
        before, after = self._vocab.ends
        text, n_about = head(self._vocab, text, limit)
        if n_about and not command.truncate:
            raise BadInput(_too_long(command, index, n_about, limit))
        tokens = self._vocab.tokenize(text, add_special=True)
        room = limit - len(before) - len(after)
        if len(tokens) <= limit or not command.truncate:
            return tokens
        if room <= 0:
            message = "input after truncation exceeds maximum context length"
            raise BadInput(Refused(command.id, "bad-request", message, field="input"))
        return [*tokens[: len(before) + room], *after]

    def _pair(self, command: Embed, index: int, document: str, limit: int) -> list[int]:
        assert command.query is not None
        _, n_query = head(self._vocab, command.query, limit)
        document, n_document = head(self._vocab, document, limit)
        if n_query or (n_document and not command.truncate):
            raise BadInput(_too_long(command, index, n_query + n_document, limit))
        return self._pairs.tokens(command.query, document, limit if command.truncate else None)

    def _check_tokens(self, command: Embed, index: int, tokens: tuple[int, ...]) -> None:
        n_vocab = self._vocab.n_tokens
        if not all(0 <= token < n_vocab for token in tokens):
            message = f"input {index} has tokens that are not in the vocabulary of {n_vocab} tokens"
            raise BadInput(Refused(command.id, "bad-request", message, field="input"))


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its length; a row of zeros stays one."""
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    scaled: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def _too_long(command: Embed, index: int, n_tokens: int, limit: int) -> Refused:
    if command.query is not None:
        message = f"the query and document {index} have {n_tokens} tokens together, and the model room for {limit}"
    else:
        message = f"the input length exceeds the context length (input {index}: {n_tokens} tokens, limit {limit})"
    return Refused(command.id, "bad-request", message, field="input")
