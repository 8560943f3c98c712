"""Take away the blobs that no model refers to.

Whoever is about to refer to a blob holds its lock (shared) until the manifest
is there.  So we take the locks first (alone, and only those we get at once),
look for references then, and take away what has none: a blob that somebody
holds stays, and one that was held until a moment ago has its reference by now.

While any manifest is unreadable nothing is taken away, since it might be the
one that refers to everything.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path

from power.store.blobs import Blobs
from power.store.locks import Locks
from power.store.manifest import ManifestError
from power.store.manifests import Manifests

log = logging.getLogger(__name__)

# Seconds. A blob that a client uploads for a model it creates next has no reference for a while; Ollama's figure.
GRACE = 3600.0
LEFTOVER_GRACE = 3600.0  # seconds; a file that is written to is never that old
# Seconds. Ollama's grace for parts of downloads is the same hour; but a 40 GB file that broke off yesterday
# is worth resuming.
PARTIAL_GRACE = 7 * 24 * 3600.0

_BLOB = re.compile(r"sha256-([0-9a-f]{64})")
_PARTIAL = re.compile(r"sha256-([0-9a-f]{64})-partial(?:-\d+)?")


def lock_name(digest_hex: str) -> str:
    """The lock of a blob, from the 64 digits of its digest."""
    return f"sha256-{digest_hex}"


def remove_unreferenced(digests: Iterable[str], blobs: Blobs, manifests: Manifests, locks: Locks) -> int:
    """Remove those of the blobs (64 hex digits each) that nobody refers to or holds; how many were removed."""
    with locks.try_exclusive(map(lock_name, digests)) as ours:
        if not ours:
            return 0
        try:
            referenced = manifests.referenced()
        except ManifestError as error:
            log.warning("no blobs are removed: %s", error)
            return 0
        unused = [name for name in ours if name.removeprefix("sha256-") not in referenced]
        return sum(_remove(blobs.folder / name) for name in unused)


def prune(blobs: Blobs, manifests: Manifests, locks: Locks) -> int:
    """Remove every old blob without a reference, what broken-off writers left, and empty folders; how many files."""
    old = [path for path in blobs.folder.glob("*") if _age(path) > GRACE and (path.is_symlink() or not path.is_dir())]
    unused = [match[1] for path in old if (match := _BLOB.fullmatch(path.name))]
    n_removed = remove_unreferenced(unused, blobs, manifests, locks)
    for path in old:
        if match := _PARTIAL.fullmatch(path.name):
            n_removed += _remove_partial(path, match[1], locks)
        elif not _BLOB.fullmatch(path.name) and _age(path) > LEFTOVER_GRACE:
            n_removed += _remove(path)
    manifests.remove_empty_folders()
    return n_removed


def _remove_partial(path: Path, digest_hex: str, locks: Locks) -> bool:
    with locks.try_exclusive([lock_name(digest_hex)]) as ours:
        return bool(ours) and _age(path) > PARTIAL_GRACE and _remove(path)


def _remove(path: Path) -> bool:
    """Remove a file or link, never a folder; True if it was there and is gone."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error.strerror)
        return False
    return True


def _age(path: Path) -> float:
    """Seconds since it was last written to, or touched."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0
