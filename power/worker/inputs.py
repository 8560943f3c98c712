"""What is to be embedded or scored, from text to tokens, or the reason why it cannot be."""

from __future__ import annotations

from power.worker.lengthy import head
from power.worker.rerank import PairFormat
from power.worker.vocab import Vocab
from power.worker.wire import Embed, Refused


class BadInput(Exception):
    """An input cannot be embedded; `event` tells the server why."""

    def __init__(self, event: Refused) -> None:
        super().__init__(event.message)
        self.event = event


class Inputs:
    """Reads the inputs of commands; `n_most` tokens are the most that one may have."""

    def __init__(self, vocab: Vocab, pairs: PairFormat, n_most: int) -> None:
        self._vocab = vocab
        self._pairs = pairs
        self._n_most = n_most

    def read(self, command: Embed, index: int) -> list[int]:
        """The tokens of one input; BadInput if it is too long, empty, or not of this vocabulary."""
        limit = self._n_most if command.n_ctx <= 0 else min(command.n_ctx, self._n_most)
        item = command.inputs[index]
        if isinstance(item, str):
            read = self._text if command.query is None else self._pair
            tokens = read(command, index, item, limit)
        else:
            self._check_tokens(command, index, item)
            tokens = list(item[:limit]) if command.truncate else list(item)
        if not tokens:
            raise BadInput(Refused(command.id, "bad-request", f"input {index} is empty", field="input"))
        if len(tokens) > limit:
            raise BadInput(_too_long(command, index, len(tokens), limit))
        return tokens

    def _text(self, command: Embed, index: int, text: str, limit: int) -> list[int]:
        before, after = self._vocab.ends
        text, n_about = head(self._vocab, text, limit)
        if n_about and not command.truncate:
            raise BadInput(_too_long(command, index, n_about, limit))
        tokens = self._vocab.tokenize(text, add_special=True)
        room = limit - len(before) - len(after)
        if len(tokens) <= limit or not command.truncate:
            return tokens
        if room <= 0:
            message = "input after truncation exceeds maximum context length"
            raise BadInput(Refused(command.id, "bad-request", message, field="input"))
        return [*tokens[: len(before) + room], *after]

    def _pair(self, command: Embed, index: int, document: str, limit: int) -> list[int]:
        assert command.query is not None
        _, n_query = head(self._vocab, command.query, limit)
        document, n_document = head(self._vocab, document, limit)
        if n_query or (n_document and not command.truncate):
            raise BadInput(_too_long(command, index, n_query + n_document, limit))
        return self._pairs.tokens(command.query, document, limit if command.truncate else None)

    def _check_tokens(self, command: Embed, index: int, tokens: tuple[int, ...]) -> None:
        n_vocab = self._vocab.n_tokens
        if not all(0 <= token < n_vocab for token in tokens):
            message = f"input {index} has tokens that are not in the vocabulary of {n_vocab} tokens"
            raise BadInput(Refused(command.id, "bad-request", message, field="input"))


def _too_long(command: Embed, index: int, n_tokens: int, limit: int) -> Refused:
    if command.query is not None:
        message = f"the query and document {index} have {n_tokens} tokens together, and the model room for {limit}"
    else:
        message = f"the input length exceeds the context length (input {index}: {n_tokens} tokens, limit {limit})"
    return Refused(command.id, "bad-request", message, field="input")
