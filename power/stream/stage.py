"""What every text stage is: pieces in, certain text out.

A generation's text arrives in pieces cut anywhere.  Each stage keeps back what
it cannot yet tell the meaning of and gives out the rest, so stages can be
chained, and cutting the stream differently never changes what comes out.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Stage(Protocol[In, Out]):
    """`feed` any number of pieces, then `flush` once: the stream has ended."""

    def feed(self, piece: In, /) -> Out: ...

    def flush(self) -> Out: ...
