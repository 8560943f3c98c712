"""From a `Start` to a sequence that can be decoded, or the reason why not."""

from __future__ import annotations

from power.worker.candidates import Candidates
from power.worker.grammar import Grammar, Grammars
from power.worker.lengthy import head
from power.worker.llama import Llama
from power.worker.sampler import BadSampling, Sampler
from power.worker.sequence import Sequence
from power.worker.vocab import Vocab
from power.worker.wire import Refused, Start


class Rejected(Exception):
    """The sequence cannot be started; `event` tells the server why."""

    def __init__(self, event: Refused) -> None:
        super().__init__(event.message)
        self.event = event


class Admission:
    """Checks prompts, makes samplers."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._candidates = Candidates(vocab.n_tokens)
        self._grammars = Grammars(vocab, self._candidates)

    @property
    def is_prepared(self) -> bool:
        """Whether a grammar can be opened at once."""
        return self._grammars.pieces.is_ready

    def prepare(self, seconds: float) -> None:
        """Get on with what the first grammar would have to wait for."""
        self._grammars.pieces.prepare(seconds)

    def admit(self, start: Start, llama: Llama) -> Sequence:
        """A sequence ready to be decoded in that context.

        Raises:
            Rejected: the prompt or the sampling is not possible; nothing has changed.
        """
        n_ctx = min(start.n_ctx, llama.n_ctx_max) if start.n_ctx > 0 else llama.n_ctx
        prompt = self._read_prompt(start, n_ctx)
        if len(prompt) > n_ctx - 1:
            raise _too_long(start, len(prompt), n_ctx)
        return Sequence(start, prompt, n_ctx, self._make_sampler(start), self._vocab)

    def _read_prompt(self, start: Start, n_ctx: int) -> list[int]:
        vocab = self._vocab
        prompt: list[int] = []
        for part in start.prompt:
            if isinstance(part, str):
                beginning, n_about = head(vocab, part, n_ctx)
                if n_about:
                    raise _too_long(start, len(prompt) + n_about, n_ctx)
                prompt += vocab.tokenize(beginning)
            elif all(0 <= token < vocab.n_tokens for token in part):
                prompt += part
            else:
                message = f"the context has tokens that are not in the vocabulary of {vocab.n_tokens} tokens"
                raise Rejected(Refused(start.id, "bad-request", message, field="context"))
        prompt = vocab.with_bos(prompt)
        if not prompt and vocab.bos >= 0:
            return [vocab.bos]
        if not prompt:
            raise Rejected(Refused(start.id, "bad-request", "the prompt is empty", field="prompt"))
        return prompt

    def _make_sampler(self, start: Start) -> Sampler:
        grammar = self._open_grammar(start)
        try:
            return Sampler(start.sampling, grammar, self._vocab, self._candidates)
        except BadSampling as error:
            if grammar is not None:
                grammar.close()
            raise Rejected(Refused(start.id, "bad-request", str(error), field=error.field)) from None

    def _open_grammar(self, start: Start) -> Grammar | None:
        if not start.grammar:
            return None
        try:
            return self._grammars.open(start.grammar, start.rules, start.visible)
        except ValueError as error:
            raise Rejected(Refused(start.id, "bad-request", str(error), field="format")) from None


def _too_long(start: Start, n_prompt: int, n_ctx: int) -> Rejected:
    message = f"the prompt has {n_prompt} tokens, and the context room for {n_ctx} with the answer"
    return Rejected(Refused(start.id, "too-long", message, n_prompt=n_prompt, n_ctx=n_ctx))
