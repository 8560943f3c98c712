"""Blobs: files named by the hash of what is in them.

A blob is visible under its name only when it is whole, has that hash, and is on
the disk (fsync of the file, rename, fsync of the directory).  So a blob that is
there is right, unless the disk is not, and two who write the same one do no harm.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import AsyncIterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import trio

from power.errors import BadRequest, BlobNotFound
from power.store.digest import blob_path, digest_of, digest_of_file, parse_digest
from power.store.files import PREFIX, commit, explained, new_file, sync_directory, take_over, write_whole

BATCH = 2**20  # bytes written by one visit to a thread; the visit costs ~0.1 ms


class Blobs:
    """The blobs of the store at `models_dir`."""

    def __init__(self, models_dir: Path) -> None:
        self.models_dir = models_dir
        self.folder = models_dir / "blobs"

    def rename_old(self) -> None:
        """Give blobs with a colon in their names, from Ollama's first years, the names they would have today."""
        for path in self.folder.glob("sha256:*"):
            with suppress(BadRequest, OSError):  # not a blob's name, or a disk that cannot be written to
                path.rename(self.path(path.name))

    def path(self, digest: str) -> Path:
        """Where it lies or would lie; BadRequest if `digest` is none."""
        return blob_path(self.models_dir, digest)

    def size(self, digest: str) -> int | None:
        """Bytes, or None if it is not there."""
        try:
            status = self.path(digest).stat()
        except FileNotFoundError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def use(self, digest: str, size: int | None = None) -> bool:
        """Is it there (and has that size)? Its age, which pruning looks at, begins anew."""
        found = self.size(digest)
        if found is None or size not in (None, found):
            return False
        with suppress(OSError):  # somebody else's file, or a read-only disk where nobody prunes
            os.utime(self.path(digest))
        return True

    def open(self, digest: str) -> BinaryIO:
        """For reading; BlobNotFound."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise BlobNotFound(digest) from None

    async def put(self, chunks: AsyncIterable[bytes], digest: str) -> bool:
        """Store what the chunks make; True if that was news, False (and nothing read) if it was there.

        Raises:
            BadRequest: `digest` is none, or not that of the chunks.
            StoreError: the disk does not take it.
        """
        expected = f"sha256:{parse_digest(digest)}"
        if await trio.to_thread.run_sync(self.use, expected):
            return False
        with explained("write a blob", self.models_dir), new_file(self.folder) as file:
            got = await _write_all(file, chunks)
            if got != expected:
                raise BadRequest(f'digest mismatch, expected "{expected}", got "{got}"', field="digest")
            await trio.to_thread.run_sync(commit, file, self.path(expected))
        return True

    def add(self, data: bytes) -> tuple[str, int]:
        """Store these bytes; their digest and number."""
        digest = digest_of(data)
        if not self.use(digest, len(data)):
            with explained("write a blob", self.models_dir):
                write_whole(self.path(digest), BytesIO(data))
        return digest, len(data)

    def add_file(self, path: Path) -> tuple[str, int]:
        """Store a file's content without a copy where the disk can do that; its digest and size.

        Raises:
            BadRequest: it is not there, or no regular file.
            StoreError: the disk does not take it.
        """
        with _open_regular(path) as source, explained("write a blob", self.models_dir):
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{PREFIX}{secrets.token_hex(8)}"
            try:
                take_over(source, path)
                return self._keep(path)
            finally:
                path.unlink(missing_ok=True)

    def _keep(self, path: Path) -> tuple[str, int]:
        with path.open("rb") as file:
            digest, size = digest_of_file(file), os.fstat(file.fileno()).st_size
            if not self.use(digest, size):
                os.fsync(file.fileno())
                os.replace(path, self.path(digest))
                sync_directory(self.folder)
        return digest, size


async def _write_all(file: BinaryIO, chunks: AsyncIterable[bytes]) -> str:
    """Write the chunks, a batch at a time; their digest."""
    hashed = hashlib.sha256()

    def write(batch: list[bytes]) -> None:
        for chunk in batch:
            hashed.update(chunk)
            file.write(chunk)

    batch, n_bytes = [], 0
    async for chunk in chunks:
        batch.append(bytes(chunk))
        n_bytes += len(chunk)
        if n_bytes >= BATCH:
            await trio.to_thread.run_sync(write, batch)
            batch, n_bytes = [], 0
    await trio.to_thread.run_sync(write, batch)
    return f"sha256:{hashed.hexdigest()}"


def _open_regular(path: Path) -> BinaryIO:
    # O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadRequest(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadRequest(f"cannot read {path}: not a regular file")
    return os.fdopen(descriptor, "rb")
