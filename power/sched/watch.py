"""Where one request stands on its way to its first token.

A watch is only looked at: nobody sends it anything, so it cannot fill up, whoever
looks seldom sees few steps, and a request that has none costs nothing.  What it
needs is left on it as the request moves on: its model, then its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from power.events import Loading, Prefill, Progress, Queued

if TYPE_CHECKING:
    from power.sched.model import Model
    from power.sched.place import Place


class Watch:
    """A look at one request; `look` may be called at any time, and as often as one likes."""

    def __init__(self) -> None:
        self.position: Callable[[], int] | None = None  # in the line for memory, while it stands there
        self.model: Model | None = None
        self.place: Place | None = None

    def look(self) -> Progress | None:
        """Where the request stands; None: there is nothing to tell just now."""
        if self.model is None:
            return Loading(0.0, self.position()) if self.position else None
        if self.model.ready is None:
            return Loading(round(self.model.progress, 3))
        if self.place is None:
            return None
        position = self.model.scheduler.table.position(self.place)
        return self.place.prefilled if position is None else Queued(position)

    @property
    def prefilled(self) -> Prefill | None:
        """How far the prompt was read, as far as is known."""
        return self.place.prefilled if self.place else None
