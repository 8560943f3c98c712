"""`power create`: a Modelfile, and the files it names, to a model."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import trio

from power.cli.connect import open_power
from power.cli.progress import Show, open_progress
from power.cli.sources import local_files
from power.client import Client, Step
from power.config import Config
from power.errors import BadRequest, PowerError
from power.store.blobs import Blobs
from power.store.modelfile import MAX_LENGTH, read_modelfile
from power.store.modelfile_recipe import Recipe, recipe_of

PIECE_BYTES = 2**20


async def create_model(config: Config, model: str, file: str | None, quantize: str | None, imatrix: str | None) -> None:
    recipe, folder = _recipe(file)
    for warning in recipe.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    base, files = _sources(recipe, folder)
    adapters = dict(_all(local_files(adapter, folder) for adapter in recipe.adapters))
    draft = _draft(recipe, folder)
    async with open_power(config) as client, open_progress() as show:
        send = partial(_send, client, config, show)
        body = _body(model, recipe) | {
            "from": base,
            "files": await send(files),
            "adapters": await send(adapters),
            "draft_files": await send(draft),
            "quantize": quantize,
            "imatrix": (await send({"": Path(imatrix)}))[""] if imatrix else None,
        }
        async with client.follow("/api/create", body) as steps:
            async for step in steps:
                show(step)


def _recipe(file: str | None) -> tuple[Recipe, Path]:
    """What is wanted, and the folder that its paths start from; without a Modelfile, what lies here."""
    if file == "-":
        return recipe_of(read_modelfile(sys.stdin.buffer.read(MAX_LENGTH + 1))), Path()
    path = Path(file or "Modelfile")
    if file is None and not path.exists():
        return Recipe(sources=(".",)), Path()
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_LENGTH + 1)
    except OSError as error:
        raise PowerError(f"cannot read {path}: {error.strerror}") from error
    return recipe_of(read_modelfile(data)), path.parent


def _sources(recipe: Recipe, folder: Path) -> tuple[str | None, dict[str, Path]]:
    """The model and the files of all FROM lines."""
    bases: list[str] = []
    files: dict[str, Path] = {}
    for argument in recipe.sources:
        found = local_files(argument, folder)
        files |= found
        if not found:
            bases.append(argument)
    if len(bases) > 1:
        raise BadRequest(f"a model is made from one model, not from {' and '.join(bases)}")
    return (bases[0] if bases else None), files


def _all(groups: Iterable[dict[str, Path]]) -> Iterator[tuple[str, Path]]:
    for group in groups:
        if not group:
            raise BadRequest("an ADAPTER is a file or a folder")
        yield from group.items()


def _draft(recipe: Recipe, folder: Path) -> dict[str, Path]:
    if recipe.draft is None:
        return {}
    if recipe.draft in recipe.sources:
        raise BadRequest(f"DRAFT must not reference the same local path as FROM: {recipe.draft}")
    files = local_files(recipe.draft, folder)
    if not files:
        raise BadRequest("a DRAFT is a file or a folder")
    return files


def _body(model: str, recipe: Recipe) -> dict[str, Any]:
    return {
        "model": model,
        "template": recipe.template,
        "system": recipe.system,
        "license": list(recipe.licenses) or None,
        "parameters": recipe.parameters or None,
        "messages": [{"role": m.role, "content": m.content} for m in recipe.messages] or None,
        "renderer": recipe.renderer,
        "parser": recipe.parser,
        "requires": recipe.requires,
    }


async def _send(client: Client, config: Config, show: Show, files: dict[str, Path]) -> dict[str, str]:
    """The digests of the files, all of which the server has then."""
    return {name: await _send_file(client, config, show, path) for name, path in files.items()}


async def _send_file(client: Client, config: Config, show: Show, path: Path) -> str:
    show(Step(status=f"gathering {path.name}"))
    if client.address.startswith("unix:"):
        # The server is this very process: the file need not go through a socket, nor be there twice.
        digest, _ = await trio.to_thread.run_sync(Blobs(config.models_dir).add_file, path)
        return digest
    digest, size = await trio.to_thread.run_sync(_digest, path)
    if not await client.has_blob(digest):
        await client.put_blob(digest, size, _Pieces(path, size, f"copying file {digest}", show))
    return digest


def _digest(path: Path) -> tuple[str, int]:
    """The digest of a file, and how many bytes it was of."""
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", file.tell()
    except OSError as error:
        raise PowerError(f"cannot read {path}: {error.strerror}") from error


class _Pieces:
    """A file's bytes on their way, shown as they go."""

    def __init__(self, path: Path, size: int, status: str, show: Show) -> None:
        self._path = path
        self._size = size
        self._status = status
        self._show = show

    async def __aiter__(self) -> AsyncIterator[bytes]:
        n_sent = 0
        with self._path.open("rb") as file:
            while data := await trio.to_thread.run_sync(file.read, PIECE_BYTES):
                yield data
                n_sent += len(data)
                self._show(Step(status=self._status, total=self._size, completed=n_sent))
