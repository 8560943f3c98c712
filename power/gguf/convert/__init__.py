"""Convert Hugging Face checkpoints to GGUF, without torch or transformers.

    convert(Path("Qwen3-0.6B"), Path("qwen3.gguf"), type="q8_0")     # raises ConvertError, and nothing else

The way through: `checkpoint` opens the files and trusts nothing, `families` finds who
knows the architecture, which plans the tensors as `sources` of rows and the keys out
of `settings`; `tokenizer` reads the vocabulary; `conversion` puts it together.
"""

from __future__ import annotations

from power.gguf.convert.conversion import convert
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.families import FAMILIES

ARCHITECTURES = tuple(FAMILIES)
"""The classes of transformers that can be converted, as config.json names them."""

__all__ = ["ARCHITECTURES", "ConvertError", "convert"]
