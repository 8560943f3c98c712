"""A query and a document as the one sequence that a reranker scores.

The model's own template (`tokenizer.chat_template.rerank`) if it has one, else
what cross-encoders are trained on: BOS query EOS SEP document EOS, of which the
vocabulary says which it wants.  The rules are llama.cpp's
(tools/server/server-common.cpp, `format_prompt_rerank`), but for one thing: a
"{document}" in the query stays what it is.
"""

from __future__ import annotations

import re

import llama_cpp.llama_cpp as c

from power.worker.vocab import Vocab
from power.worker.weights import Weights

SLOT = re.compile(r"\{(query|document)\}")


class PairFormat:
    """How one model wants its pairs."""

    def __init__(self, weights: Weights) -> None:
        self._vocab = weights.vocab
        template: bytes | None = c.llama_model_chat_template(weights.model, b"rerank")
        self._template = template.decode(errors="replace") if template else ""

    def tokens(self, query: str, document: str, limit: int | None) -> list[int]:
        """The pair, its document cut so that it has at most `limit` tokens; more if that is not enough."""
        whole = self._join(query, self._vocab.tokenize(document, parse_special=False), document)
        if limit is None or len(whole) <= limit:
            return whole
        bare = self._vocab.tokenize(document, parse_special=False)
        n_kept = len(bare)
        while len(whole) > limit and n_kept:
            n_kept = max(0, n_kept - (len(whole) - limit))
            whole = self._join(query, bare[:n_kept], self._vocab.detokenize(bare[:n_kept]).decode(errors="ignore"))
        return whole

    def _join(self, query: str, document: list[int], text: str) -> list[int]:
        vocab = self._vocab
        if self._template:
            values = {"query": query, "document": text}
            return vocab.tokenize(SLOT.sub(lambda slot: values[slot[1]], self._template))
        bos, eos, sep = _ends(vocab)
        return [*bos, *vocab.tokenize(query, parse_special=False), *eos, *sep, *document, *eos]


def _ends(vocab: Vocab) -> tuple[list[int], list[int], list[int]]:
    """BOS, EOS and SEP, each an empty list where the vocabulary does not want it."""
    pointer = vocab.pointer
    sep: int = c.llama_vocab_sep(pointer)
    eos = vocab.eos if vocab.eos >= 0 else sep
    wanted = (
        (vocab.adds_bos, vocab.bos),
        (c.llama_vocab_get_add_eos(pointer), eos),
        (c.llama_vocab_get_add_sep(pointer), sep),
    )
    bos_list, eos_list, sep_list = ([token] if wants and token >= 0 else [] for wants, token in wanted)
    return bos_list, eos_list, sep_list
