# Invariant: however a text is cut, ThinkingSplitter splits it the same; all characters but tags and spaces come out.
"""Composes tags, beginnings of tags and spaces."""

import random

import mutate

from power.stream.thinking import KNOWN_TAGS, ThinkingSplitter

PIECES = [
    *(tag for tags in KNOWN_TAGS for tag in tags),
    "<",
    "</",
    "<th",
    "ink>",
    "[",
    " ",
    "\n",
    "\u2003",
    "Hello",
    "é🙂",
]


def check(rng: random.Random) -> None:
    text, tags, starts_inside = mutate.compose(PIECES, rng), rng.choice(KNOWN_TAGS), rng.random() < 0.3
    whole = split([text], tags, starts_inside)
    for pieces in (mutate.cut(text, rng), list(text)):
        assert split(pieces, tags, starts_inside) == whole, (text, tags)
    assert bare("".join(whole), tags) == bare(text, tags), (text, tags)


def split(pieces: list[str], tags: tuple[str, str], starts_inside: bool) -> tuple[str, str]:
    splitter = ThinkingSplitter(*tags, starts_inside=starts_inside)
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.flush()]
    return "".join(thinking for thinking, _ in parts), "".join(content for _, content in parts)


def bare(text: str, tags: tuple[str, str]) -> str:
    """The text without tags and spaces, taken out until none are left: tags may stand between parts of others."""
    text = "".join(text.split())
    while True:
        shorter = text.replace(tags[0], "").replace(tags[1], "")
        if shorter == text:
            return text
        text = shorter


if __name__ == "__main__":
    mutate.run(check)
