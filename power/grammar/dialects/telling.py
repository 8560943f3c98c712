"""Tell of calls while they are written: a name first, then the arguments as they come.

What was told cannot be taken back, so this is only for calls that a grammar holds to
their form: there, what begins as one ends as one, unless it is cut off.  Models leave
out marks, and readers read on; such a call is told when it is whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from power.messages import CallPart


class Telling:
    """The calls of one answer that are being written."""

    def __init__(
        self, name_id: Callable[[str], str], held_behind: Sequence[str], on_begin: Callable[[], None] = lambda: None
    ) -> None:
        """A new one.

        Args:
            name_id: makes a call's id of the one that the model gave it, which may be empty.
            held_behind: texts of which one has been written where a grammar holds calls.
            on_begin: is called when a call begins.
        """
        self._name_id = name_id
        self._held_behind = held_behind
        self._on_begin = on_begin
        self._is_held = False
        self._is_silent = False
        self._parts: list[CallPart] = []
        self._begun: deque[CallPart] = deque()  # all that has been told of each

    def __bool__(self) -> bool:
        """Whether a call has begun and is not done."""
        return bool(self._begun)

    def begin(self, name: str, model_id: str, written: str) -> None:
        """A call begins behind `written`, which is all there is since it could have been text."""
        self._is_held = self._is_held or any(text in written for text in self._held_behind)
        self._is_silent = not self._is_held
        if self._is_silent:
            return
        self._on_begin()
        part = CallPart(id=self._name_id(model_id), name=name)
        self._parts.append(part)
        self._begun.append(part)

    def more(self, text: str) -> None:
        """More of the arguments of the last call that began."""
        if text and not self._is_silent:
            last = self._begun.pop()
            self._parts.append(CallPart(id=last.id, arguments=text))
            self._begun.append(CallPart(id=last.id, name=last.name, arguments=last.arguments + text))

    def done(self) -> CallPart | None:
        """The first call that is not done is; None: nothing was told of it."""
        return self._begun.popleft() if self._begun else None

    def cut_off(self) -> tuple[CallPart, ...]:
        """What was told of calls that will never be done."""
        cut = tuple(self._begun)
        self._begun.clear()
        return cut

    def take(self) -> tuple[CallPart, ...]:
        """What is new."""
        parts, self._parts = self._parts, []
        return tuple(parts)
