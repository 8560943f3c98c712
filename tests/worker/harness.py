"""A worker process, driven over a real socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from power.options import Sampling
from power.worker.wire import (
    Accepted,
    Alive,
    Cancel,
    Command,
    Done,
    Embed,
    Embedded,
    Event,
    Load,
    LoadError,
    Loading,
    Piece,
    Ready,
    Refused,
    Start,
    Step,
    encode,
    event_reader,
)

E = TypeVar("E")

GREEDY = Sampling(temperature=0)
WAIT_SECONDS = 60.0  # no test waits longer for one event


class Worker:
    """A worker process and its socket."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.process = process
        self.connection = connection
        connection.settimeout(WAIT_SECONDS)
        self._reader = event_reader()
        self._events: list[Event] = []
        self._next_id = 0
        self.n_signs_of_life = 0

    def send(self, *commands: Command) -> None:
        self.connection.sendall(b"".join(map(encode, commands)))

    def receive(self) -> Event:
        """The next event; EOFError when the worker has ended."""
        while not self._events:
            data = self.connection.recv(65536)
            if not data:
                raise EOFError
            # A busy machine may make any step slow enough for a sign of life.
            events = list(self._reader.feed(data))
            self._events += [event for event in events if not isinstance(event, Alive)]
            self.n_signs_of_life += len(events) - len(self._events)
        return self._events.pop(0)

    def wait_for(self, type: type[E], id: int | None = None) -> E:
        """The next event of this type (and sequence), over all others."""
        while True:
            event = self.receive()
            if isinstance(event, type) and (id is None or getattr(event, "id", None) == id):
                return event

    def load(self, path: Path, **changes: Any) -> Ready | LoadError:
        settings: dict[str, Any] = {
            "path": str(path),
            "n_slots": 4,
            "n_ctx": 256,
            "n_batch": 128,
            "n_threads": 1,
            "n_threads_batch": 0,
            "n_gpu_layers": 0,
            "main_gpu": None,
            "use_mmap": True,
            "use_mlock": False,
            "flash_attention": None,
            "kv_type": "f16",
        }
        self.send(Load(**settings | changes))
        while isinstance(event := self.receive(), Loading):
            pass
        assert isinstance(event, Ready | LoadError)
        return event

    def start(self, *prompt: str | tuple[int, ...], **changes: Any) -> int:
        """Send a Start; returns its id."""
        self._next_id += 1
        settings: dict[str, Any] = {"sampling": GREEDY, "n_predict": 16, "n_ctx": 0}
        self.send(Start(id=self._next_id, prompt=prompt, **settings | changes))
        return self._next_id

    def embed(self, *inputs: str | tuple[int, ...], **changes: Any) -> int:
        """Send an Embed; returns its id."""
        self._next_id += 1
        self.send(Embed(id=self._next_id, inputs=inputs, **changes))
        return self._next_id

    def vectors(self, *inputs: str | tuple[int, ...], **changes: Any) -> NDArray[np.float32]:
        """Embed, and the vectors as an array, one row for each input."""
        id = self.embed(*inputs, **changes)
        return self.collect(id)[id].vectors

    def cancel(self, id: int) -> None:
        self.send(Cancel(id))

    def collect(self, *ids: int) -> dict[int, Answer]:
        """Read until all of these have ended."""
        answers = {id: Answer() for id in ids}
        while not all(answer.ended for answer in answers.values()):
            event = self.receive()
            if isinstance(event, Step):
                for piece in event.pieces:
                    answers[piece.id].pieces.append(piece)
            elif isinstance(event, Accepted):
                answers[event.id].accepted = event
            elif isinstance(event, Embedded):
                answers[event.id].embedded.append(event)
            elif isinstance(event, Done):
                answers[event.id].done = event
            elif isinstance(event, Refused):
                answers[event.id].refused = event
        return answers

    def answer(self, *prompt: str | tuple[int, ...], **changes: Any) -> Answer:
        """Start one sequence and read all of its answer."""
        id = self.start(*prompt, **changes)
        return self.collect(id)[id]


class Answer:
    """All that came back for one sequence."""

    def __init__(self) -> None:
        self.accepted: Accepted | None = None
        self.pieces: list[Piece] = []
        self.embedded: list[Embedded] = []
        self.done: Done | None = None
        self.refused: Refused | None = None

    @property
    def ended(self) -> bool:
        return self.done is not None or self.refused is not None

    @property
    def vectors(self) -> NDArray[np.float32]:
        assert self.refused is None, self.refused
        parts = [np.frombuffer(event.vectors, "<f4").reshape(-1, event.n_dims) for event in self.embedded]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    @property
    def counts(self) -> list[int]:
        """Of the tokens of each input."""
        return [n for event in self.embedded for n in event.n_tokens]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(token for piece in self.pieces for token in piece.tokens)


@contextmanager
def open_worker() -> Iterator[Worker]:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "power.worker", str(theirs.fileno())]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, stdout=subprocess.PIPE) as process:
        theirs.close()
        try:
            yield Worker(process, ours)
        finally:
            ours.close()
            try:
                process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
