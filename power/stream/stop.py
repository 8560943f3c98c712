"""Cut a text stream at the first stop string.

A stop string may arrive split over any number of pieces, so `feed` holds back
the longest tail that could still grow into one, and never more than that.  The
match that begins first wins; of those that begin at the same place, the
longest.  A match is therefore certain only when nothing that would beat it can
still grow.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """A `Stage` from text to the text before the first stop string.

    Attributes:
        matched: the stop string found, once one is; from then on nothing comes out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Raises ValueError for an empty stop string, which would match everywhere."""
        if not all(stops):
            raise ValueError("a stop string is empty")
        # Longest first, so that of those at one place the longest is found first.
        self._stops = sorted(stops, key=len, reverse=True)
        self._held = ""
        self.matched: str | None = None

    def feed(self, piece: str) -> str:
        """The text that is certainly before any stop string."""
        if not self._stops:
            return piece
        if self.matched is not None:
            return ""
        text = self._held + piece
        open_at = self._first_open(text)
        at, stop = self._first_match(text)
        if stop is not None and at < open_at:
            self.matched, self._held = stop, ""
            return text[:at]
        self._held = text[open_at:]
        return text[:open_at]

    def flush(self) -> str:
        """The stream has ended: what was held back is text, or a match after all."""
        text, self._held = self._held, ""
        at, self.matched = self._first_match(text) if self.matched is None else (0, self.matched)
        return text[:at]

    def _first_match(self, text: str) -> tuple[int, str | None]:
        """Where the winning stop string begins and which it is, or (len(text), None)."""
        best: tuple[int, str | None] = (len(text), None)
        for stop in self._stops:
            at = text.find(stop)
            if 0 <= at < best[0]:
                best = at, stop
        return best

    def _first_open(self, text: str) -> int:
        """Where the longest tail begins that is the beginning of a stop string and not yet all of it."""
        longest = min(len(text), len(self._stops[0]) - 1)
        for n in range(longest, 0, -1):
            tail = text[-n:]
            if any(len(stop) > n and stop.startswith(tail) for stop in self._stops):
                return len(text) - n
        return len(text)
