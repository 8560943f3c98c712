"""Put a file in its place: whole and on the disk, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, source: BinaryIO) -> None:
    """Make `path` hold what `source` has left to read.

    Whoever looks sees the old file or the whole new one, also after a power
    cut. Missing directories are made.

    Raises:
        OSError: it could not be done, and `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Ollama passes over names that begin with a dot among manifests, and prunes them among blobs.
    descriptor, name = tempfile.mkstemp(prefix=".power-", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            shutil.copyfileobj(source, file)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
