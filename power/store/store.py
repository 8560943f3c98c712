"""The store: models on disk, in Ollama's own layout, so that either can serve the other's.

    <models_dir>/manifests/<host>/<namespace>/<model>/<tag>
    <models_dir>/blobs/sha256-<64 hex digits>

Its methods block for a few milliseconds of file reading (those that write or
remove, for as long as the disk takes), and may be called from any thread.

What somebody is about to refer to is held first, so that nobody takes it away:

    with store.hold(digests):
        if all(map(store.has_blob, digests)):
            store.write_manifest(name, data)
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from power.errors import BadRequest, BlobNotFound, LoadFailed, ModelNotFound, PowerError, StoreError
from power.store.blobs import Blobs
from power.store.cache import FactsCache, Found, version_of
from power.store.digest import parse_digest
from power.store.files import explained
from power.store.limits import LIMITS, Limits
from power.store.locks import Locks
from power.store.manifest import Manifest, ManifestError, decode_json
from power.store.manifests import Manifests, digests_in, read_bounded, same
from power.store.model import StoredModel, read_model
from power.store.names import Name, parse_name, parse_reference
from power.store.pruning import lock_name, prune, remove_unreferenced
from power.store.tiny import PACKAGED, Tiny
from power.store.transfers import Transfers

log = logging.getLogger(__name__)

# What reading a model can end in, besides having it.
_BROKEN = (ManifestError, PowerError, OSError)


class Store:
    """Finds, lists, copies and removes models. `open_store` opens one that can also pull and push."""

    def __init__(
        self,
        models_dir: Path,
        packaged: Path = PACKAGED,
        *,
        data_dir: Path | None = None,  # where the key for registries lies; None: beside the models
        go_template: bool | None = None,  # the operator's word on which template serves; see `prompt.choose`
        noprune: bool = False,  # leave blobs that nobody refers to any more
        limits: Limits = LIMITS,  # of its pulls and pushes
        transfers: Transfers | None = None,
    ) -> None:
        self.models_dir = models_dir
        self.data_dir = models_dir.parent if data_dir is None else data_dir
        self.go_template = go_template
        self.noprune = noprune
        self.limits = limits
        self.transfers = transfers
        self.locks = Locks(models_dir)
        self.blobs = Blobs(models_dir)
        self.manifests = Manifests(models_dir, self.locks)
        self._tiny = Tiny(models_dir, packaged)
        self._facts = FactsCache()
        self._writing = threading.Lock()  # `tiny` is written by one thread at a time
        self._read_only = False  # it could not be written, and is served from the package
        self._found: dict[str, Found] = {}

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
        wanted = parse_reference(name)
        if same(wanted, self._tiny.name) and self._tiny.is_packaged and self._must_serve_packaged():
            return self._tiny.in_place()
        stored = self.manifests.stored_as(wanted)
        if stored is None:
            raise ModelNotFound(name)
        try:
            found = self._found[name] = self._read(stored)
        except FileNotFoundError as error:  # deleted since we looked
            raise ModelNotFound(name) from error
        except _BROKEN as error:
            raise LoadFailed(f"model '{stored}' cannot be read: {_reason(error)}") from error
        return found.model

    def list(self) -> list[StoredModel]:
        """Every model that can be read, newest first; a warning is logged for the others."""
        models = []
        for name in self.manifests.names():
            try:
                models.append(self._read(name).model)
            except _BROKEN as error:
                log.warning("model '%s' is left out of the list: %s", name, _reason(error))
        if self._tiny.is_packaged and not any(same(model.name, self._tiny.name) for model in models):
            models.append(self._tiny.in_place())
        return sorted(models, key=lambda model: model.modified_at, reverse=True)

    def copy(self, source: str, destination: str) -> None:
        """Give a model a second name; a model that had it before loses it.

        Raises:
            BadRequest: one of the names is not valid.
            ModelNotFound: there is no model of the first name.
            StoreError: the disk does not take it.
        """
        wanted = _valid(source, f'source "{source}" is invalid')
        copy = _valid(destination, f'destination "{destination}" is invalid')
        if same(wanted, self._tiny.name) and self._tiny.is_packaged:
            self._must_serve_packaged()
        stored = self.manifests.stored_as(wanted)
        if stored is None:
            raise ModelNotFound(source)
        with explained("copy a model", self.models_dir):
            try:
                data = self.manifests.read(stored)
            except FileNotFoundError:  # deleted since we looked
                raise ModelNotFound(source) from None
            with self.hold(digests_in(data)):
                self.write_manifest(self.spelled(copy), data)

    def delete(self, name: str) -> None:
        """Remove a model, and the blobs that no other refers to.

        Raises:
            BadRequest: it is no valid name.
            ModelNotFound: there is no such model.
            StoreError: the disk cannot be written to.
        """
        stored = self.manifests.stored_as(_valid(name, f'name "{name}" is invalid'))
        if stored is None:
            raise ModelNotFound(name)
        with explained("delete a model", self.models_dir):
            try:
                self._remove_unused(self.manifests.remove(stored))
            except FileNotFoundError:  # somebody was faster
                raise ModelNotFound(name) from None

    def prune(self) -> int:
        """Remove old blobs that no model refers to, and what broken-off writers left; how many files.

        Old is an hour (a week for the parts of a download), so what is being put together stays.
        """
        with explained("prune", self.models_dir):
            return prune(self.blobs, self.manifests, self.locks)

    def hold(self, digests: Iterable[str]) -> AbstractContextManager[None]:
        """While inside, nobody (in whatever process) removes these blobs, there already or not yet.

        Raises:
            BadRequest: one is no digest.
            StoreError: somebody keeps removing one, or the store cannot be written to.
        """
        return self.locks.shared([lock_name(parse_digest(_colon(digest))) for digest in digests])

    def spelled(self, name: Name) -> Name:
        """The name as it is to be written: what is there already in another case keeps its own."""
        return self.manifests.spelled(name)

    def write_manifest(self, name: Name, data: bytes) -> int:
        """Make `name` a model of these blobs, which the caller holds, and remove what only its forerunner used.

        Returns how many blobs that were. Raises StoreError if the disk does not take it.
        """
        with explained("write a manifest", self.models_dir):
            before = self.manifests.write(name, data)
        return self._remove_unused(before) if before not in (None, data) and not self.noprune else 0

    def _remove_unused(self, manifest: bytes | None) -> int:
        """Remove the blobs of a manifest that is gone now."""
        try:
            digests = digests_in(manifest or b"")
        except ManifestError:
            return 0
        return remove_unreferenced(digests, self.blobs, self.manifests, self.locks)

    def has_blob(self, digest: str) -> bool:
        """Is it there? If so its age, which pruning looks at, begins anew. BadRequest if it is no digest."""
        return self.blobs.use(digest)

    def open_blob(self, digest: str) -> BinaryIO:
        """For reading. Raises BlobNotFound, or BadRequest if it is no digest."""
        return self.blobs.open(digest)

    async def put_blob(self, chunks: AsyncIterable[bytes], digest: str) -> bool:
        """Store what the chunks make; True if that was news, False (and nothing read) if it was there.

        Raises:
            BadRequest: `digest` is none, or not that of the chunks.
            StoreError: the disk does not take it.
        """
        return await self.blobs.put(chunks, digest)

    def add_bytes(self, data: bytes) -> tuple[str, int]:
        """Store these bytes; their digest ("sha256:…") and number. StoreError if the disk does not take them."""
        return self.blobs.add(data)

    def add_file(self, path: Path) -> tuple[str, int]:
        """Store a file's content, without a copy where the disk can do that; its digest ("sha256:…") and size.

        Raises:
            BadRequest: it is not there, or no regular file.
            StoreError: the disk does not take it.
        """
        return self.blobs.add_file(path)

    def delete_blob(self, digest: str) -> None:
        """Remove a blob that no model refers to.

        Raises:
            BadRequest: it is no digest, or a model refers to it or is about to.
            BlobNotFound: it is not there.
        """
        if self.blobs.size(digest) is None:
            raise BlobNotFound(digest)
        if not remove_unreferenced([parse_digest(digest)], self.blobs, self.manifests, self.locks):
            raise BadRequest(f'blob "{digest}" is in use', field="digest")

    def _must_serve_packaged(self) -> bool:
        """Bring `tiny` into the store if it is not, or is of another version; True if that cannot be."""
        with self._writing:
            if self._read_only or not self._tiny_is_missing():
                return self._read_only
            try:
                # Nobody removes what it refers to before it does, nor the folder it is written into.
                with self.hold(self._tiny.digests), self.locks.exclusive("manifests"):
                    self._tiny.write()
            except (OSError, StoreError) as error:
                self._read_only = True
                log.warning("the store at %s cannot be written to: %s", self.models_dir, error)
                log.warning("model '%s' is served from the package instead", self._tiny.name)
            return self._read_only

    def _tiny_is_missing(self) -> bool:
        try:
            data = read_bounded(self._tiny.manifest_path)
            return not self._tiny.is_current(data) and self._tiny.is_ours(data)
        except (FileNotFoundError, NotADirectoryError):  # the latter: a file where a folder should be
            return self.manifests.stored_as(self._tiny.name) is None
        except _BROKEN:
            return False  # somebody else's, and broken: `find` will say so

    def _read(self, name: Name) -> Found:
        path = self.manifests.path(name)
        version = version_of(path)  # before it is read, so that what replaces it meanwhile is seen to be another
        data = read_bounded(path)
        modified_at = datetime.fromtimestamp(version.modified_ns / 1e9).astimezone()
        manifest = decode_json(data, Manifest, "the manifest")
        digest = hashlib.sha256(data).hexdigest()
        model = read_model(name, manifest, digest, modified_at, self.models_dir, self._facts.read)
        model = msgspec.structs.replace(model, go_template=self.go_template)
        return Found(model, {path: version, model.path: version_of(model.path)})


def _reason(error: BaseException) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _valid(text: str, complaint: str) -> Name:
    try:
        return parse_name(text)
    except BadRequest as error:
        raise BadRequest(complaint, field="model") from error


def _colon(digest: str) -> str:
    """64 bare hex digits are what we hand around; strangers write the algorithm before them."""
    return digest if ":" in digest or "-" in digest else f"sha256:{digest}"
