"""Conversations packed into rows, rows into batches, so that next to nothing is computed for padding.

A row holds several conversations that cannot see each other.  Rows come in a
few lengths, because attention's cost grows with the row and most conversations
are short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from . import render, tokens
from .conversations import conversation
from .draw import Draw

ROWS = (128, 256, 384, 512, 768, 1024, 2048)
BATCH_TOKENS = 4096
CHUNK = 4096  # conversations packed together
N_POSITIONS = 2048

# The loss is for what tiny says; a little of it for the prompt, since lists of
# tools repeat themselves and teach copying early.
PROMPT_WEIGHT = 0.1
# PoSE (Zhu et al., 2023): gaps in the positions show the model distances up to
# N_POSITIONS without rows of that length.
GAPS = 0.35


@dataclass(frozen=True)
class Lessons:
    """The mixture of one chunk of conversations, and what counts in it."""

    drills: float
    tools: float
    sums: float = 0.0
    single: float = 0.0
    first: float = 1.0  # weight of the first tokens of the last answer, which decide what will be said
    history: float = 1.0  # weight of earlier answers


N_FIRST = 10
# By chunk, the last for all further ones.  First talk, whose rows are short; then
# tools; then many single turns, since only the last answer of a conversation
# teaches how to begin one (see `_history`).
CURRICULUM = (
    Lessons(drills=0.15, tools=0.05),
    Lessons(drills=0.05, tools=0.2),
    *[Lessons(drills=0.02, tools=0.45)] * 3,
    *[Lessons(drills=0.02, tools=0.35, single=0.65, first=3.0, history=0.5)] * 3,
    *[Lessons(drills=0.02, tools=0.4, sums=0.25, single=0.6, first=2.0, history=0.8)] * 8,
    Lessons(drills=0.02, tools=0.5, sums=0.12, single=0.65, first=2.0, history=0.8),
)

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Rows of tokens, (rows, time) each, and what is to be predicted in them, (rows, time / 2) each."""

    tokens: Ints
    positions: Ints
    segments: Ints  # 0 for padding
    places: Ints  # the times after which ...
    targets: Ints  # ... these come
    weights: Floats  # of predicting them, 0 for none


@dataclass(frozen=True)
class Sample:
    tokens: list[int]
    weights: list[float]  # of each token as a target
    positions: list[int]


class Encoder:
    """Conversations to tokens and loss weights."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.pieces = tokens.pieces(tokenizer)
        self._opening = tokenizer.encode("<|im_start|>assistant\n").ids
        self._end = tokenizer.token_to_id("<|im_end|>")
        self._breaks = {i for t, i in tokenizer.get_vocab().items() if "Ċ" in t} | {self._opening[0]}

    def encode(self, draw: Draw, lessons: Lessons) -> Sample:
        talk = conversation(draw, tools=lessons.tools, drills=lessons.drills, sums=lessons.sums, single=lessons.single)
        before, after = render.split(talk)
        prompt = self._tokenizer.encode(before).ids
        completion = self._tokenizer.encode(after).ids
        n_first = min(N_FIRST, len(completion))
        weights = self._history(prompt, lessons.history)
        weights += [lessons.first] * n_first + [1.0] * (len(completion) - n_first)
        whole = prompt + completion
        return Sample(whole, weights, self._positions(draw, whole))

    def _history(self, prompt: list[int], weight: float) -> list[float]:
        """Earlier answers count too, but for their first token: it says whether to think, and history never thinks."""
        weights = [PROMPT_WEIGHT] * len(prompt)
        n = len(self._opening)
        for i in range(len(prompt) - n):
            if prompt[i : i + n] == self._opening and self._end in prompt[i:]:
                last = prompt.index(self._end, i)
                weights[i + n + 1 : last + 1] = [weight] * (last - i - n)
        return weights

    def _positions(self, draw: Draw, tokens: list[int]) -> list[int]:
        positions = list(range(len(tokens)))
        if not draw.chance(GAPS):
            return positions
        room = max(0, N_POSITIONS - len(tokens))
        places = [i for i, t in enumerate(tokens) if t in self._breaks]
        for place in draw.random.sample(places, min(len(places), draw.number(1, 3))):
            gap = draw.number(0, room)
            room -= gap
            positions[place + 1 :] = [p + gap for p in positions[place + 1 :]]
        return positions


def batches(tokenizer: Tokenizer, *, seed: int, chunk: int = 0) -> Iterator[Batch]:
    """Endless, and the same for the same seed; from a later chunk on, if one is given."""
    encoder = Encoder(tokenizer)
    shuffle = np.random.default_rng(seed)
    waiting: dict[int, list[list[Sample]]] = {size: [] for size in ROWS}
    while True:
        lessons = CURRICULUM[min(chunk, len(CURRICULUM) - 1)]
        draws = (Draw(f"{seed}/{chunk * CHUNK + i}", pieces=encoder.pieces) for i in range(CHUNK))
        samples = [encoder.encode(draw, lessons) for draw in draws]
        chunk += 1
        for size, row in _packed([s for s in samples if len(s.tokens) <= ROWS[-1] + 1]):
            waiting[size].append(row)
        ready: list[Batch] = []
        for size, rows in waiting.items():
            shuffle.shuffle(rows)
            n = BATCH_TOKENS // size
            while len(rows) >= n:
                ready.append(_batch(size, rows[:n], shuffle))
                del rows[:n]
        for i in shuffle.permutation(len(ready)):
            yield ready[i]


def _packed(samples: list[Sample]) -> Iterator[tuple[int, list[Sample]]]:
    """Rows of samples, longest first, each then filled with the longest that still fit."""
    left = sorted(samples, key=lambda s: -len(s.tokens))
    by_length: dict[int, list[Sample]] = {}
    for sample in left:
        by_length.setdefault(len(sample.tokens) - 1, []).append(sample)
    while by_length:
        longest = max(by_length)
        size = next(s for s in ROWS if s >= longest)
        row, room = [], size
        while fitting := [n for n in by_length if n <= room]:
            n = max(fitting)
            row.append(by_length[n].pop())
            room -= n
            if not by_length[n]:
                del by_length[n]
        yield size, row


def _batch(size: int, rows: list[list[Sample]], shuffle: np.random.Generator) -> Batch:
    shape = (len(rows), size)
    tokens, targets, positions, segments = (np.zeros(shape, np.int32) for _ in range(4))
    weights = np.zeros(shape, np.float32)
    for r, row in enumerate(rows):
        start = 0
        for segment, s in enumerate(row, 1):
            end = start + len(s.tokens) - 1
            tokens[r, start:end] = s.tokens[:-1]
            targets[r, start:end] = s.tokens[1:]
            weights[r, start:end] = s.weights[1:]
            positions[r, start:end] = s.positions[:-1]
            segments[r, start:end] = segment
            start = end
    # The heaviest half, and of equals any: nearly always all that tiny says, and some of the prompts.
    order = np.lexsort((shuffle.random(shape), -weights))[:, : size // 2]
    places = np.sort(order, axis=1).astype(np.int32)
    targets, weights = np.take_along_axis(targets, places, axis=1), np.take_along_axis(weights, places, axis=1)
    return Batch(tokens, positions, segments, places, targets, weights)
