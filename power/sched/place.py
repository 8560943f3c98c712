"""One request's place in a model's queue, then in one of its slots; and what a slot tells of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from power.claim import Claim
from power.errors import PowerError
from power.events import Prefill
from power.sched.mailbox import Mailbox
from power.worker.wire import Prefilled, Start, Task


class Sitting(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot does, or did last."""

    slot: int
    id: int = 0  # of the task; 0: there was none
    is_processing: bool = False
    n_prompt: int = 0  # tokens
    n_cached: int = 0
    n_tokens: int = 0  # of prompt and answer, that are known to be in the KV cache
    start: Start | None = None  # without its prompt; None: it makes embeddings


class Place:
    """One request's place in a model's queue, then in one of its slots."""

    def __init__(self, task: Task, claim: Claim, on_end: Callable[[], None]) -> None:
        self.task = task
        self.id = task.id
        self.claim = claim
        self.mailbox = Mailbox()
        self.moved = trio.Event()  # it waits no longer for its first slot: seated, or out
        self.taken_at = trio.current_time()  # seconds, trio's clock
        self.seated_at = 0.0
        self.has_streamed = False
        self.n_tokens = 0  # of prompt and answer, that are known to be in the KV cache
        self.n_prompt = 0  # tokens, of which `n_cached` need not be computed
        self.n_cached = 0
        self.slot = -1  # while it sits, and the last one it had
        self.n_tries = 0
        self.prefilled: Prefill | None = None  # how far its prompt was read, if it asked for that
        self._on_end: Callable[[], None] | None = on_end

    def sit(self, slot: int) -> None:
        """It has this slot now."""
        self.slot = slot
        if isinstance(self.task, Start):
            self.task = msgspec.structs.replace(self.task, slot=slot)

    def sitting(self, *, is_processing: bool) -> Sitting:
        """What there is to tell of it, to whoever looks at its slot."""
        return Sitting(
            slot=self.slot,
            id=self.id,
            is_processing=is_processing,
            n_prompt=self.n_prompt,
            n_cached=self.n_cached,
            n_tokens=self.n_tokens,
            start=msgspec.structs.replace(self.task, prompt=()) if isinstance(self.task, Start) else None,
        )

    def read(self, event: Prefilled) -> None:
        """So much of its prompt is in the KV cache.

        A sequence that had to give its row back reads its prompt again: that is nobody's progress.
        """
        n_done = max(event.n_done, self.prefilled.processed if self.prefilled else 0)
        self.prefilled = Prefill(event.n_prompt, event.n_cached, n_done, event.ns / 1e6)

    def end(self) -> None:
        """Tell the owner, once, that the model has no more to do for this place."""
        self.moved.set()
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()

    def fail(self, error: PowerError) -> None:
        self.mailbox.fail(error)
        self.end()
