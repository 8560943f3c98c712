# Invariant: any bytes are a GGUF, all of whose values and tensors can be read and which is written again with the
# same header; or a GGUFError; and nothing else.
"""Mutates the header of a small file with every kind of value and tensor, and that of the embedded model.

With `atheris` installed, `python fuzz/fuzz_gguf.py --guided [libFuzzer's arguments]` lets coverage lead.
"""

import os
import random
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import mutate
import numpy as np

from power.gguf import (
    GGUF,
    GGUFError,
    TensorSource,
    Typed,
    ValueType,
    facts_of,
    open_gguf,
    plan_rewrite,
    write_gguf,
)
from power.gguf.constants import TENSOR_TYPES

PACKAGED = Path(__file__).parents[1] / "power" / "data" / "tiny.gguf"
VALUES: dict[str, Any] = {
    "general.architecture": "llama",
    "general.alignment": 32,
    "split.count": Typed(1, ValueType.UINT16),
    "llama.attention.head_count": [4, 2],
    "tokenizer.ggml.tokens": [f"token {n}" for n in range(40)],
    "tokenizer.ggml.scores": np.zeros(40, np.float32),
    "tokenizer.chat_template": "{{ messages }}",
    "nested": [[1, 2], ["x"], [[True], [0.5]]],
    **{kind.name: Typed(1, kind) for kind in ValueType if kind not in (ValueType.STRING, ValueType.ARRAY)},
}


@cache
def seeds() -> tuple[tuple[bytes, bytes], ...]:
    """Header and the rest, of each file."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.gguf"
        tensors = [
            TensorSource(kind.name, (2, kind.block), kind, lambda n=2 * kind.block_bytes: [bytes(n)])  # type: ignore[misc]
            for kind in TENSOR_TYPES.values()
        ]
        write_gguf(small, VALUES, tensors)
        return tuple(_cut(path) for path in (small, PACKAGED))


def _cut(path: Path) -> tuple[bytes, bytes]:
    n_header = min(info.start for info in open_gguf(path).tensors.values())
    data = path.read_bytes()
    return data[:n_header], data[n_header:]


def check(rng: random.Random) -> None:
    # The header is what is read; the tensors' bytes may be anything anyway.
    header, rest = rng.choices(seeds(), (9, 1))[0]
    check_bytes(mutate.mutate(header, rng) + rest)


def check_bytes(data: bytes) -> None:
    with open(_path(), "wb") as file:
        file.write(data)
    try:
        gguf = open_gguf(_path())
        read(gguf)
        facts_of(gguf)
    except GGUFError:
        pass


@cache
def _path() -> Path:
    # In memory where there is such a place: a hundred times the cases.
    folder = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
    return folder / f"fuzz-{os.getpid()}.gguf"


def read(gguf: GGUF) -> None:
    for value in gguf.metadata.values():
        assert value is not None
    for name, info in gguf.tensors.items():
        assert len(gguf.tensor_bytes(name)) == info.n_bytes
        if info.n_elements < 2**16:
            assert gguf.floats(name).shape == gguf.tensor(name).shape[:-1] + info.array_shape[-1:]
    plan = plan_rewrite(gguf)
    n_header = len(plan.header.rstrip(b"\0"))
    assert plan.header[:n_header] == gguf.path.read_bytes()[:n_header]


def guided() -> None:
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    # It begins with a file that has something of everything; what it finds on the way is kept beside that.
    corpus = Path(tempfile.gettempdir()) / "power-fuzz-gguf"
    corpus.mkdir(exist_ok=True)
    (corpus / "small").write_bytes(b"".join(seeds()[0]))
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus)], check_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    try:
        guided() if sys.argv[1:2] == ["--guided"] else mutate.run(check)
    finally:
        _path().unlink(missing_ok=True)
