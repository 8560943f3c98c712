"""The parts of a download, on disk as Ollama has them, so that either resumes the other's.

    blobs/sha256-<hex>-partial       the file in its full size, with holes
    blobs/sha256-<hex>-partial-<n>   {"N":n,"Offset":o,"Size":s,"Completed":c}

A record never says more than is on the disk: the data is flushed before it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from power.store.files import new_file
from power.store.limits import Limits

MAX_RECORD = 4096  # bytes of a record's file


class Record(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """What the file of a part says."""

    n: int
    offset: int
    size: int
    completed: int
    # Ours, for files whose hash nobody knows beforehand: the version of the file that this is a part of. Go's
    # decoder passes over it.
    version: str = ""


class Part:
    """A range of the blob, fetched from its front to its back."""

    def __init__(self, n: int, offset: int, size: int, completed: int = 0) -> None:
        self.n = n
        self.offset = offset
        self.size = size
        self.completed = completed

    def __repr__(self) -> str:
        return f"<Part {self.n}: {self.completed} of {self.size} bytes from {self.offset}>"

    @property
    def is_complete(self) -> bool:
        return self.completed == self.size

    @property
    def position(self) -> int:
        """Where its next byte belongs in the blob."""
        return self.offset + self.completed

    @property
    def end(self) -> int:
        return self.offset + self.size


def plan(size: int, limits: Limits) -> list[Part]:
    """The parts of a blob of that many bytes, in order."""
    step = max(limits.part_bytes, -(-size // limits.max_parts))
    offsets = range(0, size, step) if size else [0]
    return [Part(n, offset, min(step, size - offset)) for n, offset in enumerate(offsets)]


def frontier(parts: Iterable[Part]) -> int:
    """How many bytes from the start on are there without a hole."""
    position = 0
    for part in parts:
        position = part.position
        if not part.is_complete:
            break
    return position


def partial_path(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}-partial")


def record_path(blob: Path, n: int) -> Path:
    return blob.with_name(f"{blob.name}-partial-{n}")


def record_paths(blob: Path) -> list[Path]:
    """The records of a blob's parts, in no order."""
    prefix = f"{blob.name}-partial-"
    return [path for path in blob.parent.glob(f"{prefix}*") if path.name.removeprefix(prefix).isdecimal()]


def load(blob: Path, size: int, version: str = "") -> list[Part] | None:
    """The parts of a download that broke off, in order; None if they do not make this blob.

    Raises:
        OSError: what is there cannot be read.
    """
    try:
        if partial_path(blob).lstat().st_size != size:
            return None
        records = sorted((_read(path) for path in record_paths(blob)), key=lambda record: record.offset)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not _make_a_whole(records, size) or any(record.version != version for record in records):
        return None
    return [Part(record.n, record.offset, record.size, record.completed) for record in records]


def _make_a_whole(records: list[Record], size: int) -> bool:
    position = 0
    for record in records:
        if record.n < 0 or record.offset != position or not 0 <= record.completed <= record.size:
            return False
        position += record.size
    return position == size and len({record.n for record in records}) == len(records) > 0


def missing(blob: Path, size: int) -> int:
    """How many bytes of it still have to come; OSError like `load`."""
    parts = load(blob, size)
    return size - sum(part.completed for part in parts or ())


def save(blob: Path, part: Part, completed: int, version: str = "") -> None:
    """Record a part of which so many bytes are on the disk; OSError if that cannot be.

    Of a part that was only planned, the record may be lost in a power cut, and the plan with it.
    """
    # Ollama reads all four fields, and so they are written even when 0.
    fields = {"N": part.n, "Offset": part.offset, "Size": part.size, "Completed": completed}
    data = msgspec.json.encode(fields | ({"Version": version} if version else {}))
    with new_file(blob.parent) as file:
        file.write(data)
        file.flush()
        if completed:
            os.fsync(file.fileno())
        os.replace(file.name, record_path(blob, part.n))  # the old record is as true as the new one


def discard(blob: Path) -> None:
    """Remove a download's parts and their records; OSError if that cannot be."""
    for path in (*record_paths(blob), partial_path(blob)):
        path.unlink(missing_ok=True)


def _read(path: Path) -> Record:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return msgspec.json.decode(file.read(MAX_RECORD), type=Record)
