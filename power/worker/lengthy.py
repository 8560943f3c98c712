"""Texts that are many times too long, and are not read to their end.

To tokenize takes about a microsecond a byte, and a hundred bytes of memory for
each token; meanwhile nobody gets a token of an answer.  So of a text that is
likely too long only as much of the beginning is read as shows that it is.
"""

from __future__ import annotations

from power.worker.vocab import Vocab

PIECE = 64 * 1024  # characters; less is read at once and whole
# Characters. Tokens of any ordinary text are shorter on average: with so many for each token that there is room
# for, a text is worth being looked at before it is read whole.
LONG_TOKEN = 8
CUT = 16  # tokens that a cut in the middle of a text may add


def head(vocab: Vocab, text: str, n_most: int) -> tuple[str, int]:
    """The text, and 0; of one that has many more than `n_most` tokens a beginning that has more, too.

    Then the number is about how many tokens the whole text has.
    """
    if len(text) <= max(PIECE, LONG_TOKEN * n_most):
        return text, 0
    n_tokens = 0
    for end in range(PIECE, len(text), PIECE):
        n_tokens += max(0, len(vocab.tokenize(text[end - PIECE : end])) - CUT)
        if n_tokens > n_most:
            return text[:end], n_tokens * len(text) // end
    return text, 0


def count(vocab: Vocab, text: str, n_most: int) -> int:
    """How many tokens the text has as a prompt; if it has many more than `n_most`, about how many."""
    beginning, n_about = head(vocab, text, n_most)
    return n_about or len(vocab.tokenize_prompt(beginning))
