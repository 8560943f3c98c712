"""Slots' sequences in files: saved, restored, erased, as llama-server's slots are.

Here a slot owns no part of the KV cache: whatever is computed is everybody's, in
the radix tree.  So saving a slot writes what the tree has of the sequence that
was in it last, in the pieces that the tree has it in; restoring gives them back
to the tree, where any slot finds them; and erasing removes what no other
sequence has a part in.

A state goes unread into llama.cpp, which trusts it: so a file is taken only if
its hash is right and the very same model, adapters and settings wrote it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from time import perf_counter_ns

import msgspec
import numpy as np
from numpy.typing import NDArray

from power.worker.disk import fingerprint
from power.worker.memory import Memory
from power.worker.prefix import Rows
from power.worker.wire import Load, Refused, SlotActed, SlotAction

MAGIC = b"power slot 1\n"
HASH_SIZE = hashlib.sha256().digest_size
MAX_HEADER = 2**28  # bytes; the ids of some ten million tokens


class Part(msgspec.Struct, frozen=True):
    """The state of `tokens[start:]`, in so many bytes."""

    tokens: tuple[int, ...]
    start: int
    n_bytes: int


class Header(msgspec.Struct, frozen=True):
    made_by: str  # model, adapters and settings
    tokens: tuple[int, ...]
    parts: tuple[Part, ...]


class SlotFileError(Exception):
    """The file is not there, or of no use."""


class Slots:
    """What was in each slot last, and what can be done with it."""

    def __init__(self, load: Load, rows: Rows, memory: Memory, *, is_flash: bool) -> None:
        self._load = load
        self._is_flash = is_flash
        self._rows = rows
        self._memory = memory
        self._tokens: dict[int, list[int]] = {}

    def remember(self, slot: int, tokens: list[int]) -> None:
        """This was computed, or is being computed, in the slot."""
        self._tokens[slot] = tokens

    def forget(self, slot: int) -> None:
        """What is computed in the slot now is for nobody else."""
        self._tokens.pop(slot, None)

    def act(self, action: SlotAction) -> SlotActed | Refused:
        began = perf_counter_ns()
        try:
            match action.kind:
                case "save":
                    n_tokens, n_bytes = self.save(action.slot, Path(action.path))
                case "restore":
                    n_tokens, n_bytes = self.restore(action.slot, Path(action.path))
                case "erase":
                    n_tokens, n_bytes = self.erase(action.slot), 0
        except SlotFileError as error:
            return Refused(action.id, "bad-request", str(error), field="filename")
        except OSError as error:
            return Refused(action.id, "failed", f"the slot's file could not be written: {error.strerror or error}")
        return SlotActed(action.id, n_tokens, n_bytes, perf_counter_ns() - began)

    def save(self, slot: int, path: Path) -> tuple[int, int]:
        """Write what there is of the slot's sequence. Returns tokens and bytes; raises OSError."""
        tokens = self._tokens.get(slot, [])
        self._memory.do(self._rows.keep(tokens))
        keys, n_kept = self._rows.kept(tokens)
        states = [state for key in keys if (state := self._memory.find(key)) is not None]
        if len(states) < len(keys):  # one was on disk, and is not any more
            keys, n_kept, states = [], 0, []
        parts = (
            Part(tuple(self._rows.shelf.spell(key)), self._rows.shelf.saves[key].start, len(state))
            for key, state in zip(keys, states, strict=True)
        )
        header = Header(fingerprint(self._load, is_flash=self._is_flash), tuple(tokens[:n_kept]), tuple(parts))
        n_bytes = write(path, header, states)
        self._memory.do(self._rows.shelf.trim())
        return n_kept, n_bytes

    def restore(self, slot: int, path: Path) -> tuple[int, int]:
        """Give the tree what is in a file. Returns tokens that are there now, and bytes; raises SlotFileError."""
        header, states, n_bytes = _read(path)
        if header.made_by != fingerprint(self._load, is_flash=self._is_flash):
            raise SlotFileError("the file was saved by another model, or with other settings")
        for part, state in zip(header.parts, states, strict=True):
            self._memory.adopt(part.tokens, part.start, state)
        tokens = list(header.tokens)
        self.remember(slot, tokens)
        return self._rows.kept(tokens)[1], n_bytes

    def erase(self, slot: int) -> int:
        """Forget what only the slot's sequence has. Returns how many tokens that were."""
        operations, n_tokens = self._rows.erase(self._tokens.pop(slot, []))
        self._memory.erase(operations)
        return n_tokens


def write(path: Path, header: Header, states: list[NDArray[np.uint8]]) -> int:
    """The file appears whole or not at all, and only its owner may read it."""
    head = msgspec.msgpack.encode(header)
    body: list[bytes | memoryview] = [MAGIC, len(head).to_bytes(8, "little"), head, *(state.data for state in states)]
    digest = hashlib.sha256()
    for part in body:
        digest.update(part)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{digest.hexdigest()[:16]}.{os.getpid()}")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines([digest.digest(), *body])
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return HASH_SIZE + sum(map(len, body))


def _read(path: Path) -> tuple[Header, list[NDArray[np.uint8]], int]:
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise SlotFileError(f"the file cannot be read: {error.strerror}") from None
    return *parse(data), len(data)


def parse(data: memoryview) -> tuple[Header, list[NDArray[np.uint8]]]:
    """What is in a file; raises SlotFileError."""
    begin = HASH_SIZE + len(MAGIC) + 8
    if bytes(data[HASH_SIZE : begin - 8]) != MAGIC:
        raise SlotFileError("the file is no saved slot")
    if hashlib.sha256(data[HASH_SIZE:]).digest() != bytes(data[:HASH_SIZE]):
        raise SlotFileError("the file is damaged")
    n_head = int.from_bytes(data[begin - 8 : begin], "little")
    try:
        header = msgspec.msgpack.decode(data[begin : begin + min(n_head, MAX_HEADER)], type=Header)
    except (msgspec.DecodeError, ValueError):
        raise SlotFileError("the file is damaged") from None
    at, states = begin + n_head, []
    for part in header.parts:
        if not (part.n_bytes >= 0 and 0 <= part.start < len(part.tokens)):
            raise SlotFileError("the file is damaged")
        states.append(np.frombuffer(data[at : at + part.n_bytes], np.uint8))
        at += part.n_bytes
    if at != len(data):
        raise SlotFileError("the file is damaged")
    return header, states
