"""What is known of a model from its file alone, before anything is loaded."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from power.gguf.constants import FILE_TYPES

if TYPE_CHECKING:  # numpy takes a while to import, and a list of models needs no GGUF opened
    from power.gguf.reader import GGUF

TOKENS_KEY = "tokenizer.ggml.tokens"
TEMPLATE_KEY = "tokenizer.chat_template"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A model as its GGUF describes it; 0 and "" stand for what the file does not say."""

    architecture: str
    name: str
    n_params: int
    quantization: str  # "Q4_K_M"
    n_ctx_train: int  # tokens
    embedding_length: int
    n_layers: int
    n_heads: int
    n_heads_kv: int
    tokenizer: str  # "gpt2", "llama", "bert", …
    chat_template: str | None  # Jinja
    bos: str  # the token's text
    eos: str
    capabilities: tuple[str, ...]

    @property
    def parameter_size(self) -> str:
        """The number of parameters for people: "3.2B", "1.24M", "124K"."""
        return human_number(self.n_params)


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
    template = _text(gguf, TEMPLATE_KEY) or None
    tokenizer = _text(gguf, "tokenizer.ggml.model")
    n_heads = _largest(gguf, f"{architecture}.attention.head_count")
    return Facts(
        architecture=architecture,
        name=_text(gguf, "general.name"),
        n_params=sum(info.n_elements for info in gguf.tensors.values()),
        quantization=_quantization(gguf),
        n_ctx_train=_largest(gguf, f"{architecture}.context_length"),
        embedding_length=_largest(gguf, f"{architecture}.embedding_length"),
        n_layers=_largest(gguf, f"{architecture}.block_count"),
        n_heads=n_heads,
        n_heads_kv=_largest(gguf, f"{architecture}.attention.head_count_kv") or n_heads,
        tokenizer=tokenizer,
        chat_template=template,
        # A SentencePiece vocabulary need not say it: llama.cpp's defaults.
        bos=_token(gguf, "bos", 1 if tokenizer == "llama" else None),
        eos=_token(gguf, "eos", 2 if tokenizer == "llama" else None),
        capabilities=_capabilities(gguf, architecture, template or ""),
    )


def human_number(number: int) -> str:
    """A count as Ollama writes it (format.HumanNumber)."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= unit:
            places = 0 if letter == "K" or number % unit == 0 else 1 if letter == "B" else 2
            return f"{number / unit:.{places}f}{letter}"
    return str(number)


def template_capabilities(template: str) -> list[str]:
    """What a Jinja chat template can do, by its text, with Ollama's rules (server/images.go)."""
    found = []
    if "tools" in template or "tool_call" in template:
        found.append("tools")
    tagged = "<think>" in template and "</think>" in template
    split = re.search(r"content\.split\((['\"])</think>\1\)", template) is not None
    if tagged or (split and "reasoning_content" not in template and "<SPECIAL_12>" not in template):
        found.append("thinking")
    return found


def _capabilities(gguf: GGUF, architecture: str, template: str) -> tuple[str, ...]:
    embeds = f"{architecture}.pooling_type" in gguf.metadata
    found = template_capabilities(template)
    found.append("embedding" if embeds else "completion")
    for kind in ("vision", "audio"):
        if f"{architecture}.{kind}.block_count" in gguf.metadata:
            found.append(kind)
    return tuple(found)


def _quantization(gguf: GGUF) -> str:
    number = _number(gguf.metadata.get("general.file_type"))
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


def _largest(gguf: GGUF, key: str) -> int:
    """A count; of one that is given per layer, the largest."""
    value = gguf.metadata.get(key)
    items = getattr(value, "tolist", list)() if hasattr(value, "__len__") else [value]
    return max((number for number in map(_number, items) if number is not None), default=0)


def _token(gguf: GGUF, which: str, default: int | None) -> str:
    index = _number(gguf.metadata.get(f"tokenizer.ggml.{which}_token_id", default))
    try:
        return "" if index is None else gguf.metadata.string_at(TOKENS_KEY, index)
    except LookupError:
        return ""
