"""A folder for what is half made, on the store's own disk.

It is locked while its owner lives and removed when he is done; one whose owner
died is removed by the next who opens a folder here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from power.store.files import explained

FOLDER = ".creating"  # beside `blobs` and `manifests`, where Ollama does not look


@contextmanager
def open_workspace(models_dir: Path) -> Iterator[Path]:
    """A new, empty folder that is gone with the block; StoreError if the disk does not take it."""
    with explained("create a model", models_dir):
        root = models_dir / FOLDER
        root.mkdir(parents=True, exist_ok=True)
        _remove_orphans(root)
        folder = Path(tempfile.mkdtemp(dir=root))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with suppress(OSError):  # others work here
            root.rmdir()


def _remove_orphans(root: Path) -> None:
    for folder in root.iterdir():
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # gone, or put there by somebody else
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
