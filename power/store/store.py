"""The store: models on disk, in Ollama's own layout, so that either can serve the other's.

    <models_dir>/manifests/<host>/<namespace>/<model>/<tag>
    <models_dir>/blobs/sha256-<64 hex digits>

Its methods block for a few milliseconds of file reading, and may be called from
any thread.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from power.config import Config
from power.errors import BadRequest, LoadFailed, ModelNotFound, PowerError
from power.gguf.facts import Facts, read_facts
from power.store.manifest import MAX_JSON, Manifest, ManifestError, decode_json
from power.store.model import StoredModel, read_model
from power.store.names import Name, parse_reference
from power.store.tiny import PACKAGED, Tiny

log = logging.getLogger(__name__)

# What reading a model can end in, besides having it.
_BROKEN = (ManifestError, PowerError, OSError)


class Store:
    """Finds and lists models. Opened by `open_store`."""

    def __init__(self, models_dir: Path, packaged: Path = PACKAGED) -> None:
        self.models_dir = models_dir
        self._tiny = Tiny(models_dir, packaged)
        self._facts = _FactsCache()
        self._writing = threading.Lock()  # `tiny` is written by one thread at a time
        self._read_only = False  # it could not be written, and is served from the package
        self._found: dict[str, _Found] = {}

    def __repr__(self) -> str:
        return f"<Store at {self.models_dir}>"

    def remembered(self, name: str) -> StoredModel | None:
        """The model as it was last found under this very name, if its files are the same still.

        Costs two looks at the disk and reads nothing, so it may be called where `find` would block too long.
        """
        found = self._found.get(name)
        return found.model if found is not None and found.is_current() else None

    def find(self, name: str) -> StoredModel:
        """The model of this name, whatever the case of its letters; `tiny` is written if it is not there.

        Raises:
            BadRequest: it is no valid name.
            ModelNotFound: there is no such model.
            LoadFailed: there is, but it cannot be read; the message says why.
        """
        model = self._find(name)
        manifest = self._manifest_path(model.name)
        if manifest.is_file():
            self._found[name] = _Found(model, {path: _version(path) for path in (manifest, model.path)})
        return model

    def _find(self, name: str) -> StoredModel:
        wanted = parse_reference(name)
        if _same(wanted, self._tiny.name) and self._tiny.is_packaged and self._must_serve_packaged():
            return self._tiny.in_place()
        stored = self._stored_as(wanted)
        if stored is None:
            raise ModelNotFound(name)
        try:
            return self._read(stored)
        except FileNotFoundError as error:  # deleted since we looked
            raise ModelNotFound(name) from error
        except _BROKEN as error:
            raise LoadFailed(f"model '{stored}' cannot be read: {_reason(error)}") from error

    def list(self) -> list[StoredModel]:
        """Every model that can be read, newest first; a warning is logged for the others."""
        models = []
        for name in self._names():
            try:
                models.append(self._read(name))
            except _BROKEN as error:
                log.warning("model '%s' is left out of the list: %s", name, _reason(error))
        if self._tiny.is_packaged and not any(_same(model.name, self._tiny.name) for model in models):
            models.append(self._tiny.in_place())
        return sorted(models, key=lambda model: model.modified_at, reverse=True)

    def _must_serve_packaged(self) -> bool:
        """Bring `tiny` into the store if it is not, or is of another version; True if that cannot be."""
        with self._writing:
            if self._read_only or not self._tiny_is_missing():
                return self._read_only
            try:
                self._tiny.write()
            except OSError as error:
                self._read_only = True
                log.warning("the store at %s cannot be written to: %s", self.models_dir, error)
                log.warning("model '%s' is served from the package instead", self._tiny.name)
            return self._read_only

    def _tiny_is_missing(self) -> bool:
        try:
            data = _read_bounded(self._tiny.manifest_path)
            return not self._tiny.is_current(data) and self._tiny.is_ours(data)
        except FileNotFoundError:
            return self._stored_as(self._tiny.name) is None
        except _BROKEN:
            return False  # somebody else's, and broken: `find` will say so

    def _read(self, name: Name) -> StoredModel:
        path = self._manifest_path(name)
        data = _read_bounded(path)
        modified_at = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        manifest = decode_json(data, Manifest, "the manifest")
        digest = hashlib.sha256(data).hexdigest()
        return read_model(name, manifest, digest, modified_at, self.models_dir, self._facts.read)

    def _stored_as(self, wanted: Name) -> Name | None:
        """The spelling on disk of a name: the same, or one that differs in case only."""
        if self._manifest_path(wanted).is_file():
            return wanted
        return next((name for name in self._names() if _same(name, wanted)), None)

    def _names(self) -> Iterator[Name]:
        """Every name that has a manifest; what else lies there is passed over, as Ollama does."""
        root = self.models_dir / "manifests"
        for path in sorted(root.glob("*/*/*/*")):
            try:
                name = Name(*path.relative_to(root).parts)
            except BadRequest:
                continue
            if path.is_file():
                yield name

    def _manifest_path(self, name: Name) -> Path:
        return self.models_dir.joinpath("manifests", *name.parts)


@asynccontextmanager
async def open_store(config: Config) -> AsyncIterator[Store]:
    """The store at `config.models_dir`, which need not exist yet."""
    yield Store(config.models_dir)


class _Found(NamedTuple):
    """A model, and the versions of the files it was read from."""

    model: StoredModel
    versions: dict[Path, tuple[int, ...]]

    def is_current(self) -> bool:
        try:
            return all(_version(path) == version for path, version in self.versions.items())
        except OSError:
            return False


def _version(path: Path) -> tuple[int, ...]:
    """What changes when a file does."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


class _FactsCache:
    """Facts by file, read again when the file changes."""

    def __init__(self) -> None:
        self._facts: dict[Path, tuple[tuple[int, ...], Facts]] = {}

    def read(self, path: Path) -> Facts:
        version = _version(path)
        # Two threads may both read the file; they store the same, and a dict's item is set at once.
        cached = self._facts.get(path)
        if cached is None or cached[0] != version:
            cached = self._facts[path] = (version, read_facts(path))
        return cached[1]


def _same(one: Name, other: Name) -> bool:
    return one.full.lower() == other.full.lower()


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise ManifestError(f"the manifest has more than {MAX_JSON} bytes")
    return data


def _reason(error: BaseException) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
