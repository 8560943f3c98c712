"""Bytes of a projector (`mmproj`): the encoder of images or sounds beside a model.

Its weights are exact; its compute buffer is what lives at the fullest moment of
one of its layers for one picture, which llama.cpp's own allocation was not
compared with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from power.gguf.memory.cache import F32

if TYPE_CHECKING:
    from power.gguf.reader import GGUF

AUDIO_FRAMES = 1500  # of 30 seconds, as Whisper's encoder has them
MAX_POSITIONS = 2**16  # a crafted file may claim any size of a picture


class ProjectorSize(msgspec.Struct, frozen=True, kw_only=True):
    weights: int
    compute: int

    @property
    def total(self) -> int:
        return self.weights + self.compute


def projector_size(gguf: GGUF) -> ProjectorSize:
    """Of an open projector file."""
    compute = max(_encoder_bytes(gguf, "vision"), _encoder_bytes(gguf, "audio"))
    return ProjectorSize(weights=sum(info.n_bytes for info in gguf.tensors.values()), compute=compute)


def _encoder_bytes(gguf: GGUF, kind: str) -> int:
    n_embd = _number(gguf, f"clip.{kind}.embedding_length")
    n_ff = _number(gguf, f"clip.{kind}.feed_forward_length")
    n_heads = _number(gguf, f"clip.{kind}.attention.head_count")
    n_side = _number(gguf, f"clip.{kind}.image_size") // max(_number(gguf, f"clip.{kind}.patch_size"), 1)
    n_tokens = min(n_side**2 if kind == "vision" else AUDIO_FRAMES, MAX_POSITIONS)
    if not n_embd:
        return 0
    return F32 * n_tokens * max(n_ff + 4 * n_embd, 5 * n_embd + n_heads * n_tokens)


def _number(gguf: GGUF, key: str) -> int:
    value = gguf.metadata.get(key)
    return max(0, value) if isinstance(value, int) else 0
