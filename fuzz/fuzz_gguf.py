# Invariant: any bytes are a GGUF, all of whose values and tensors can be read, or a GGUFError; and nothing else.
"""Mutates the header of the embedded model's file."""

import random
import tempfile
from pathlib import Path

import mutate

from power.gguf import GGUFError, facts_of, open_gguf

PACKAGED = Path(__file__).parents[1] / "power" / "data" / "tiny.gguf"
SEED = PACKAGED.read_bytes()
HEADER = min(info.start for info in open_gguf(PACKAGED).tensors.values())


def check(rng: random.Random) -> None:
    # The header is what is read; the tensors' bytes may be anything anyway.
    data = mutate.mutate(SEED[:HEADER], rng) + SEED[HEADER:]
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(data)
        file.flush()
        read(Path(file.name))


def read(path: Path) -> None:
    try:
        gguf = open_gguf(path)
        for value in gguf.metadata.values():
            assert value is not None
        for name, info in gguf.tensors.items():
            assert len(gguf.tensor_bytes(name)) == info.n_bytes
        facts_of(gguf)
    except GGUFError:
        pass


if __name__ == "__main__":
    mutate.run(check)
