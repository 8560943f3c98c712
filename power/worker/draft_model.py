"""Guess how an answer goes on by asking a smaller model of the same vocabulary.

The draft model has a row of its own for each row of the model that answers.  What
a row holds is compared with what the sequence has by now: what differs is cut
off, what is new is computed, and then it goes on by itself, always with the
likeliest token, as long as it is sure of it.  All sequences take each of these
steps together.  Nobody has to tell it that a draft was wrong, that a sequence was
cancelled or has made room: the comparison finds out.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Tokens
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from power.worker.llama import DecodeFailure, Llama
from power.worker.radix import common_prefix
from power.worker.vocab import Vocab
from power.worker.weights import LoadFailure, Weights

P_MIN = 0.75  # a token that the draft model holds for less likely than this ends its draft
# Models of one family are padded to different sizes; llama.cpp's limit.
MAX_EXTRA_TOKENS = 128
FIRST_COMPARED = 5  # the tokens before it are `<unk>` and the like, under many names; llama.cpp's choice


class Wish(NamedTuple):
    """At most `n` tokens are wanted that may follow these; `row` is where the model that answers has them."""

    row: int
    tokens: list[int]
    n: int


class DraftModel:
    """The smaller model, and what its rows hold."""

    def __init__(self, llama: Llama, n_vocab: int) -> None:
        """`n_vocab`: of the model that answers."""
        self._llama = llama
        self._n_vocab = min(n_vocab, llama.vocab.n_tokens)
        self._rows: list[list[int]] = [[] for _ in range(llama.n_rows)]

    def draft(self, wishes: Tokens[Wish]) -> dict[int, list[int]]:
        """By row, what may come next. A row that is not there is not ready yet: it has too much to read first."""
        try:
            return self._draft(self._with_room(wishes))
        except DecodeFailure:  # nothing is certain about what the rows hold
            self._forget(range(len(self._rows)))
            return {}

    def _draft(self, wishes: Tokens[Wish]) -> dict[int, list[int]]:
        limits = {wish.row: wish.n for wish in wishes}
        drafts: dict[int, list[int]] = {}
        found = self._read(wishes)
        while found:
            going_on: dict[int, list[int]] = {}
            for row, logits in found.items():
                draft = drafts.setdefault(row, [])
                token = self._sure_token(logits)
                if token is not None:
                    draft.append(token)
                    if len(draft) < limits[row]:
                        going_on[row] = [token]
            found = self._decode(going_on, going_on)
        return drafts

    def _read(self, wishes: Tokens[Wish]) -> dict[int, NDArray[np.float32]]:
        """Let the rows hold what the sequences have, as much of it as goes into one step; the logits of those ready."""
        n_left, news, ready = self._llama.n_batch, {}, []
        for row, tokens, _ in wishes:
            n_same = self._cut(row, tokens)
            news[row] = tokens[n_same : n_same + n_left]
            n_left -= len(news[row])
            if n_same + len(news[row]) == len(tokens) and news[row]:
                ready.append(row)
        return self._decode(news, ready)

    def _cut(self, row: int, tokens: list[int]) -> int:
        """Keep what the row has in common with the sequence, but for the last token: its logits are needed."""
        n_same = min(common_prefix(self._rows[row], tokens), len(tokens) - 1)
        if n_same < len(self._rows[row]):
            self._llama.cut(row, n_same)
            del self._rows[row][n_same:]
        return n_same

    def _decode(self, news: dict[int, list[int]], ready: Iterable[int]) -> dict[int, NDArray[np.float32]]:
        """Add tokens to rows. Returns the logits after the last ones of those in `ready`."""
        ready = set(ready)
        rows = [row for row, tokens in news.items() if tokens]
        if not rows:
            return {}
        for row in rows:
            self._llama.add(row, len(self._rows[row]), news[row], n_logits=int(row in ready))
        logits = self._llama.decode()
        for row in rows:
            self._rows[row] += news[row]
        return dict(zip((row for row in rows if row in ready), logits, strict=True))

    def _sure_token(self, logits: NDArray[np.float32]) -> int | None:
        """The likeliest token, if it is likely enough and does not end the answer."""
        logits = logits[: self._n_vocab]
        token = int(logits.argmax())
        p = 1 / float(np.exp(logits - logits[token]).sum())
        return None if p < P_MIN or self._llama.vocab.is_eog(token) else token

    def _with_room(self, wishes: Tokens[Wish]) -> list[Wish]:
        """Those that can be granted: their tokens are known here, fit into the context and into memory."""
        possible = [wish for wish in wishes if self._knows(wish)]
        if not self._fit(possible):
            self._forget(set(range(len(self._rows))) - {wish.row for wish in possible})
        while possible and not self._fit(possible):
            self._forget([possible.pop().row])
        return possible

    def _knows(self, wish: Wish) -> bool:
        new = wish.tokens[len(self._rows[wish.row]) :] or wish.tokens[-1:]
        return len(wish.tokens) + wish.n <= self._llama.n_ctx_max and max(new) < self._n_vocab

    def _fit(self, wishes: Iterable[Wish]) -> bool:
        # Each takes its tokens and its draft, which may replace some of what its row holds.
        wanted = {wish.row: len(wish.tokens) + wish.n for wish in wishes}
        held = (max(len(tokens), wanted.get(row, 0)) for row, tokens in enumerate(self._rows))
        return sum(held) <= self._llama.n_cells

    def _forget(self, rows: Iterable[int]) -> None:
        for row in rows:
            self._llama.cut(row, 0)
            self._rows[row].clear()


def open_draft_model(weights: Weights) -> DraftModel | None:
    """The model beside these weights with a context of its own, if there is one.

    Raises:
        LoadFailure: no memory, or a kind of model that cannot draft.
    """
    if weights.draft is None:
        return None
    llama = Llama(weights.draft)
    if not llama.can_cut:
        path = weights.draft.load.path
        raise LoadFailure(f"the model {path} cannot draft: what it has read cannot be taken back")
    return DraftModel(llama, weights.vocab.n_tokens)


def vocabulary_difference(ours: Vocab, drafts: Vocab) -> str:
    """Why the draft model's tokens mean something else, in words; empty if they do not. llama.cpp's rules."""
    if ours.kind != drafts.kind:
        return "another kind of tokenizer"
    if (ours.adds_bos, ours.adds_bos and ours.bos) != (drafts.adds_bos, drafts.adds_bos and drafts.bos):
        return "another BOS token"
    if (ours.adds_eos, ours.adds_eos and ours.eos) != (drafts.adds_eos, drafts.adds_eos and drafts.eos):
        return "another EOS token"
    if abs(ours.n_tokens - drafts.n_tokens) > MAX_EXTRA_TOKENS:
        return f"{drafts.n_tokens} tokens, not {ours.n_tokens}"
    for token in range(FIRST_COMPARED, min(ours.n_tokens, drafts.n_tokens)):
        if ours.text(token) != drafts.text(token):
            return f"token {token} is {drafts.text(token)!r}, not {ours.text(token)!r}"
    return ""
