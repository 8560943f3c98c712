"""Saved states on disk: what was computed before a restart need not be computed again.

One file for each piece of the radix tree that is saved: which tokens it goes on
from, its own, and llama.cpp's state of them.  A state is good only for the very
model, adapters and settings it was computed with and for the llama.cpp that
wrote it, so files of one such combination have a folder of their own.

A state goes unread into llama.cpp, which trusts it: so a file is used only if
its hash is right, and nobody but its owner may read or write it.  Files appear
whole or not at all; a trunk is never older than what goes on from it, so the
oldest can go first when there is no room.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from power.worker.wire import Load

MAGIC = b"power prefix 1\n"
SUFFIX = ".prefix"
HASH_SIZE = hashlib.sha256().digest_size


class Header(msgspec.Struct, frozen=True):
    """What is in a file: the state of `tokens[start:]`, in `n_bytes`."""

    tokens: tuple[int, ...]
    start: int
    n_bytes: int


class Disk:
    """One folder of states, beside those of other models; together they have at most `limit` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Raises OSError if the folder cannot be made."""
        self._folder = folder
        self._limit = limit
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def scan(self) -> Iterator[tuple[Path, Header]]:
        """What is there, trunks before what goes on from them. What is no such file is removed."""
        found = []
        for path in self._folder.glob("*" + SUFFIX):
            if (header := _read_header(path)) is None:
                path.unlink(missing_ok=True)
            else:
                found.append((path, header))
        yield from sorted(found, key=lambda item: item[1].start)

    def write(self, header: Header, state: NDArray[np.uint8]) -> Path | None:
        """A new file; None if it could not be written, or is more than all that may be."""
        if len(state) > self._limit:
            return None
        head = msgspec.msgpack.encode(header)
        body = [MAGIC, len(head).to_bytes(8, "little"), head, state.tobytes()]
        digest = hashlib.sha256()
        for part in body:
            digest.update(part)
        path = self._folder / (digest.hexdigest()[:32] + SUFFIX)
        partial = path.with_suffix(f".{os.getpid()}")
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.writelines([digest.digest(), *body])
            partial.replace(path)
        except OSError:  # a full disk must not end an answer
            partial.unlink(missing_ok=True)
            return None
        self._trim()
        return path

    def read(self, path: Path) -> NDArray[np.uint8] | None:
        """The state in a file; None if it is gone, or not what was written."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        header = _parse(data)
        if header is None or hashlib.sha256(memoryview(data)[HASH_SIZE:]).digest() != data[:HASH_SIZE]:
            path.unlink(missing_ok=True)
            return None
        return np.frombuffer(data, np.uint8)[len(data) - header.n_bytes :]

    def touch(self, paths: list[Path]) -> None:
        """These were used, the trunks last of all."""
        for path in reversed(paths):
            try:
                os.utime(path)
            except OSError:  # another worker's limit may have been reached
                continue

    def _trim(self) -> None:
        files = [(status.st_mtime_ns, status.st_size, path) for path, status in self._statuses()]
        n_bytes = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if n_bytes <= self._limit:
                return
            path.unlink(missing_ok=True)
            n_bytes -= size

    def _statuses(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.parent.glob("*/*" + SUFFIX):
            try:
                yield path, path.stat()
            except OSError:
                continue


def open_disk(load: Load, *, is_flash: bool) -> Disk | None:
    """The folder for what this load computes; None if there is none, or may be none."""
    if not load.disk_bytes or not load.disk_folder:
        return None
    try:
        return Disk(Path(load.disk_folder) / fingerprint(load, is_flash=is_flash), load.disk_bytes)
    except OSError:
        return None


def fingerprint(load: Load, *, is_flash: bool) -> str:
    """What a state depends on: files (a blob's name is its digest), the kind of cells, who computed."""
    files = [(path, scale, *_identity(Path(path))) for path, scale in ((load.path, 1.0), *load.adapters)]
    settings = (
        load.kv_type,
        is_flash,  # or values lie transposed
        load.n_gpu_layers,
        load.main_gpu,
        metadata.version("llama-cpp-python"),
    )
    return hashlib.sha256(repr((files, settings)).encode(errors="replace")).hexdigest()[:32]


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _read_header(path: Path) -> Header | None:
    try:
        with path.open("rb") as file:
            start = file.read(HASH_SIZE + len(MAGIC) + 8)
            n_head = int.from_bytes(start[-8:], "little")
            size = path.stat().st_size
            if n_head > size:
                return None
            head = file.read(n_head)
    except OSError:
        return None
    return _decode(start, head, size)


def _parse(data: bytes) -> Header | None:
    at = HASH_SIZE + len(MAGIC) + 8
    return _decode(data[:at], data[at : at + int.from_bytes(data[at - 8 : at], "little")], len(data))


def _decode(start: bytes, head: bytes, size: int) -> Header | None:
    try:
        header = msgspec.msgpack.decode(head, type=Header)
    except (msgspec.DecodeError, ValueError):
        return None
    fits = size == len(start) + len(head) + header.n_bytes and 0 <= header.start < len(header.tokens)
    return header if start[HASH_SIZE:-8] == MAGIC and fits else None
