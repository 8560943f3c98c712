"""A budget for thinking: after so many tokens of it, its end is written for the model.

The model then goes on from there as if it had ended its thinking itself.
"""

from __future__ import annotations

from collections import deque

from power.stream.blocks import Thinking
from power.worker.vocab import Vocab
from power.worker.wire import Start


class ThinkingBudget:
    """Of one sequence; counts what it thinks and says when its tokens are not its own any more."""

    @classmethod
    def of(cls, start: Start, vocab: Vocab) -> ThinkingBudget | None:
        """What `start` asks for, if it does."""
        if start.thinking is None or start.think_budget < 0:
            return None
        return cls(start.thinking, start.think_budget, vocab)

    def __init__(self, thinking: Thinking, n_tokens: int, vocab: Vocab) -> None:
        self._splitter = thinking.splitter()
        self._left = n_tokens
        self._ending = deque(vocab.tokenize(thinking.ending))
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<ThinkingBudget, {self._left} left, {len(self._ending)} to end it>"

    def forced(self) -> int | None:
        """The token that has to come next, or None: the model is free."""
        if not self._is_ending and self._left <= 0 and self._splitter.is_thinking:
            self._is_ending = True
        return self._ending[0] if self._is_ending and self._ending else None

    def saw(self, text: str) -> None:
        """A token was written; `text` is what it added to the answer."""
        if self._is_ending:
            if self._ending:
                self._ending.popleft()
            return
        if self._splitter.is_thinking:
            self._left -= 1
        self._splitter.feed(text)

    def give_up(self) -> None:
        """The end cannot be written, because a grammar wants something else."""
        self._ending.clear()
