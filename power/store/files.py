"""Put a file in its place: whole and on the disk, or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from power.errors import StoreError

# Ollama passes over names that begin with a dot among manifests, and prunes them among blobs.
PREFIX = ".power-"

FICLONE = 0x40049409  # linux/fs.h: let this file share that one's blocks until one of them is written to


def write_whole(path: Path, source: BinaryIO) -> None:
    """Make `path` hold what `source` has left to read.

    Whoever looks sees the old file or the whole new one, also after a power
    cut. Missing directories are made.

    Raises:
        OSError: it could not be done, and `path` is as it was.
    """
    with new_file(path.parent) as file:
        shutil.copyfileobj(source, file)
        commit(file, path)


@contextmanager
def new_file(folder: Path) -> Iterator[BinaryIO]:
    """An empty file under a name of no meaning, gone at the end unless it was committed."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=PREFIX, dir=folder)
    try:
        with open(name, "w+b", opener=lambda *_: descriptor) as file:
            yield file
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def commit(file: BinaryIO, path: Path) -> None:
    """Make the file, which must have a name on the same disk, `path`; OSError if it cannot be."""
    file.flush()
    os.fchmod(file.fileno(), 0o644)
    os.fsync(file.fileno())
    os.replace(file.name, path)
    sync_directory(path.parent)


def take_over(source: BinaryIO, path: Path) -> None:
    """Make the new file `path` hold what the open file `source` holds, without using the space twice where that can be.

    Tried in this order: sharing blocks (btrfs, XFS, …), a second name for the same file, a copy. With a second
    name, whoever changes the original in place changes both: the caller hashes what it has got, not what it saw.

    Raises:
        OSError: none of them worked.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        if _clone(source, descriptor):
            return
        path.unlink()
        with suppress(OSError):  # another disk, another owner, or a system that has no links
            os.link(f"/proc/self/fd/{source.fileno()}", path, follow_symlinks=True)
            return
    finally:
        os.close(descriptor)
    with path.open("xb") as file:
        shutil.copyfileobj(source, file, 2**20)


def _clone(source: BinaryIO, descriptor: int) -> bool:
    try:
        fcntl.ioctl(descriptor, FICLONE, source.fileno())
    except OSError:
        return False
    return True


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_WORDS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}


@contextmanager
def explained(what: str, models_dir: Path) -> Iterator[None]:
    """An OSError inside becomes a StoreError that says what could not be done, and why."""
    try:
        yield
    except OSError as error:
        why = _WORDS.get(error.errno or 0, error.strerror or str(error))
        raise StoreError(f"cannot {what} in the store at {models_dir}: {why}") from error
