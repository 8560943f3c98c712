"""A Hugging Face checkpoint: a directory of config.json, tokenizer files and weights.

Weights are in `model.safetensors`, or in shards that `model.safetensors.index.json`
names.  The index is a stranger's text: it may only name files of its own directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from power.gguf.convert.documents import read_json
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.safetensors import StoredTensor, open_file, read_header

INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"


class Checkpoint(NamedTuple):
    """An open checkpoint; its files close with the block that opened it."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]


@contextmanager
def open_checkpoint(folder: Path) -> Iterator[Checkpoint]:
    """Open the configuration and the headers of all weights.

    Raises:
        ConvertError: something is missing, or is not what it should be.
    """
    config = read_json(folder / "config.json")
    with ExitStack() as stack:
        yield Checkpoint(folder, config, open_tensors(_weight_files(folder), stack))


def open_tensors(paths: list[Path], stack: ExitStack) -> dict[str, StoredTensor]:
    """The tensors of all files by name; the files close with the stack."""
    tensors: dict[str, StoredTensor] = {}
    for path in paths:
        file = open_file(path)
        stack.callback(file.close)
        for name, tensor in read_header(file).items():
            if name in tensors:
                raise ConvertError(f"tensor {name!r} is both in {tensors[name].file.path.name} and in {path.name}")
            tensors[name] = tensor
    return tensors


def _weight_files(folder: Path) -> list[Path]:
    if (folder / INDEX).exists():
        return _shards(folder)
    if not (folder / WEIGHTS).exists():
        raise ConvertError(
            f"{folder.name} has neither {WEIGHTS} nor {INDEX}; weights in other formats (pytorch_model.bin) "
            "run code when they are opened, so save the model as safetensors first"
        )
    return [folder / WEIGHTS]


def _shards(folder: Path) -> list[Path]:
    weight_map = read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ConvertError(f"{INDEX} has no weight_map")
    names = sorted({_shard_name(name) for name in weight_map.values()})
    for name in names:
        if not (folder / name).exists():
            raise ConvertError(f"{INDEX} names the shard {name}, which is not there; fetch the whole checkpoint")
    return [folder / name for name in names]


def _shard_name(name: Any) -> str:
    if not isinstance(name, str) or not name.endswith(".safetensors"):
        raise ConvertError(f"{INDEX} names {name!r}, which is no safetensors file")
    if PurePosixPath(name).name != name or "\\" in name or "\0" in name:
        raise ConvertError(f"{INDEX} names {name!r}, a file outside the checkpoint's directory")
    return name
