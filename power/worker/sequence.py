"""One running sequence: its tokens, how it chooses them, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from time import perf_counter_ns
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from power.worker.logprobs import Distribution
from power.worker.lookup import Lookup, Trust
from power.worker.radix import common_prefix
from power.worker.sampler import Sampler
from power.worker.telling import Telling, join
from power.worker.thinking import ThinkingBudget
from power.worker.vocab import Vocab
from power.worker.wire import Accepted, Done, Event, Piece, Prefilled, Start

Reason = Literal["stop", "length", "cancel"]

MAX_ROUNDS = 10  # contexts' worth of tokens after which any answer ends; Ollama's limit
MIN_TURNOVER = 4  # tokens of a context that a shift may always drop; llama-server's limit


class Sequence:
    """What belongs to one `Start`, until its `Done`.

    Attributes:
        id: the server's number for it.
        slot: and for its slot.
        row: where its tokens are in the KV cache; -1: nowhere, it waits.
        tokens: prompt and answer; the first `n_past` of them are in the row.
        n_passed_over: steps since it last had a part in one.
        has_paused: whether it had to give its row back once.
        ended: why it has ended, once it has.
        trust: how far drafts that were looked up for it can be trusted.
        model_trust: how far those of a draft model.
    """

    def __init__(self, start: Start, prompt: list[int], n_ctx: int, sampler: Sampler, vocab: Vocab) -> None:
        self.id = start.id
        self.slot = start.slot
        self.tokens = prompt
        self.row = -1
        self.n_past = 0
        self.n_passed_over = 0
        self.ended: Reason | None = None
        self._n_prompt = len(prompt)
        self._n_cached = 0
        self._is_accepted = False
        self.has_paused = False
        self._wants_tokens = start.want_tokens
        self._wants_progress = start.want_progress
        self._n_generated = 0
        self._n_ctx = n_ctx
        n_keep = len(prompt) if start.n_keep < 0 else start.n_keep + vocab.adds_bos
        self._n_keep = max(0, min(n_keep, len(prompt), n_ctx - MIN_TURNOVER))
        # The last token need not fit: it is reported, but never decoded.
        room = MAX_ROUNDS * n_ctx if start.shift else n_ctx - len(prompt)
        self._n_predict = room if start.n_predict < 0 else min(room, start.n_predict)
        self._n_probs = start.n_probs
        self._sampler = sampler
        self._vocab = vocab
        self._budget = ThinkingBudget.of(start, vocab)
        self._telling = Telling(start, vocab)
        self._lookup = Lookup()
        self.trust = Trust()
        self._guess: int | None = None
        self.model_trust = Trust()
        self._n_draft_max = start.n_draft
        self._seated_at = self._first_at = self._last_at = perf_counter_ns()

    @property
    def pending(self) -> int:
        """Tokens known and not yet decoded: what is left of the prompt, then 1, or more after `append_known`."""
        return len(self.tokens) - self.n_past

    @property
    def decodes(self) -> bool:
        """Whether its answer has begun, so that somebody waits for the next token."""
        return self._n_generated > 0

    def take_row(self, row: int, n_past: int) -> None:
        """The row holds the first `n_past` tokens already."""
        self.row = row
        self.n_past = n_past
        if not self.has_paused:
            self._n_cached = n_past

    def catch_up(self, n_past: int) -> None:
        """Others have computed so much of what it has in common with them."""
        if not self.has_paused:
            self._n_cached += n_past - self.n_past
        self.n_past = n_past

    def give_row(self) -> None:
        """It has no row any more; what it will find cached later is its own work."""
        self.row, self.n_past = -1, 0
        self.has_paused = True

    @property
    def overflows(self) -> bool:
        """Whether it has more tokens than its context has room for."""
        return len(self.tokens) > self._n_ctx

    def shift(self) -> tuple[int, int]:
        """Drop the oldest half of what need not be kept, or more if that is not enough.

        Returns:
            How many tokens were kept, and how many after them dropped. `n_past` is
            for the caller to see to.
        """
        n_discard = max((self._n_ctx - self._n_keep) // 2, len(self.tokens) - self._n_ctx, 1)
        del self.tokens[self._n_keep : self._n_keep + n_discard]
        self._lookup.forget()
        return self._n_keep, n_discard

    def accept(self) -> list[Event]:
        """What the server is told when it gets its first row."""
        if self._is_accepted:
            return []
        self._is_accepted = True
        self._seated_at = self._first_at = self._last_at = perf_counter_ns()
        self._sampler.see(self.tokens)
        tokens = tuple(self.tokens) if self._wants_tokens else ()
        accepted = Accepted(self.id, self._n_prompt, self._n_cached, tokens)
        return [accepted, self.progress()] if self.is_watched else [accepted]

    @property
    def is_watched(self) -> bool:
        """Whether the server wants to know how far its prompt has been read."""
        return self._wants_progress and not self._n_generated

    def progress(self) -> Prefilled:
        """How far that is."""
        n_done = min(self.n_past, self._n_prompt)
        return Prefilled(self.id, self._n_prompt, self._n_cached, n_done, perf_counter_ns() - self._seated_at)

    def next_tokens(self, n: int) -> Tokens[int]:
        """The first `n` pending ones."""
        return self.tokens[self.n_past : self.n_past + n]

    def advance(self, n: int) -> None:
        """So many more tokens are in the row."""
        self.n_past += n
        self.n_passed_over = 0

    def step(self, logits: NDArray[np.float32]) -> Piece | None:
        """Choose the next token from the logits after the last one; `ended` may be set afterwards.

        Raises:
            NothingToSample: the sequence cannot go on.
        """
        if not self._n_generated:
            self._first_at = perf_counter_ns()
        if self._n_predict == 0:
            return self._end("length")
        distribution = None if self._n_probs is None else Distribution(logits, self._n_probs)
        token = self._next(logits)
        if self._vocab.is_eog(token):
            return self._end("stop")
        n_before = len(self.tokens)
        text = self._add(token, distribution)
        if distribution is None:  # every token is to be described, and forced ones have no logits
            text += self._add_forced()
        logprobs = self._telling.logprobs(text, ended=self.ended is not None)
        return Piece(self.id, text, tuple(self.tokens[n_before:]), logprobs)

    def n_draftable(self, n_usual: int) -> int:
        """How many tokens may be drafted for it: so that context and answer still have room for what follows them.

        `n_usual`: if its request does not say.
        """
        room = min(self._n_ctx - len(self.tokens), self._n_predict - self._n_generated - 1)
        return max(0, min(room, n_usual if self._n_draft_max < 0 else self._n_draft_max))

    def draft(self, n: int) -> list[int]:
        """At most `n` tokens that may come next."""
        return self._lookup.draft(self.tokens, n)

    def expect(self, guess: int) -> None:
        """That would have been drafted as the next token; whether it is, tells what drafts would be worth."""
        self._guess = guess

    def check(self, drafts: Tokens[int], logits: NDArray[np.float32], trust: Trust) -> tuple[Piece | None, int]:
        """Choose the next tokens, as long as the drafts are what is chosen.

        The row holds all tokens and, behind them, the drafts; `logits` are those
        after the last token and after each draft; `trust` is what is had in whoever made them.

        Returns:
            What was added, and how many of the drafts were right: so many of them stay in the row.
        """
        start = len(self.tokens)
        pieces = []
        while self.ended is None:
            known = self.tokens[start:]
            # More than one may have come of one choice: what a grammar forces.
            if len(known) > len(drafts) or known != list(drafts[: len(known)]):
                break
            pieces.append(self.step(logits[len(known)]))
        n_right = common_prefix(self.tokens[start:], list(drafts))
        trust.record(len(drafts), n_right)
        return join([piece for piece in pieces if piece is not None]), n_right

    def append_known(self, tokens: Tokens[int]) -> Piece:
        """Go on with tokens that are certain, whatever the logits would say.

        They belong to the answer like sampled ones, and are decoded together in
        one of the next steps.  `ended` may be set: then the rest of them is dropped.
        """
        text, n_before = "", len(self.tokens)
        for token in tokens:
            if self.ended is not None:
                break
            text += self._add(token)
        return Piece(self.id, text, tuple(self.tokens[n_before:]))

    def done(self) -> Done:
        """What the server is told at the end."""
        return Done(
            id=self.id,
            reason=self.ended or "cancel",
            n_prompt=self._n_prompt,
            n_cached=self._n_cached,
            n_generated=self._n_generated,
            prefill_ns=self._first_at - self._seated_at,
            decode_ns=self._last_at - self._first_at,
            n_drafted=self.trust.n_drafted,
            n_accepted=self.trust.n_accepted,
            n_model_drafted=self.model_trust.n_drafted,
            n_model_accepted=self.model_trust.n_accepted,
        )

    def close(self) -> None:
        """Give back what C holds for it."""
        self._sampler.close()

    def _next(self, logits: NDArray[np.float32]) -> int:
        forced = self._budget.forced() if self._budget else None
        if forced is not None and self._sampler.allows(forced):
            return forced
        if self._budget and forced is not None:
            self._budget.give_up()
        return self._sampler.sample(logits)

    def _add(self, token: int, distribution: Distribution | None = None) -> str:
        """One more token of the answer. Returns the text that is certain now."""
        self.tokens.append(token)
        self._learn(token)
        self._n_generated += 1
        self._last_at = perf_counter_ns()  # it took time to choose: clients divide by that, also for a single token
        written, text = self._telling.add(token, distribution)
        if self._budget:
            self._budget.saw(written)
        if self._telling.is_stopped:
            self.ended = "stop"
            return text
        self._sampler.accept(token)
        is_complete = self._sampler.is_complete
        if is_complete or self._n_generated >= self._n_predict:
            text += self._telling.flush()
            self.ended = "stop" if is_complete or self._telling.is_stopped else "length"
        return text

    def _learn(self, token: int) -> None:
        if self._guess is not None:
            self.trust.confirm() if self._guess == token else self.trust.doubt()
            self._guess = None

    def _add_forced(self) -> str:
        """What the grammar leaves no choice about."""
        text = ""
        while self.ended is None and (tokens := self._sampler.forced()):
            for token in tokens:
                if self.ended is not None or not self._sampler.allows(token):
                    return text
                text += self._add(token)
        return text

    def _end(self, reason: Reason) -> Piece | None:
        self.ended = reason
        self._last_at = perf_counter_ns()
        text = self._telling.flush()
        return Piece(self.id, text, (), self._telling.logprobs(text, ended=True)) if text else None
