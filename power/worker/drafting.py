"""What is drafted for a step, by looking it up or by a draft model, where that is worth it."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from power.worker.draft_model import DraftModel, Wish
from power.worker.economics import Economics, Outlook, expected
from power.worker.llama import Llama
from power.worker.lookup import Trust
from power.worker.sequence import Sequence
from power.worker.steptimes import StepTimes
from power.worker.wire import MODEL_DRAFT


class Draft(NamedTuple):
    """Tokens that may come next, and the trust that is had in whoever said so."""

    tokens: list[int]
    trust: Trust


class Drafting:
    """The drafts of one context's next step.

    What can be looked up costs nothing; the draft model is asked about the sequences
    for which there was nothing to be found.
    """

    def __init__(self, llama: Llama, model: DraftModel | None, times: StepTimes) -> None:
        """`times`: what steps take here."""
        self.economics = Economics(llama.n_draft, times)
        self._n_max = llama.n_draft
        self._n_lookup = min(llama.weights.load.n_draft, llama.n_draft)
        self._model = model
        self._drafts: dict[int, Draft] = {}  # by sequence

    def __bool__(self) -> bool:
        return bool(self._drafts)

    def of(self, sequence: Sequence) -> list[int]:
        draft = self._drafts.get(sequence.id)
        return draft.tokens if draft else []

    def trust(self, sequence: Sequence) -> Trust:
        """Of those that have a draft."""
        return self._drafts[sequence.id].trust

    def clear(self) -> None:
        self._drafts.clear()

    def make(self, sequences: list[Sequence]) -> None:
        """Guess what comes next in each of these, which are all that the step is for."""
        self._drafts.clear()
        if not self._n_max:
            return
        # Who is most often right comes first: the others' drafts may not be worth it beside those.
        for sequence in sorted(sequences, key=lambda s: -s.trust.p) if self._n_lookup else ():
            if guess := sequence.draft(1):  # seldom, and found out at once
                self._look_up(sequence, guess[0], len(sequences))
        if self._model:
            self._ask(self._model, [s for s in sequences if s.id not in self._drafts], len(sequences))

    @property
    def _n_drafted(self) -> int:
        return sum(len(draft.tokens) for draft in self._drafts.values())

    def _outlook(self, n_decoding: int) -> Outlook:
        n_right = sum(expected(draft.trust.p, len(draft.tokens)) for draft in self._drafts.values())
        return Outlook(n_decoding + self._n_drafted, n_decoding + n_right)

    def _look_up(self, sequence: Sequence, guess: int, n_decoding: int) -> None:
        n_max = min(self._n_lookup - self._n_drafted, sequence.n_draftable(self._n_lookup))
        n = self.economics.best(n_decoding, self._outlook(n_decoding), sequence.trust.p, n_max)
        if n:
            self._drafts[sequence.id] = Draft(sequence.draft(n), sequence.trust)
        else:
            sequence.expect(guess)

    def _ask(self, model: DraftModel, sequences: list[Sequence], n_decoding: int) -> None:
        wishes = self._wishes(sequences, n_decoding)
        if not wishes:
            self.economics.rest_model()
            return
        began = perf_counter()
        found = model.draft(list(wishes.values()))
        seconds, n_asked = perf_counter() - began, 0
        for sequence in sequences:
            wish = wishes.get(sequence.id)
            tokens = found.get(wish.row) if wish else None
            if wish is None or tokens is None:
                continue
            n_asked += min(wish.n, len(tokens) + 1)
            if len(tokens) < wish.n:  # it was not sure, which is no better than wrong: it took its time
                sequence.model_trust.doubt()
            if tokens:
                self._drafts[sequence.id] = Draft(tokens, sequence.model_trust)
        if len(found) == len(wishes):  # else the time went into reading a prompt
            self.economics.record_model(n_asked, seconds)

    def _wishes(self, sequences: list[Sequence], n_decoding: int) -> dict[int, Wish]:
        """What to ask of the draft model, by sequence."""
        wishes: dict[int, Wish] = {}
        outlook = self._outlook(n_decoding)
        n_left = self._n_max - self._n_drafted
        for sequence in sequences:
            n_max, p = min(n_left, sequence.n_draftable(MODEL_DRAFT)), sequence.model_trust.p
            n = self.economics.best_of_model(n_decoding, outlook, p, n_max)
            if n:
                wishes[sequence.id] = Wish(sequence.row, sequence.tokens, n)
                n_left -= n
                seconds = outlook.seconds + n * self.economics.model_seconds
                outlook = Outlook(outlook.n_tokens + n, outlook.n_right + expected(p, n), seconds)
            else:
                sequence.model_trust.rest()
        return wishes
