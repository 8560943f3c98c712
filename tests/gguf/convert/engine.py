"""llama.cpp as the judge of converted files."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# llama.cpp keeps the pointer for as long as the process lives, so this must live as long.
_QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)


class Engine:
    """A loaded file."""

    def __init__(self, path: Path, *, vocab_only: bool = False) -> None:
        llama_cpp.llama_log_set(_QUIET, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = vocab_only
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        assert self.model, f"llama.cpp does not load {path.name}"
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(self.vocab)

    def logits(self, tokens: Sequence[int], *, adapter: Path | None = None) -> Floats:
        """Of shape (len(tokens), vocabulary)."""
        with self._context(len(tokens), embeddings=False) as context:
            if adapter is not None:
                self._adapt(context, adapter)
            self._decode(context, tokens)
            rows = [llama_cpp.llama_get_logits_ith(context, n)[: self.n_vocab] for n in range(len(tokens))]
            return np.array(rows, np.float32)

    def embedding(self, tokens: Sequence[int]) -> Floats:
        """The pooled embedding of the tokens as one text, of length one."""
        with self._context(len(tokens), embeddings=True) as context:
            self._decode(context, tokens)
            n_embd = llama_cpp.llama_model_n_embd(self.model)
            pointer: Any = llama_cpp.llama_get_embeddings_seq(context, 0)
            found = np.array(pointer[:n_embd], np.float32)
            return found / np.linalg.norm(found)

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        data = text.encode()
        room = len(data) + 16
        tokens = (llama_cpp.llama_token * room)()
        n = llama_cpp.llama_tokenize(self.vocab, data, len(data), tokens, room, add_special, parse_special)
        assert n >= 0
        return list(tokens[:n])

    def close(self) -> None:
        llama_cpp.llama_model_free(self.model)

    @contextmanager
    def _context(self, n_tokens: int, *, embeddings: bool) -> Iterator[Any]:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = max(64, n_tokens)
        params.n_threads = params.n_threads_batch = 1
        params.embeddings = embeddings
        # The reference rounds nothing, so neither may the cache.
        params.type_k = params.type_v = 0
        params.flash_attn_type = 0
        context = llama_cpp.llama_init_from_model(self.model, params)
        assert context
        try:
            yield context
        finally:
            llama_cpp.llama_free(context)

    def _adapt(self, context: Any, path: Path) -> None:
        adapter = llama_cpp.llama_adapter_lora_init(self.model, str(path).encode())
        assert adapter, f"llama.cpp does not load {path.name}"
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)
        assert llama_cpp.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0)) == 0

    def _decode(self, context: Any, tokens: Sequence[int]) -> None:
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for n, token in enumerate(tokens):
            batch.token[n], batch.pos[n], batch.n_seq_id[n], batch.logits[n] = token, n, 1, True
            batch.seq_id[n][0] = 0
        try:
            assert llama_cpp.llama_decode(context, batch) == 0
        finally:
            llama_cpp.llama_batch_free(batch)


@contextmanager
def loaded(path: Path, *, vocab_only: bool = False) -> Iterator[Engine]:
    engine = Engine(path, vocab_only=vocab_only)
    try:
        yield engine
    finally:
        engine.close()
