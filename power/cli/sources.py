"""The files that a Modelfile on this machine names, and what to send for them.

Names are relative to the Modelfile's folder, `~` is one's home.  What exists is
a file or a checkpoint's folder; what does not and could be a model's name, is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from power.errors import BadRequest

_SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})\.gguf", re.DOTALL)
# Of a folder's weights the first kind that is there; Ollama's order, without the pickles that run code when opened.
_WEIGHTS = ("model*.safetensors", "adapter_model.safetensors", "consolidated*.safetensors", "*.gguf")
_BESIDES = ("*.json", "*/*.json", "chat_template.jinja", "tokenizer.model")


def local_files(argument: str, folder: Path) -> dict[str, Path]:
    """The files an argument of FROM or ADAPTER stands for, by the names to send; none if nothing of that name exists.

    Raises:
        BadRequest: it is a folder without weights, or a path to nothing.
    """
    path = _expanded(argument, folder)
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        return {file.name: file for file in _with_shards(path)}
    if path.exists():
        raise BadRequest(f"{argument} is neither a file nor a folder")
    if _looks_like_a_path(argument):
        raise BadRequest(f"{argument}: no such file or folder")
    return {}


def _expanded(argument: str, folder: Path) -> Path:
    try:
        return folder / Path(argument).expanduser()
    except RuntimeError as error:  # ~nobody
        raise BadRequest(f"{argument}: {error}") from error


def _looks_like_a_path(argument: str) -> bool:
    return argument.startswith((".", "/", "~")) or argument.endswith((".gguf", ".safetensors", ".bin"))


def _with_shards(path: Path) -> list[Path]:
    """The file, with the others of a model that is split."""
    match = _SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    n_files = int(match[2])
    siblings = [path.with_name(f"{match[1]}-{n + 1:05}-of-{n_files:05}.gguf") for n in range(n_files)]
    missing = [sibling.name for sibling in siblings if not sibling.is_file()]
    if missing:
        raise BadRequest(f"{path.name} is one of {n_files} files, of which {missing[0]} is missing")
    return siblings


def _of_folder(folder: Path) -> dict[str, Path]:
    weights = next((found for pattern in _WEIGHTS if (found := sorted(folder.glob(pattern)))), [])
    if not weights:
        raise BadRequest(f"no Modelfile or safetensors files found in {folder}")
    besides = [] if weights[0].suffix == ".gguf" else [path for pattern in _BESIDES for path in folder.glob(pattern)]
    return dict(_named([*weights, *besides], folder))


def _named(paths: list[Path], folder: Path) -> Iterator[tuple[str, Path]]:
    root = folder.resolve()
    for path in paths:
        # A checkpoint is a stranger's work: it must not have us send what lies elsewhere.
        if not path.resolve().is_relative_to(root):
            raise BadRequest(f"insecure path: {path}")
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path
