"""Log probabilities in step with the text that their tokens became.

A token's `token` is the text that it completed: nothing, as long as a character
lacks bytes, and then all of it.  So the tokens' texts, one after the other, are
the text, and places in the text say which tokens belong to a stretch of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from msgspec.structs import replace

from power.events import Logprob


class InStep:
    """Holds log probabilities back while their text is held back, and drops them if it never comes."""

    def __init__(self) -> None:
        self._held: deque[Logprob] = deque()
        self._has_any = False
        self._n_free = 0  # characters given out beyond those of the tokens given out

    def add(self, logprob: Logprob) -> None:
        self._held.append(logprob)
        self._has_any = True

    def complete(self, text: str) -> None:
        """The last token turned out to have this text as well: half a character that nothing completes."""
        if text and self._held:
            last = self._held.pop()
            self._held.append(replace(last, token=last.token + text))
        elif text and self._has_any:  # it is out already, and what it leaves behind is certain
            self._held.append(Logprob(text, 0.0, ()))

    def release(self, n_chars: int, *, ended: bool = False) -> tuple[Logprob, ...]:
        """So many more characters were given out: the tokens that they complete.

        At the end a token that only begins in the text is cut to what is in it,
        and what lies behind is forgotten.
        """
        self._n_free += n_chars
        given = [self._held.popleft() for _ in range(self._n_complete())]
        self._n_free -= sum(len(item.token) for item in given)
        if ended:
            while self._n_free and self._held:
                item = cut(self._held.popleft(), 0, self._n_free)
                self._n_free -= len(item.token)
                given.append(item)
            self._held.clear()
        return tuple(given)

    def _n_complete(self) -> int:
        """How many tokens are all given out; one that has a part of a character only together with the rest."""
        n_free, n_complete = self._n_free, 0
        for n, item in enumerate(self._held, 1):
            n_free -= len(item.token)
            if n_free < 0:
                break
            if item.token or not item.bytes:
                n_complete = n
        return n_complete


class OfContent:
    """Of all tokens of an answer, those of its content: what comes after the thinking."""

    def __init__(self) -> None:
        self._held: list[Logprob] = []
        self._is_content = False

    def feed(self, logprobs: tuple[Logprob, ...], content: str) -> tuple[Logprob, ...]:
        """The next tokens of the answer, and the content known after them. From where that begins, all is content."""
        self._held += logprobs
        if not self._held or not (self._is_content or content):
            return ()
        held, self._held = self._held, []
        if self._is_content:
            return tuple(held)
        self._is_content = True
        text = "".join(item.token for item in held)
        return tuple(_from(held, max(text.rfind(content), 0)))


def _from(logprobs: list[Logprob], start: int) -> Iterator[Logprob]:
    """Those that reach beyond a place in their text."""
    end = 0
    for item in logprobs:
        begin, end = end, end + len(item.token)
        if end > start or begin >= start:
            yield cut(item, max(0, start - begin), len(item.token))


def cut(logprob: Logprob, start: int, end: int) -> Logprob:
    """A token of which only a part may be in the text."""
    token = logprob.token[start:end]
    if token == logprob.token:
        return logprob
    return replace(logprob, token=token, bytes=tuple(token.encode(errors="replace")))
