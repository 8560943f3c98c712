"""Bytes of a projector (`mmproj`): the encoder of images or sounds beside a model.

Its weights are exact.  Its compute buffer is what lives at the fullest moment of
one of its layers for one picture: with flash attention that is the feed-forward
step, without it the scores of all heads.  Held against llama.cpp's own
allocation for pictures in the shapes of CLIP and SigLIP; of sounds it is the
same sum, and was not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from power.gguf.memory.cache import F32

if TYPE_CHECKING:
    from power.gguf.reader import GGUF

AUDIO_FRAMES = 1500  # of 30 seconds, as Whisper's encoder has them
# A crafted file may claim any size of a picture.
MAX_POSITIONS = 2**16
MAX_PIXELS = 2**14  # a side
N_COLOURS = 3


class ProjectorSize(msgspec.Struct, frozen=True, kw_only=True):
    weights: int
    compute: int

    @property
    def total(self) -> int:
        return self.weights + self.compute


def projector_size(gguf: GGUF, *, flash_attention: bool | None = None) -> ProjectorSize:
    """Of an open projector file. llama.cpp's CPU backend has flash attention, so None stands for it."""
    compute = max(_encoder_bytes(gguf, kind, flash_attention is not False) for kind in ("vision", "audio"))
    return ProjectorSize(weights=sum(info.n_bytes for info in gguf.tensors.values()), compute=compute)


def _encoder_bytes(gguf: GGUF, kind: str, flash_attention: bool) -> int:
    n_embd = _number(gguf, f"clip.{kind}.embedding_length")
    n_ff = _number(gguf, f"clip.{kind}.feed_forward_length")
    n_heads = _number(gguf, f"clip.{kind}.attention.head_count")
    n_pixels = _number(gguf, f"clip.{kind}.image_size")
    n_side = n_pixels // max(_number(gguf, f"clip.{kind}.patch_size"), 1)
    n_tokens = min(n_side**2 if kind == "vision" else AUDIO_FRAMES, MAX_POSITIONS)
    if not n_embd:
        return 0
    if not flash_attention:
        return F32 * n_tokens * max(n_ff + 4 * n_embd, 5 * n_embd + n_heads * n_tokens)
    return F32 * (n_tokens * (n_ff + 3 * n_embd) + N_COLOURS * min(n_pixels, MAX_PIXELS) ** 2)


def _number(gguf: GGUF, key: str) -> int:
    value = gguf.metadata.get(key)
    return max(0, value) if isinstance(value, int) else 0
