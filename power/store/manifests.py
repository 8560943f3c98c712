"""The folder of manifests: which names there are, and what they refer to.

    <models_dir>/manifests/<host>/<namespace>/<model>/<tag>

A manifest is replaced whole and at once.  Making and removing its folders is
done under one lock, so that nobody removes the folder that another just made.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from power.errors import BadRequest
from power.store.digest import parse_digest
from power.store.files import PREFIX, sync_directory, write_whole
from power.store.locks import Locks
from power.store.manifest import MAX_JSON, Manifest, ManifestError, decode_json
from power.store.names import Name

log = logging.getLogger(__name__)

DEPTH = 4  # host, namespace, model and tag


class Manifests:
    """The manifests of the store at `models_dir`. Every method blocks; any thread may call."""

    def __init__(self, models_dir: Path, locks: Locks) -> None:
        self.root = models_dir / "manifests"
        self._locks = locks

    def path(self, name: Name) -> Path:
        return self.root.joinpath(*name.parts)

    def names(self) -> Iterator[Name]:
        """Every name that has a manifest; what else lies there is passed over, as Ollama does."""
        for path in _paths_below(self.root, DEPTH):
            try:
                name = Name(*path.relative_to(self.root).parts)
            except BadRequest:
                continue
            if path.is_file():
                yield name

    def stored_as(self, wanted: Name) -> Name | None:
        """The name on disk: the same, or one that differs in case only; None if there is neither."""
        if self.path(wanted).is_file():
            return wanted
        return next((name for name in self.names() if same(name, wanted)), None)

    def spelled(self, wanted: Name) -> Name:
        """The name as it is to be written: each part in the spelling it has in a name that is there already."""
        if self.path(wanted).is_file():
            return wanted
        known: tuple[dict[str, str], ...] = ({}, {}, {}, {})
        for name in self.names():
            for spellings, part in zip(known, name.parts, strict=True):
                spellings.setdefault(part.lower(), part)
        return Name(*(spellings.get(part.lower(), part) for spellings, part in zip(known, wanted.parts, strict=True)))

    def read(self, name: Name) -> bytes:
        """Raises OSError, or ManifestError if it is too long to be one."""
        return read_bounded(self.path(name))

    def write(self, name: Name, data: bytes) -> bytes | None:
        """Put it in its place; what was there before, or None. OSError if it cannot be written."""
        with self._locks.exclusive("manifests"):
            path = self.path(name)
            try:
                before = read_bounded(path)
            except (FileNotFoundError, ManifestError):
                before = None
            write_whole(path, BytesIO(data))
            return before

    def remove(self, name: Name) -> bytes:
        """Take it away, and the folders that are empty then; what was there. FileNotFoundError if nothing was."""
        with self._locks.exclusive("manifests"):
            path = self.path(name)
            try:
                before = read_bounded(path)
            except ManifestError:
                before = b""
            path.unlink()
            sync_directory(path.parent)
            _remove_empty(path.parents[:3])
            return before

    def remove_empty_folders(self) -> None:
        with self._locks.exclusive("manifests"):
            folders = [Path(path) for path, _, _ in os.walk(self.root, topdown=False)]
            _remove_empty(folder for folder in folders if folder != self.root)

    def referenced(self) -> set[str]:
        """The digests (64 hex digits) that any manifest refers to.

        Raises:
            ManifestError: one cannot be read, so that nobody knows what it refers to.
        """
        found: set[str] = set()
        for name in self.names():
            try:
                found |= digests_in(self.read(name))
            except FileNotFoundError:
                continue  # deleted since it was listed
            except (ManifestError, OSError) as error:
                raise ManifestError(f"the manifest of '{name}' cannot be read: {error}") from error
        return found


def digests_in(data: bytes) -> set[str]:
    """The digests (64 hex digits) a manifest's bytes refer to; ManifestError if they are no manifest."""
    manifest = decode_json(data, Manifest, "the manifest")
    try:
        return {parse_digest(layer.digest) for layer in (manifest.config, *manifest.layers) if layer.digest}
    except BadRequest as error:
        raise ManifestError(error.message) from error


def same(one: Name, other: Name) -> bool:
    """Do they differ in case only?"""
    return one.full.lower() == other.full.lower()


def read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise ManifestError(f"the manifest has more than {MAX_JSON} bytes")
    return data


def _paths_below(folder: Path, depth: int) -> Iterator[Path]:
    """All that lie so many levels below it, in order; what others remove meanwhile is passed over."""
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for path in paths:
        if depth == 1:
            yield path
        else:
            yield from _paths_below(path, depth - 1)


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        # What a dead writer left behind is nobody's, since we have the lock.
        for left in folder.glob(f"{PREFIX}*"):
            left.unlink(missing_ok=True)
        try:
            folder.rmdir()
        except OSError:
            continue  # not empty
