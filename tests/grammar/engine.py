"""llama.cpp's own grammar engine as a judge of texts, over the embedded model's vocabulary."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path

import llama_cpp

PACKAGED = Path(__file__).parents[2] / "power" / "data" / "tiny.gguf"

# llama.cpp keeps the pointer for as long as the process lives, so this must live as long.
_QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)


class Engine:
    """Says whether a grammar accepts a text, whole or as a beginning."""

    def __init__(self) -> None:
        llama_cpp.llama_log_set(_QUIET, None)
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self._model = llama_cpp.llama_model_load_from_file(str(PACKAGED).encode(), params)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._end = llama_cpp.llama_vocab_eos(self._vocab)

    def accepts(self, grammar: str, text: str) -> bool:
        """Whether `text` is a whole sentence of the grammar."""
        return self.n_accepted(grammar, text) == len(text.encode()) + 1

    def n_accepted(self, grammar: str, text: str) -> int:
        """How many bytes of the text the grammar goes along with, and one more for its end."""
        sampler = llama_cpp.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
        assert sampler, "llama.cpp cannot parse the grammar"
        try:
            n_bytes = 0
            for token in [*self._tokenize(text), self._end]:
                if not self._allows(sampler, token):
                    return n_bytes
                if token == self._end:
                    return n_bytes + 1
                llama_cpp.llama_sampler_accept(sampler, token)
                n_bytes += self._n_bytes(token)
            return n_bytes
        finally:
            llama_cpp.llama_sampler_free(sampler)

    def close(self) -> None:
        llama_cpp.llama_model_free(self._model)

    def _allows(self, sampler: object, token: int) -> bool:
        data = (llama_cpp.llama_token_data * 1)(llama_cpp.llama_token_data(token, 1.0, 0.0))
        candidates = llama_cpp.llama_token_data_array(data, 1, -1, False)
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(candidates))
        return not math.isinf(data[0].logit)

    def _tokenize(self, text: str) -> list[int]:
        data = text.encode()
        tokens = (llama_cpp.llama_token * (len(data) + 1))()
        n_tokens = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, len(tokens), False, False)
        return list(tokens[:n_tokens])

    def _n_bytes(self, token: int) -> int:
        piece = ctypes.create_string_buffer(256)
        return int(llama_cpp.llama_token_to_piece(self._vocab, token, piece, len(piece), 0, True))
