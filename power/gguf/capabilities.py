"""What a model can do, and what in its file says so.

Nothing in a GGUF lists capabilities. They follow from keys (a pooling type, an
encoder's layers, fill-in-the-middle tokens) and from what the chat template
writes and reads. The rules for completion, embedding, tools, thinking and vision
are Ollama's (server/images.go), so that clients see the same list; the others
follow llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

TEMPLATE_KEY = "tokenizer.chat_template"
POOLING_RANK = 4  # LLAMA_POOLING_TYPE_RANK: one score for a query and a document
# Architectures that only ever encode, also where a file forgets its pooling type.
ENCODERS = frozenset(
    "bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert"
    " gemma-embedding llama-embed t5encoder".split()
)
# Architectures that draft from the states of the model they belong to (src/llama-arch.cpp).
HEADS = frozenset({"eagle3", "dflash", "gemma4-assistant"})
# A token that opens what comes before the gap, what comes after it, and the gap itself;
# the second name of each is the old one (src/llama-arch.cpp).
FIM_KEYS = tuple(
    (f"tokenizer.ggml.fim_{short}_token_id", f"tokenizer.ggml.{long}_token_id")
    for short, long in (("pre", "prefix"), ("suf", "suffix"), ("mid", "middle"))
)
# Markers of thinking beside <think>, as the templates of Mistral, Cohere, ByteDance and OpenAI write them.
THINKING_MARKERS = ("[THINK]", "<|START_THINKING|>", "<seed:think>", "<|channel|>analysis")
# Variables a template reads where thinking can be switched or measured out.
THINKING_SWITCHES = ("enable_thinking", "reasoning_effort", "thinking_budget")


class Evidence(msgspec.Struct, frozen=True):
    """Why a fact is believed: `source` is a metadata key or "tensors", `text` what stands there."""

    fact: str  # a field of Facts, or a capability
    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.source}: {self.text}"


def find_capabilities(metadata: Mapping[str, Any], architecture: str, template: str) -> Iterator[Evidence]:
    """Every capability of a model once, with its evidence."""
    yield from template_evidence(template)
    yield from _purpose(metadata, architecture)
    for kind in ("vision", "audio"):
        key = f"{architecture}.{kind}.block_count"
        if key in metadata:
            yield Evidence(kind, key, brief(metadata[key]))
    fim = fim_keys(metadata)
    if fim:
        yield Evidence("insert", ", ".join(fim), ", ".join(brief(metadata[key]) for key in fim))


def of_projector(metadata: Mapping[str, Any]) -> Iterator[Evidence]:
    """What a projector (`mmproj`) adds to the model it belongs to."""
    for kind in ("vision", "audio"):
        key = f"clip.has_{kind}_encoder"
        if metadata.get(key) is True:
            yield Evidence(kind, key, "true")


def template_evidence(template: str) -> Iterator[Evidence]:
    """What a Jinja chat template can do, by its text."""
    if called := re.search(r"tool_call|tools", template):
        yield Evidence("tools", TEMPLATE_KEY, _around(template, called))
    if thinks := _thinking(template):
        yield Evidence("thinking", TEMPLATE_KEY, _around(template, thinks))


def template_capabilities(template: str) -> list[str]:
    """The names of `template_evidence`."""
    return [evidence.fact for evidence in template_evidence(template)]


def fim_keys(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of the three fill-in-the-middle tokens; empty unless the file has them all."""
    found = [next((key for key in names if key in metadata), "") for names in FIM_KEYS]
    return tuple(found) if all(found) else ()


def _purpose(metadata: Mapping[str, Any], architecture: str) -> Iterator[Evidence]:
    """Completion, or what an encoder is for."""
    pooling = metadata.get(f"{architecture}.pooling_type")
    if pooling is not None:
        fact = "rerank" if isinstance(pooling, int) and pooling == POOLING_RANK else "embedding"
        yield Evidence(fact, f"{architecture}.pooling_type", brief(pooling))
    elif metadata.get(f"{architecture}.attention.causal") is False:
        yield Evidence("embedding", f"{architecture}.attention.causal", "false")
    elif architecture in ENCODERS:
        yield Evidence("embedding", "general.architecture", architecture)
    else:
        yield Evidence("completion", "general.architecture", architecture)


def _thinking(template: str) -> re.Match[str] | None:
    """The place that gives it away, if there is one."""
    if "<think>" in template and "</think>" in template:
        return re.search("<think>", template)
    # Old templates drop a past turn's thinking without ever writing the opening tag.
    split = re.search(r"content\.split\((['\"])</think>\1\)", template)
    if split and "reasoning_content" not in template and "<SPECIAL_12>" not in template:
        return split
    return re.search("|".join(map(re.escape, THINKING_MARKERS + THINKING_SWITCHES)), template)


def brief(value: Any, n_chars: int = 60) -> str:
    """A metadata value on one short line; of an array, however long, only the first items are looked at."""
    some = value[:n_chars] if hasattr(value, "__len__") else value
    text = " ".join(str(some.tolist() if hasattr(some, "tolist") else some).split())
    return text if len(text) < n_chars else text[: n_chars - 1] + "…"


def _around(text: str, found: re.Match[str], n_chars: int = 24) -> str:
    """The find and a little of what stands around it, on one line."""
    start, end = max(0, found.start() - n_chars), found.end() + n_chars
    words = " ".join(text[start:end].split())
    return ("…" if start else "") + words + ("…" if end < len(text) else "")
