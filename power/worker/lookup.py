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

from collections.abc import Iterable, Sequence

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
    LEARNING = 0.15  # weight of the latest token
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
            self.p += (1 - self.p) * self.LEARNING
        if n_accepted < n_drafted:
            self.doubt()

    def doubt(self) -> None:
        """There was no token where one was wanted, or a wrong one."""
        self.p -= self.p * self.LEARNING

    def rest(self) -> None:
        self.p += max(0.0, self.START - self.p) * self.FORGIVING


class Economics:
    """Whether drafts pay: what steps of each size cost, against the tokens that come of them.

    On a GPU a step of eight tokens costs little more than one of one; on a CPU, or
    with many sequences in the step, it may cost four times as much.  Measured, not known.
    """

    # Drafted tokens that are considered: with the one before them, whole tiles of a CPU's kernels (0.4 B of Q4_K, one
    # thread: 1 token 14 ms, 4 take 46, 8 take 82, 13 take 126, and 16 take 106).
    SIZES = (1, 2, 3, 7, 15, 31, 63)
    LEARNING = 0.25
    FORGETTING = 0.99  # per step without a draft model, of how slow that was
    HOPE = 0.3  # of what it would add in proportion, a larger step is hoped to add
    LEAST_GAIN = 1.05  # a draft has to be worth its bookkeeping

    def __init__(self, n_max: int) -> None:
        self._n_max = n_max
        self._seconds: dict[int, float] = {}  # by tokens in a step
        self.model_seconds = 0.0  # that a draft model takes for a token

    def record(self, n_tokens: int, seconds: float) -> None:
        """A step without prompts took so long."""
        old = self._seconds.get(n_tokens, seconds)
        self._seconds[n_tokens] = old + (seconds - old) * self.LEARNING

    def record_model(self, n_tokens: int, seconds: float) -> None:
        """A draft model took so long for so many tokens, all sequences together."""
        old = self.model_seconds or seconds / n_tokens
        self.model_seconds = old + (seconds / n_tokens - old) * self.LEARNING

    def rest_model(self) -> None:
        """The draft model was not asked in this step: it may have become faster, try it again some time."""
        self.model_seconds *= self.FORGETTING

    def best_of_model(self, n_decoding: int, p: float, n_max: int) -> int:
        """`best`, of a draft that takes time to make."""
        return self._best(n_decoding, p, n_max, range(1, n_max + 1), self.model_seconds)

    def best(self, n_decoding: int, p: float, n_max: int) -> int:
        """How many tokens to draft for one of so many sequences, when each is right with probability `p`; 0: none."""
        return self._best(n_decoding, p, n_max, self.SIZES, 0.0)

    def _best(self, n_decoding: int, p: float, n_max: int, sizes: Iterable[int], seconds: float) -> int:
        best, best_rate = 0, self.LEAST_GAIN * n_decoding / self._cost(n_decoding)
        for n in sizes:
            if n > min(n_max, self._n_max):
                break
            expected = n_decoding + sum(p**i for i in range(1, n + 1))
            if (rate := expected / (self._cost(n_decoding + n) + n * seconds)) > best_rate:
                best, best_rate = n, rate
        return best

    def _cost(self, n_tokens: int) -> float:
        """Seconds for a step of so many tokens; hopeful where nothing is known."""
        if found := self._seconds.get(n_tokens):
            return found
        smaller = max((n for n in self._seconds if n < n_tokens), default=0)
        larger = min((n for n in self._seconds if n > n_tokens), default=0)
        if smaller and larger:
            low, high = self._seconds[smaller], self._seconds[larger]
            return low + (high - low) * (n_tokens - smaller) / (larger - smaller)
        if smaller:
            return self._seconds[smaller] * (1 + self.HOPE * (n_tokens - smaller) / smaller)
        return self._seconds[larger] if larger else 1.0
