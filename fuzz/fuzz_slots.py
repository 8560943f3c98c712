# Invariant: of a slot's file whatever is read is what was written, or else a SlotFileError; nothing else is raised.
"""Mutates files of slots, some with a hash that is right again, as somebody would make who wants to be read."""

import hashlib
import random
import tempfile
from contextlib import suppress
from pathlib import Path

import mutate
import numpy as np

from power.worker.slots import HASH_SIZE, Header, Part, SlotFileError, parse, write

FOLDER = Path(tempfile.mkdtemp())


def check(rng: random.Random) -> None:
    states = [np.frombuffer(rng.randbytes(rng.randrange(40)), np.uint8) for _ in range(rng.randrange(4))]
    tokens = tuple(rng.randrange(2**20) for _ in range(rng.randrange(1, 9)))
    header = Header("model", tokens, tuple(Part(tokens, rng.randrange(len(tokens)), len(state)) for state in states))
    path = FOLDER / "slot"
    assert write(path, header, states) == path.stat().st_size
    data = path.read_bytes()
    same(parse(memoryview(data)), header, states)
    changed = mutate.mutate(data, rng)
    if rng.random() < 0.7:
        changed = hashlib.sha256(changed[HASH_SIZE:]).digest() + changed[HASH_SIZE:]
    with suppress(SlotFileError):
        found, parts = parse(memoryview(changed))
        assert [len(part) for part in parts] == [part.n_bytes for part in found.parts]
        if changed[:HASH_SIZE] == data[:HASH_SIZE]:
            same((found, parts), header, states)


def same(found: tuple[Header, list[np.ndarray]], header: Header, states: list[np.ndarray]) -> None:
    assert found[0] == header
    assert [part.tobytes() for part in found[1]] == [state.tobytes() for state in states]


if __name__ == "__main__":
    mutate.run(check)
