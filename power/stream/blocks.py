"""How one answer marks its thinking: tags around it, or channels."""

from __future__ import annotations

import msgspec

from power.stream.channels import MARKS, ChannelSplitter
from power.stream.thinking import ThinkingSplitter


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """Where thinking begins and ends in an answer. Crosses the wire to the worker as it is."""

    open: str
    close: str
    ending: str  # all that stands between thinking and answer: what to write to end the one and begin the other
    begun: bool = False  # the prompt ends inside
    channels: bool = False  # the marks are those of `power.stream.channels`

    def splitter(self) -> ThinkingSplitter | ChannelSplitter:
        """A reader for one answer."""
        if self.channels:
            return ChannelSplitter(begun=self.begun)
        return ThinkingSplitter(self.open, self.close, starts_inside=self.begun)

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts whose tokens the reader has to see, even if they are control tokens."""
        return MARKS if self.channels else (self.open, self.close)
