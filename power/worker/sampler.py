"""Choose the next token of one sequence.

The order is llama.cpp's own (`common/sampling.cpp`): biases, penalties, top-k,
locally typical (Meister et al., 2022), top-p (Holtzman et al., 2020), min-p
(Nguyen et al., 2024), temperature, a draw; or mirostat (Basu et al., 2021).
Biases and penalties change the logits in place, since they concern a few
tokens only; the others are llama.cpp's C samplers.

A grammar is applied by rejection: sample without it, test that one token, and
only if it is not allowed sample again among those that are (`power.worker.grammar`).
Masking first costs up to 17 ms a token.
"""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Sequence

import llama_cpp.llama_cpp as c
import numpy as np
from numpy.typing import NDArray

from power.options import Sampling
from power.worker.candidates import Candidates, likeliest
from power.worker.grammar import Grammar
from power.worker.vocab import Vocab

UINT32 = 2**32
MIN_KEEP = 1  # candidates that no truncation goes below; llama.cpp's default
MIROSTAT_M = 100  # llama.cpp's and the paper's number of tokens to estimate the slope from


class BadSampling(Exception):
    """What was asked for cannot be sampled with; `field` says which part of the request."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NothingToSample(Exception):
    """Biases and grammar together leave no token."""


class Sampler:
    """One sequence's way of choosing; owns C objects until `close`."""

    def __init__(self, sampling: Sampling, grammar: Grammar | None, vocab: Vocab, candidates: Candidates) -> None:
        """The grammar is closed with the sampler. Raises BadSampling for a bias on a token that is none."""
        self._sampling = sampling
        self._candidates = candidates
        self._bias = _read_biases(sampling, vocab)
        self._penalties = Penalties(sampling, vocab) if Penalties.wanted(sampling) else None
        self._greedy = sampling.temperature <= 0
        self._k = 0 if sampling.mirostat else sampling.top_k
        self._grammar = grammar
        self._chain = None if self._greedy else _build_chain(sampling, vocab.n_tokens)

    def see(self, prompt: Sequence[int]) -> None:
        """Let the penalties look back on the prompt, too."""
        if self._penalties is not None:
            self._penalties.see(prompt)

    def sample(self, logits: NDArray[np.float32]) -> int:
        """The next token; `logits` is a row of the vocabulary's size, changed in place.

        Raises:
            NothingToSample: no token is left.
        """
        if self._bias is not None:
            ids, values = self._bias
            logits[ids] += values
        if self._penalties is not None:
            self._penalties.apply(logits)
        token = self._choose(logits)
        if self._grammar is not None and not self._grammar.allows(token):
            token = self._choose_allowed(logits, self._grammar)
        return token

    def accept(self, token: int) -> None:
        """The token was sampled and belongs to the answer; never the end token."""
        if self._penalties is not None:
            self._penalties.see((token,))
        if self._grammar is not None:
            self._grammar.accept(token)

    def forced(self) -> tuple[int, ...]:
        """Tokens that the grammar leaves no choice about; each is to be accepted like a sampled one."""
        return self._grammar.forced() if self._grammar is not None else ()

    def allows(self, token: int) -> bool:
        """Whether the grammar does."""
        return self._grammar is None or self._grammar.allows(token)

    @property
    def is_complete(self) -> bool:
        """Whether the grammar lets nothing come any more but the end."""
        return self._grammar is not None and self._grammar.is_complete

    def close(self) -> None:
        if self._chain is not None:
            c.llama_sampler_free(self._chain)
            self._chain = None
        if self._grammar is not None:
            self._grammar.close()

    def _choose(self, logits: NDArray[np.float32]) -> int:
        if self._chain is None:
            return int(logits.argmax())
        self._candidates.set(likeliest(logits, self._k), logits)
        return self._draw()

    def _draw(self) -> int:
        if self._chain is None:
            raise AssertionError("a greedy sampler draws nothing")
        self._candidates.apply(self._chain)
        try:
            return self._candidates.selected
        except LookupError:
            raise NothingToSample("no token is left to sample") from None

    def _choose_allowed(self, logits: NDArray[np.float32], grammar: Grammar) -> int:
        allowed = grammar.allowed(logits, 1 if self._greedy else self._k)
        if not len(allowed):
            raise NothingToSample("the grammar leaves no token")
        if self._greedy:
            return int(allowed[logits[allowed].argmax()])
        self._candidates.set(allowed, logits)
        return self._draw()


class Penalties:
    """Repetition (Keskar et al., 2019), presence and frequency penalties over the last tokens."""

    def __init__(self, sampling: Sampling, vocab: Vocab) -> None:
        n = sampling.repeat_last_n
        self._sampling = sampling
        self._exempt = -1 if sampling.penalize_newline else vocab.newline
        self._n_vocab = vocab.n_tokens
        self._n_last = n if n >= 0 else math.inf
        self._last: deque[int] = deque()
        self._counts: Counter[int] = Counter()

    @staticmethod
    def wanted(sampling: Sampling) -> bool:
        neutral = (sampling.repeat_penalty, sampling.presence_penalty, sampling.frequency_penalty) == (1, 0, 0)
        # llama.cpp's mirostat goes without penalties.
        return not neutral and sampling.repeat_last_n != 0 and sampling.mirostat == 0

    def see(self, tokens: Sequence[int]) -> None:
        """These tokens came next."""
        for token in tokens if self._n_last == math.inf else tokens[-int(self._n_last) :]:
            self._last.append(token)
            self._counts[token] += 1
            if len(self._last) > self._n_last:
                self._drop(self._last.popleft())

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Make the tokens seen less likely, in place."""
        ids = np.fromiter(self._counts.keys(), np.int64, len(self._counts))
        counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
        if self._exempt >= 0:
            keep = ids != self._exempt
            ids, counts = ids[keep], counts[keep]
        sampling, seen = self._sampling, logits[ids]
        # Dividing alone would make a token of negative logit likelier.
        seen = np.where(seen > 0, seen / sampling.repeat_penalty, seen * sampling.repeat_penalty)
        logits[ids] = seen - counts * sampling.frequency_penalty - sampling.presence_penalty

    def _drop(self, token: int) -> None:
        self._counts[token] -= 1
        if not self._counts[token]:
            del self._counts[token]


def _read_biases(sampling: Sampling, vocab: Vocab) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    pairs = [(token, bias) for what, bias in sampling.logit_bias for token in _tokens_of(what, vocab)]
    if not pairs:
        return None
    merged: Counter[int] = Counter()
    for token, bias in pairs:
        merged[token] += bias  # type: ignore[assignment]  # a Counter adds floats as well
    return np.array(list(merged), np.int64), np.array(list(merged.values()), np.float32)


def _tokens_of(what: int | str, vocab: Vocab) -> list[int]:
    if isinstance(what, str):
        return vocab.tokenize(what)
    if not 0 <= what < vocab.n_tokens:
        raise BadSampling("options.logit_bias", f"token {what} is not in the vocabulary of {vocab.n_tokens} tokens")
    return [what]


def _build_chain(sampling: Sampling, n_vocab: int) -> c.llama_sampler_p:
    seed = int.from_bytes(os.urandom(4), "little") if sampling.seed == -1 else sampling.seed % UINT32
    # llama.cpp reads this one seed as "choose one yourself".
    seed = seed if seed != UINT32 - 1 else seed - 1
    chain: c.llama_sampler_p = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
    for sampler in _samplers(sampling, seed, n_vocab):
        c.llama_sampler_chain_add(chain, sampler)
    return chain


def _samplers(sampling: Sampling, seed: int, n_vocab: int) -> list[c.llama_sampler_p]:
    """llama.cpp's samplers, in its order, without those that would change nothing."""
    temperature = c.llama_sampler_init_temp(sampling.temperature)
    tau, eta = sampling.mirostat_tau, sampling.mirostat_eta
    if sampling.mirostat == 1:
        return [temperature, c.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, MIROSTAT_M)]
    if sampling.mirostat == 2:
        return [temperature, c.llama_sampler_init_mirostat_v2(seed, tau, eta)]
    chosen = []
    if sampling.top_k > 0:
        chosen.append(c.llama_sampler_init_top_k(sampling.top_k))
    if sampling.typical_p < 1:
        chosen.append(c.llama_sampler_init_typical(sampling.typical_p, MIN_KEEP))
    if sampling.top_p < 1:
        chosen.append(c.llama_sampler_init_top_p(sampling.top_p, MIN_KEEP))
    if sampling.min_p > 0:
        chosen.append(c.llama_sampler_init_min_p(sampling.min_p, MIN_KEEP))
    return [*chosen, temperature, c.llama_sampler_init_dist(seed)]
