"""A GBNF grammar that a sequence has to follow."""

from __future__ import annotations

import ctypes

import llama_cpp.llama_cpp as c

from power.worker.vocab import Vocab


class Grammar:
    """llama.cpp's grammar sampler; owns a C object until `close`.

    Attributes:
        pointer: for applying it to many candidates at once.
    """

    def __init__(self, text: str, vocab: Vocab) -> None:
        """Raises ValueError for a text that is not GBNF, or has no rule `root`."""
        self.pointer = c.llama_sampler_init_grammar(vocab.pointer, text.encode(errors="replace"), b"root")
        if not self.pointer:
            raise ValueError("the grammar is not valid GBNF")
        self._one = c.llama_token_data()
        self._array = c.llama_token_data_array(ctypes.pointer(self._one), 1, -1, False)

    def allows(self, token: int) -> bool:
        """Whether the token may come next; the end token may where the grammar may end."""
        self._one.id = token  # type: ignore[assignment]  # ctypes takes an int
        self._one.logit = 0.0
        c.llama_sampler_apply(self.pointer, ctypes.byref(self._array))
        return self._one.logit > float("-inf")

    def accept(self, token: int) -> None:
        """Go on with a token that is allowed.

        Raises:
            AssertionError: it is not; llama.cpp would end the process.
        """
        if not self.allows(token):
            raise AssertionError(f"the grammar does not allow token {token}")
        c.llama_sampler_accept(self.pointer, token)

    def close(self) -> None:
        if self.pointer:
            c.llama_sampler_free(self.pointer)
            self.pointer = None
