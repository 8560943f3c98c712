"""Turn a checkpoint into a GGUF file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from power.gguf.constants import TYPE_NAMED, TensorType
from power.gguf.convert.checkpoint import Checkpoint, open_checkpoint
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.families import find_family
from power.gguf.convert.lora import ADAPTER_CONFIG, open_adapter
from power.gguf.convert.packing import FILE_TYPES, pack, tensor_type
from power.gguf.convert.pooling import pooling_type
from power.gguf.convert.settings import Settings
from power.gguf.convert.sources import chunks
from power.gguf.convert.tokenizer import tokenizer_metadata
from power.gguf.convert.weights import Output, Weights
from power.gguf.layout import GGUFError
from power.gguf.writer import TensorSource, write_gguf

Progress = Callable[[int, int], None]
"""Called with the bytes written so far and the bytes of the whole file."""


def convert(
    checkpoint: Path, out: Path, *, type: str = "f16", base: Path | None = None, progress: Progress | None = None
) -> None:
    """Convert a Hugging Face checkpoint directory, or a LoRA adapter's, to a GGUF file.

    The file appears whole or not at all; memory is a hundred megabytes or so
    whatever the model's size.  Vectors and what llama.cpp computes with as it is stay F32.

    Args:
        type: of the matrices: "f32", "f16", "bf16" or "q8_0".
        base: the checkpoint that an adapter adapts, of which config.json is enough;
            None takes the one its adapter_config.json names, if that is a directory.

    Raises:
        ConvertError: the checkpoint is not whole, contradicts itself, or is of a
            kind that cannot be converted; or the file cannot be written.
    """
    if type not in FILE_TYPES:
        raise ConvertError(f"{type!r} is no type to convert to; there are {', '.join(FILE_TYPES)}")
    if not checkpoint.is_dir():
        raise ConvertError(f"{checkpoint} is not a directory; a checkpoint is one, with config.json and weights in it")
    if (checkpoint / ADAPTER_CONFIG).exists():
        with open_adapter(checkpoint, base) as (metadata, outputs):
            _write(out, metadata, outputs, type, progress)
        return
    with open_checkpoint(checkpoint) as opened:
        metadata, outputs = _plan(opened, type)
        _write(out, metadata, outputs, type, progress)


def _plan(checkpoint: Checkpoint, kind: str) -> tuple[dict[str, Any], list[Output]]:
    settings, weights = Settings(checkpoint.config), Weights(checkpoint.tensors)
    model = find_family(checkpoint.config)(settings, weights)
    weights.check_all_taken(model.architecture)
    vocabulary = tokenizer_metadata(checkpoint.folder, model.n_vocab)
    metadata: dict[str, Any] = {
        "general.architecture": model.architecture,
        "general.type": "model",
        "general.name": _name(checkpoint, model.architecture, vocabulary),
        "general.file_type": FILE_TYPES[kind],
        "general.quantization_version": 2,  # GGML_QNT_VERSION, ggml/include/ggml.h
        **model.metadata,
    }
    pooling = pooling_type(checkpoint.folder)
    if pooling is not None:
        metadata[f"{model.architecture}.pooling_type"] = pooling
    return metadata | vocabulary, model.outputs


def _write(out: Path, metadata: dict[str, Any], outputs: list[Output], kind: str, progress: Progress | None) -> None:
    try:
        write_gguf(out, metadata, [_source(output, kind) for output in outputs], progress=progress)
    except GGUFError as error:
        raise ConvertError(error.message) from error


def _source(output: Output, kind: str) -> TensorSource:
    shape = output.source.shape
    keeps = output.keep_float32 or len(shape) == 1
    packed = TYPE_NAMED["F32"] if keeps else tensor_type(kind, shape[-1])
    return TensorSource(output.name, shape, packed, partial(_pieces, output, packed))


def _pieces(output: Output, packed: TensorType) -> Iterator[npt.NDArray[np.uint8]]:
    return (pack(rows, packed, output.name) for rows in chunks(output.source))


# In files of these names llama.cpp lets special tokens swallow the spaces after
# them, as Phi 3's do, and does not load those without these tokens (src/llama-vocab.cpp).
_PHI3_NAME = re.compile("(phi)-?(3)", re.IGNORECASE)
_PHI3_TOKENS = {"</s>", "<unk>", "<s>", "<|endoftext|>"}


def _name(checkpoint: Checkpoint, architecture: str, vocabulary: Mapping[str, Any]) -> str:
    name = checkpoint.folder.resolve().name
    if not _PHI3_TOKENS.issubset(vocabulary["tokenizer.ggml.tokens"]):
        return _PHI3_NAME.sub(r"\1 \2", name)
    is_phi3 = architecture == "phi3" and vocabulary["tokenizer.ggml.model"] == "llama"
    return f"{name} (Phi-3)" if is_phi3 and not _PHI3_NAME.search(name) else name
