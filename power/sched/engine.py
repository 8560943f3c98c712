"""What a scheduler needs of a worker; and how long it listens to one that is silent.

A worker that is stopped, or hangs, would keep everybody waiting for ever.  So one
that has work has to say something now and then, be it only that it is alive
(`power.worker.pulse`), and one that does not is killed, as if it had died by
itself.
"""

from __future__ import annotations

from typing import Protocol

import trio

from power.errors import BadRequest, PowerError, PromptTooLong, WorkerDied
from power.worker.wire import Command, Event, Refused


class Engine(Protocol):
    """A worker that is loaded; `power.sched.process.Worker`, or a fake that speaks the same."""

    async def send(self, command: Command) -> None: ...

    async def receive(self) -> list[Event]:
        """At least one event.

        Raises:
            WorkerDied: there will be no more.
        """
        ...

    def kill(self) -> None:
        """End it at once; it may be stopped, or hang."""
        ...


async def hear(engine: Engine, hang_seconds: float, patience: trio.CancelScope | None = None) -> list[Event]:
    """What the worker says next. One that is silent for too long is killed.

    That is `hang_seconds` from now, or as the deadline of `patience` has it.

    Raises:
        WorkerDied: it has ended, or was killed.
    """
    with patience or trio.move_on_after(hang_seconds):
        return await engine.receive()
    engine.kill()
    raise WorkerDied(f"the model's process hung: no sign of life for {hang_seconds:g} seconds; it was killed")


def refusal(refused: Refused) -> PowerError:
    """The error that whoever asked is told."""
    match refused.kind:
        case "too-long":
            return PromptTooLong(refused.n_prompt, refused.n_ctx)
        case "bad-request":
            return BadRequest(refused.message, field=refused.field or None)
        case "failed":
            return PowerError(refused.message)
