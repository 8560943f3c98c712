"""What was read once and need not be read again while the files stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from power.gguf.facts import Facts, read_facts
from power.store.model import StoredModel


class Version(NamedTuple):
    """What changes when a file does."""

    modified_ns: int
    n_bytes: int
    inode: int


class Found(NamedTuple):
    """A model, and the versions of the files it was read from."""

    model: StoredModel
    versions: dict[Path, Version]

    def is_current(self) -> bool:
        try:
            return all(version_of(path) == version for path, version in self.versions.items())
        except OSError:
            return False


class FactsCache:
    """Facts by file, read again when the file changes."""

    def __init__(self) -> None:
        self._facts: dict[Path, tuple[Version, Facts]] = {}

    def read(self, path: Path) -> Facts:
        version = version_of(path)
        # Two threads may both read the file; they store the same, and a dict's item is set at once.
        cached = self._facts.get(path)
        if cached is None or cached[0] != version:
            cached = self._facts[path] = (version, read_facts(path))
        return cached[1]


def version_of(path: Path) -> Version:
    status = path.stat()
    return Version(status.st_mtime_ns, status.st_size, status.st_ino)
