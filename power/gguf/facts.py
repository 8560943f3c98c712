"""What is known of a model from its file alone, before anything is loaded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from power.gguf.capabilities import (
    ENCODERS,
    HEADS,
    TEMPLATE_KEY,
    Evidence,
    brief,
    fim_keys,
    find_capabilities,
    of_projector,
    template_capabilities,
)
from power.gguf.constants import FILE_TYPES

if TYPE_CHECKING:  # numpy takes a while to import, and a list of models needs no GGUF opened
    from power.gguf.reader import GGUF

__all__ = ["Evidence", "Facts", "facts_of", "human_number", "read_facts", "template_capabilities"]

TOKENS_KEY = "tokenizer.ggml.tokens"
FILE_TYPE_KEY = "general.file_type"
MAX_LAYERS = 512  # LLAMA_MAX_LAYERS; a crafted file may claim billions


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A model as its GGUF describes it; 0, "" and () stand for what the file does not say."""

    architecture: str
    name: str
    n_params: int
    quantization: str  # "Q4_K_M"
    n_ctx_train: int  # tokens
    embedding_length: int
    n_layers: int
    n_heads: int  # of the layer that has most; see `heads`
    n_heads_kv: int
    tokenizer: str  # "gpt2", "llama", "bert", …
    chat_template: str | None  # Jinja
    bos: str  # the token's text
    eos: str
    capabilities: tuple[str, ...]
    kind: str = "model"  # or "projector", "adapter", "vocabulary", "imatrix"
    heads: tuple[int, ...] = ()  # of queries, one number per layer
    heads_kv: tuple[int, ...] = ()  # of keys and values; 0 in a layer that is recurrent
    fim_tokens: tuple[str, ...] = ()  # texts that open the prefix, the suffix and the middle
    chat_templates: dict[str, str] = {}  # those with a name, beside `chat_template`: "tool_use", "rag"
    evidence: tuple[Evidence, ...] = ()
    normalizes_embeddings: bool = True  # what comes out of it is meant to have length one
    stands_alone: bool = True  # False: a head (EAGLE, MTP, …) that goes on from another model's states

    @property
    def is_encoder(self) -> bool:
        """Whether it sees all of an input at once, and does nothing but encode."""
        return self.architecture in ENCODERS

    @property
    def parameter_size(self) -> str:
        """The number of parameters for people: "3.2B", "1.24M", "124K"."""
        return human_number(self.n_params)

    def why(self, fact: str) -> Evidence | None:
        """What a field or a capability was derived from; None where the file says nothing."""
        return next((evidence for evidence in self.evidence if evidence.fact == fact), None)


def read_facts(path: str | os.PathLike[str]) -> Facts:
    """Raises GGUFError like `open_gguf`, and if the file does not name its architecture."""
    from power.gguf.reader import open_gguf

    return facts_of(open_gguf(path))


def facts_of(gguf: GGUF) -> Facts:
    """The facts of an open file; GGUFError if it does not name its architecture."""
    from power.gguf.layout import GGUFError

    architecture = _text(gguf, "general.architecture")
    if not architecture:
        raise GGUFError(f"{gguf.path.name}: general.architecture is missing")
    kind = _kind(gguf, architecture)
    template = _text(gguf, TEMPLATE_KEY)
    tokenizer = _text(gguf, "tokenizer.ggml.model")
    n_layers = _largest(gguf, f"{architecture}.block_count")
    heads = _per_layer(gguf, f"{architecture}.attention.head_count", n_layers)
    heads_kv = _per_layer(gguf, f"{architecture}.attention.head_count_kv", n_layers) or heads
    found = tuple(_capabilities(gguf, kind, architecture, template))
    return Facts(
        architecture=architecture,
        name=_text(gguf, "general.name"),
        n_params=sum(info.n_elements for info in gguf.tensors.values()),
        quantization=_quantization(gguf),
        n_ctx_train=_largest(gguf, f"{architecture}.context_length"),
        embedding_length=_largest(gguf, f"{architecture}.embedding_length"),
        n_layers=n_layers,
        n_heads=_largest(gguf, f"{architecture}.attention.head_count"),
        n_heads_kv=_largest(gguf, f"{architecture}.attention.head_count_kv") or max(heads, default=0),
        tokenizer=tokenizer,
        chat_template=template or None,
        # A SentencePiece vocabulary need not say it: llama.cpp's defaults.
        bos=_token(gguf, "tokenizer.ggml.bos_token_id", 1 if tokenizer == "llama" else None),
        eos=_token(gguf, "tokenizer.ggml.eos_token_id", 2 if tokenizer == "llama" else None),
        capabilities=tuple(evidence.fact for evidence in found),
        kind=kind,
        heads=heads,
        heads_kv=heads_kv,
        fim_tokens=tuple(_token(gguf, key, None) for key in fim_keys(gguf.metadata)),
        chat_templates=_named_templates(gguf),
        evidence=(*_evidence(gguf, architecture), *found),
        normalizes_embeddings=_normalizes(gguf, architecture, tokenizer),
        stands_alone=architecture not in HEADS and any("blk.0." in name for name in gguf.tensors),
    )


def human_number(number: int) -> str:
    """A count as Ollama writes it (format.HumanNumber)."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= unit:
            places = 0 if letter == "K" or number % unit == 0 else 1 if letter == "B" else 2
            return f"{number / unit:.{places}f}{letter}"
    return str(number)


def _normalizes(gguf: GGUF, architecture: str, tokenizer: str) -> bool:
    """Old conversions of these two did not say so; whoever has stored their vectors has raw ones (Ollama's rule)."""
    said = gguf.metadata.get(f"{architecture}.normalize_embeddings")
    if architecture == "bert":
        return tokenizer == "bert" and said is not False
    return architecture != "nomic-bert" or said is True


def _named_templates(gguf: GGUF) -> dict[str, str]:
    prefix = f"{TEMPLATE_KEY}."
    return {key.removeprefix(prefix): _text(gguf, key) for key in gguf.metadata if key.startswith(prefix)}


def _kind(gguf: GGUF, architecture: str) -> str:
    said = _text(gguf, "general.type")
    if architecture == "clip" or said == "mmproj":
        return "projector"
    if said in ("adapter", "imatrix"):
        return said
    return "model" if gguf.tensors else "vocabulary"


def _capabilities(gguf: GGUF, kind: str, architecture: str, template: str) -> Iterator[Evidence]:
    if kind == "model":
        yield from find_capabilities(gguf.metadata, architecture, template)
    elif kind == "projector":
        yield from of_projector(gguf.metadata)


def _evidence(gguf: GGUF, architecture: str) -> Iterator[Evidence]:
    """Where each field comes from, in the fields' order."""
    keys = {
        "architecture": "general.architecture",
        "name": "general.name",
        "quantization": FILE_TYPE_KEY,
        "n_ctx_train": f"{architecture}.context_length",
        "embedding_length": f"{architecture}.embedding_length",
        "n_layers": f"{architecture}.block_count",
        "n_heads": f"{architecture}.attention.head_count",
        "n_heads_kv": f"{architecture}.attention.head_count_kv",
        "tokenizer": "tokenizer.ggml.model",
        "chat_template": TEMPLATE_KEY,
        "bos": "tokenizer.ggml.bos_token_id",
        "eos": "tokenizer.ggml.eos_token_id",
    }
    yield Evidence("n_params", "tensors", f"the elements of {len(gguf.tensors)} tensors")
    for fact, key in keys.items():
        if fact == "quantization" and _number(gguf.metadata.get(key)) not in FILE_TYPES:
            yield Evidence(fact, "tensors", "the type that most of the bytes are of")
        elif key in gguf.metadata:
            yield Evidence(fact, key, brief(gguf.metadata[key]))


def _quantization(gguf: GGUF) -> str:
    number = _number(gguf.metadata.get(FILE_TYPE_KEY))
    if number in FILE_TYPES:
        return FILE_TYPES[number]
    # By bytes, so that many small F32 norms do not outvote the matrices.
    sizes: Counter[str] = Counter()
    for info in gguf.tensors.values():
        sizes[info.type.name] += info.n_bytes
    return sizes.most_common(1)[0][0] if sizes else "unknown"


def _text(gguf: GGUF, key: str) -> str:
    value = gguf.metadata.get(key)
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _numbers(gguf: GGUF, key: str) -> list[int]:
    """A number or an array of numbers, of which no more are read than a model may have layers."""
    value: Any = gguf.metadata.get(key)
    some = value[:MAX_LAYERS] if hasattr(value, "__len__") else [value]
    items = some.tolist() if hasattr(some, "tolist") else some
    return [number for number in map(_number, items) if number is not None]


def _largest(gguf: GGUF, key: str) -> int:
    """A count; of one that is given per layer, the largest."""
    return max(_numbers(gguf, key), default=0)


def _per_layer(gguf: GGUF, key: str, n_layers: int) -> tuple[int, ...]:
    """A count that may be given once for all layers."""
    found = _numbers(gguf, key)
    return tuple(found * min(n_layers, MAX_LAYERS) if len(found) == 1 else found)


def _token(gguf: GGUF, key: str, default: int | None) -> str:
    index = _number(gguf.metadata.get(key, default))
    try:
        return "" if index is None else gguf.metadata.string_at(TOKENS_KEY, index)
    except LookupError:
        return ""
