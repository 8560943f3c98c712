"""Bytes of tokens to text, never half a character.

A token is a byte string, and a character may be spread over several of them
(byte fallback, emoji, Chinese).  What could still become a character is held
back; what can not becomes U+FFFD, as everywhere else in Unicode.
"""

from __future__ import annotations

import codecs

_decoder = codecs.getincrementaldecoder("utf-8")


class Utf8Decoder:
    """A `Stage` from bytes to text."""

    def __init__(self) -> None:
        self._decoder = _decoder(errors="replace")

    def feed(self, piece: bytes) -> str:
        """The characters that `piece` completes."""
        return self._decoder.decode(piece)

    def flush(self) -> str:
        """What is left at the end: nothing, or U+FFFD for an unfinished character."""
        return self._decoder.decode(b"", True)
