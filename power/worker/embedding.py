"""Requests for vectors and scores: their inputs, batched over all of them, and what comes back.

A request is a `Job`.  Its inputs are tokenized when their turn comes, so that a
request of a hundred thousand does not hold up anybody else, and its vectors go
out step by step.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter

from power.worker.batch import Load
from power.worker.embedder import PACK, Embedder, EmbedFailure
from power.worker.inputs import BadInput, Inputs
from power.worker.jobs import Input, Job
from power.worker.pace import Pace
from power.worker.packing import pack
from power.worker.rerank import PairFormat
from power.worker.weights import LoadFailure, Weights
from power.worker.wire import Accepted, Embed, Event, Refused


class Embeddings:
    """All jobs of one model; the context they are computed in is made when the first one comes."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._jobs: deque[Job] = deque()
        self._embedder: Embedder | None = None
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
        job = Job(command, Inputs(self._weights.vocab, self._pairs, embedder.n_limit).read)
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
