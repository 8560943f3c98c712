"""Random choices, from one side of a fixed split.

Every word, name, number pair and wording is either for training or held out
for the evaluation, and which one is decided here and nowhere else: words by
their checksum, wordings by their place (the last two of each list are held
out).  So "unseen" in the model card is a property of the code.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import TypeVar

from . import words

T = TypeVar("T")

HELD_OUT_WORDINGS = 2
ONE_IN = 8  # of all words is held out

ONSETS = "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl gr kr pl pr qu sh sk sl st th tr vl zw".split()
VOWELS = "a e i o u a e i o u ai ea ee ia oo ou".split()
PIECES, LETTERS = 0.5, 0.15  # how often a made-up word is made of these
CODAS = [""] * 8 + "n r l s t k m nd x rk sh ng lt".split()


def is_held_out(text: str) -> bool:
    return zlib.crc32(text.lower().encode()) % ONE_IN == 0


class Draw:
    """A seeded source of choices; `held_out` says from which side of the split.

    With `pieces`, those of the vocabulary, made-up words are also made of them:
    a word nobody has seen is written with pieces that hardly any other word has,
    and a piece that was never copied in training is not copied afterwards.
    """

    def __init__(self, seed: str, *, held_out: bool = False, pieces: Sequence[str] = ()) -> None:
        self.random = random.Random(seed)
        self.held_out = held_out
        self.pieces = pieces

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def number(self, low: int, high: int) -> int:
        """Uniform, both ends included."""
        return self.random.randint(low, high)

    def any(self, options: Sequence[T]) -> T:
        """One of `options`, whichever side we are on."""
        return self.random.choice(options)

    def wording(self, options: Sequence[str]) -> str:
        seen, unseen = options[:-HELD_OUT_WORDINGS], options[-HELD_OUT_WORDINGS:]
        return self.random.choice(unseen if self.held_out else seen)

    def split(self, draw: Callable[[], str]) -> str:
        """Draw until the text is on our side."""
        while is_held_out(text := draw()) != self.held_out:
            pass
        return text

    def of(self, options: Sequence[str]) -> str:
        return self.split(lambda: self.random.choice(options))

    def made_up(self) -> str:
        """A lower-case word of a few random syllables, or pieces, or letters, which nobody has ever seen."""

        def syllable() -> str:
            return self.random.choice(ONSETS) + self.random.choice(VOWELS) + self.random.choice(CODAS)

        if self.pieces and self.chance(PIECES):
            return self.split(lambda: "".join(self.random.choices(self.pieces, k=self.random.choice((1, 2, 2, 3)))))
        if self.pieces and self.chance(LETTERS):
            return self.split(lambda: "".join(self.random.choices(ascii_lowercase, k=self.number(2, 8))))
        return self.split(lambda: "".join(syllable() for _ in range(self.random.choice((1, 2, 2, 2, 3, 3, 4)))))

    def word(self) -> str:
        return self.made_up() if self.chance(0.5) else self.of(words.COMMON)

    def name(self) -> str:
        name = self.made_up().capitalize() if self.chance(0.6) else self.of(words.NAMES)
        return name.lower() if self.chance(0.08) else name

    def city(self) -> str:
        city = self.made_up().capitalize() if self.chance(0.4) else self.of(words.CITIES)
        return city.lower() if self.chance(0.08) else city

    def phrase(self, low: int, high: int) -> str:
        return " ".join(self.word() for _ in range(self.number(low, high)))

    def digits(self, low: int, high: int) -> str:
        """A number of `low` to `high` digits that does not start with 0."""
        n = self.number(low, high)
        return self.split(lambda: str(self.random.randrange(10 ** (n - 1), 10**n))) if n > 1 else str(self.number(0, 9))
