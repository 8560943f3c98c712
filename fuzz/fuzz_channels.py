# Invariant: however a text is cut, ChannelSplitter splits it the same, and all that comes out was in the text.
"""Composes marks, headers, beginnings of marks and text."""

import random
from collections import Counter

import mutate

from power.stream.channels import MARKS, ChannelSplitter

PIECES = [*MARKS, "assistant", "analysis", "final", " to=functions.f ", " to=self", "<|", "|>", " ", "\n", "Hi", "é🙂"]


def check(rng: random.Random) -> None:
    text, begun = mutate.compose(PIECES, rng), rng.random() < 0.3
    whole = split([text], begun)
    for pieces in (mutate.cut(text, rng), list(text)):
        assert split(pieces, begun) == whole, text
    assert not Counter("".join(whole)) - Counter(text), text


def split(pieces: list[str], begun: bool) -> tuple[str, str]:
    splitter = ChannelSplitter(begun=begun)
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.flush()]
    return "".join(thinking for thinking, _ in parts), "".join(content for _, content in parts)


if __name__ == "__main__":
    mutate.run(check)
