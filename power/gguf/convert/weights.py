"""The bookkeeping of a conversion: every tensor of the checkpoint is used, or known to be of no use.

A tensor that nobody asks for is an error: a model that is silently short of a
bias answers, and answers wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from power.gguf.convert.errors import ConvertError
from power.gguf.convert.safetensors import StoredTensor
from power.gguf.convert.sources import Rows

# Buffers that code computes again and older checkpoints saved nevertheless.
_BUFFERS = re.compile(r"(\.rotary_emb\.inv_freq|\.masked_bias|(^|\.)embeddings\.position_ids|\.attn\.rotary_emb\..*)$")


class Output(NamedTuple):
    """A tensor to be written; `shape` is its source's."""

    name: str  # llama.cpp's
    source: Rows
    keep_float32: bool = False  # whatever the file's type: what llama.cpp computes with as it is


class Model(NamedTuple):
    """What a checkpoint becomes, but for its vocabulary."""

    architecture: str  # llama.cpp's
    metadata: dict[str, Any]  # without the vocabulary's
    outputs: list[Output]
    n_vocab: int  # rows of the token embeddings


class Weights:
    """A checkpoint's tensors, taken by name."""

    def __init__(self, tensors: Mapping[str, StoredTensor], prefix: str = "") -> None:
        self._tensors = tensors
        self._left = {name for name in tensors if not _BUFFERS.search(name)}
        self.prefix = prefix  # in front of every name that is asked for

    def has(self, name: str) -> bool:
        return self.prefix + name in self._tensors

    def take(self, name: str, *shape: int) -> StoredTensor:
        """The tensor of this name; ConvertError if there is none, or none of this shape."""
        tensor = self._tensors.get(self.prefix + name)
        if tensor is None:
            raise ConvertError(f"the checkpoint has no tensor {self.prefix + name!r}, which its config.json asks for")
        if tensor.shape != shape:
            raise ConvertError(
                f"{tensor.file.path.name}: tensor {tensor.name!r} has the shape {list(tensor.shape)}; "
                f"by config.json it is {list(shape)}"
            )
        self._left.discard(tensor.name)
        return tensor

    def ignore(self, pattern: str) -> None:
        """Say that tensors whose whole name matches are of no use."""
        matches = re.compile(pattern).fullmatch
        self._left = {name for name in self._left if not matches(name)}

    def check_all_taken(self, architecture: str) -> None:
        """Raise ConvertError if a tensor is left that nobody asked for."""
        if self._left:
            some = ", ".join(sorted(self._left)[:5])
            raise ConvertError(
                f"{len(self._left)} tensors of the checkpoint have no place in a {architecture} model: {some}"
                f"{', …' if len(self._left) > 5 else ''}; it is a variant that cannot be converted"
            )
