"""A prompt template for a GGUF that has none, told by the markers in its vocabulary.

Ollama gives every GGUF with a Jinja chat template the nearest of its own
templates instead, by edit distance.  Here such a file keeps what it came with:
its own template is exact, and Power renders Jinja.  So only a file without one
is looked at, and only for markers that are tokens of their own: nobody puts
`<|im_start|>` into a vocabulary and means anything else by it.
"""

from __future__ import annotations

from typing import NamedTuple

from power.gguf import GGUF

TOKENS_KEY = "tokenizer.ggml.tokens"


class Template(NamedTuple):
    """A Go template, as a model's template layer has it."""

    name: str  # Ollama's
    markers: tuple[str, ...]  # tokens that have to be there
    text: str
    stop: tuple[str, ...]


TEMPLATES = (
    Template(
        "chatml",
        ("<|im_start|>", "<|im_end|>"),
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n",
        ("<|im_start|>", "<|im_end|>"),
    ),
    Template(
        "llama3-instruct",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    Template(
        "gemma-instruct",
        ("<start_of_turn>", "<end_of_turn>"),
        '{{- range .Messages }}<start_of_turn>{{ if eq .Role "assistant" }}model{{ else }}user{{ end }}\n'
        "{{ .Content }}<end_of_turn>\n{{ end }}<start_of_turn>model\n",
        ("<start_of_turn>", "<end_of_turn>"),
    ),
    Template(
        "phi-3",
        ("<|user|>", "<|assistant|>", "<|end|>"),
        "{{- range .Messages }}<|{{ .Role }}|>\n{{ .Content }}<|end|>\n{{ end }}<|assistant|>\n",
        ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>"),
    ),
)


def detect_template(gguf: GGUF) -> Template | None:
    """The first template all of whose markers are tokens; None if the file has a template, or no markers."""
    if gguf.metadata.get("tokenizer.chat_template"):
        return None
    tokens = gguf.metadata.get(TOKENS_KEY)
    if not isinstance(tokens, list):
        return None
    vocabulary = {token for token in tokens if isinstance(token, str)}
    return next((template for template in TEMPLATES if vocabulary.issuperset(template.markers)), None)
