# Invariant: any text is refused, or names a model, file or blob whose place is inside the store and which parses back.
"""Composes names, URLs and digests of what has a meaning in one of them."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import mutate

from power.errors import BadRequest, ModelNotFound
from power.store import Name, Store, blob_path, parse_name, parse_reference
from power.store.sources import source_of

PIECES = (
    *("llama3.2", "3b", "registry.ollama.ai", "library", "hf.co", "localhost:5000", "[::1]", "user@host", "Q4_K_M"),
    *("/", "//", ":", "://", "http://", "https://", ".gguf", "?", "#", "%2e%2e", "%00", "..", ".", "-", "_", " ", "\\"),
    *("sha256:", "sha256-", "a" * 64, "0" * 63, "A" * 64, "\0", "\n", "x" * 400, ":cloud", "-cloud", ":local"),
)
MODELS = Path("/models")
STORE = Store(MODELS)


def check(rng: random.Random) -> None:
    text = "".join(rng.choices(PIECES, k=rng.randrange(1, 8))) if rng.random() < 0.7 else mutate.compose(PIECES, rng)
    for name in names(text):
        path = STORE.manifests.path(name)
        inside(path, 5)
        assert parse_name(name.full) == name
        assert parse_name(str(name)).full.lower() == name.full.lower()
    with suppress(BadRequest):
        inside(blob_path(MODELS, text), 2)


def names(text: str) -> Iterator[Name]:
    readers: tuple[Callable[[str], Name], ...] = (
        parse_name,
        parse_reference,
        lambda text: source_of(text, insecure=True).name,
    )
    for read in readers:
        # ModelNotFound is what a name in Ollama's cloud ends in.
        with suppress(BadRequest, ModelNotFound):
            yield read(text)


def inside(path: Path, depth: int) -> None:
    parts = path.relative_to(MODELS).parts
    assert len(parts) == depth
    assert not any(part in ("", ".", "..") or set(part) & set("/\\\0") for part in parts)


if __name__ == "__main__":
    mutate.run(check)
