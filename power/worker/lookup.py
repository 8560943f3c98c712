"""Guess how an answer goes on from what was there before: prompt lookup.

An answer that edits, quotes or repeats a text goes on, for long stretches, as
that text did (Saxena, *Prompt Lookup Decoding*, 2023).  So when the last few
tokens have occurred before, the tokens that followed then are a guess, or
*draft*, that costs nothing to make.  Drafts are decoded in the same step as the
last token and checked one by one by sampling as ever: a token that was drawn and
is the one drafted was known before it was needed, and the first that is not ends
the matter.  Nothing that is drawn depends on a draft, so the distribution is
the same, and so are the tokens of a given seed.
"""

from __future__ import annotations

from collections.abc import Sequence

N_GRAM = 3  # tokens that have to be the same; two are right too seldom to pay


class Lookup:
    """The n-grams of one sequence, and where they occurred last."""

    def __init__(self) -> None:
        self._next: dict[tuple[int, ...], int] = {}  # n-gram -> place of the token after it
        self._n_seen = 0  # tokens looked at

    def draft(self, tokens: Sequence[int], n: int) -> list[int]:
        """At most `n` tokens that may follow; none, if the last ones are new. `tokens` only ever grows."""
        self._index(tokens)
        start = self._next.get(tuple(tokens[-N_GRAM:]))
        if start is None or n <= 0:
            return []
        # Of a stretch that reaches to the end the draft is another round: then it repeats itself.
        n_known = len(tokens) - start
        return [tokens[start + i % n_known] for i in range(n)]

    def forget(self) -> None:
        """Tokens were taken out: begin anew."""
        self._next.clear()
        self._n_seen = 0

    def _index(self, tokens: Sequence[int]) -> None:
        """All n-grams but the last, which nothing follows yet."""
        for end in range(max(self._n_seen, N_GRAM), len(tokens)):
            self._next[tuple(tokens[end - N_GRAM : end])] = end
        self._n_seen = max(self._n_seen, len(tokens))


class Trust:
    """How likely the next drafted token of a sequence is the right one, by how it went so far.

    Attributes:
        p: that probability.
        n_drafted: tokens that were drafted, of which `n_accepted` were right.
    """

    START = 0.8
    # Weight of the latest token. With 0.15, what was held for 98 % sure was right in 86 % of all cases: a run of right
    # ones is one piece of luck. With 0.05 to 0.07 the likelihood of what came was highest (8 clients, 0.5B).
    LEARNING = 0.07
    # Per step without a draft: what went wrong once is tried again, after some fifty steps.
    FORGIVING = 0.02

    def __init__(self) -> None:
        self.p = self.START
        self.n_drafted = self.n_accepted = 0

    def record(self, n_drafted: int, n_accepted: int) -> None:
        """Of so many tokens in a row, so many were right; those after the first wrong one prove nothing."""
        self.n_drafted += n_drafted
        self.n_accepted += n_accepted
        for _ in range(n_accepted):
            self.confirm()
        if n_accepted < n_drafted:
            self.doubt()

    def confirm(self) -> None:
        """A token was right, or would have been."""
        self.p += (1 - self.p) * self.LEARNING

    def doubt(self) -> None:
        """There was no token where one was wanted, or a wrong one."""
        self.p -= self.p * self.LEARNING

    def rest(self) -> None:
        self.p += max(0.0, self.START - self.p) * self.FORGIVING
