"""Is there room on the disk? Asked before anything is fetched, not when it is full."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from power.errors import StoreError
from power.store import parts
from power.store.files import explained
from power.store.manifest import Layer
from power.store.store import Store


def check_space(store: Store, layers: Iterable[Layer]) -> None:
    """Is there room on the disk for what is not here yet? StoreError if not, before anything is fetched."""
    with explained("download a model", store.models_dir):
        blobs = store.blobs
        needed = sum(
            parts.missing(blobs.path(layer.digest), layer.size)
            for layer in layers
            if blobs.size(layer.digest) != layer.size
        )
        free = shutil.disk_usage(_existing(store.models_dir)).free
    if needed > free:
        raise StoreError(
            f"not enough space on the disk at {store.models_dir}: the model needs {needed} more bytes, {free} are free"
        )


def _existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    return path if path.exists() else _existing(path.parent)
