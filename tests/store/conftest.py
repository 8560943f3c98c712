"""A store in Ollama's layout, filled by hand."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from power.config import Config
from power.store import Store, open_store
from tests.gguf.files import write_small
from tests.store.registries import FakeRegistry, fake_registry

LAYER = "application/vnd.ollama.image."


class Shelf:
    """Puts models into a directory as Ollama would."""

    def __init__(self, models_dir: Path, packaged: Path) -> None:
        self.models_dir = models_dir
        self.packaged = packaged

    def open(self) -> Store:
        return Store(self.models_dir, self.packaged)

    def blob(self, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        path = self.models_dir / "blobs" / f"sha256-{digest}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def manifest(self, name: str, data: bytes, *, modified: float = 1e9) -> Path:
        path = self.models_dir / "manifests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (modified, modified))
        return path

    def model(self, name: str, *layers: tuple[str, Any], modified: float = 1e9, **config: Any) -> Path:
        """A model of the packaged file with these layers, each a kind and a text, a file's bytes or a JSON value."""
        written = [{"mediaType": f"{LAYER}model", **self.blob(self.packaged.read_bytes())}]
        for kind, value in layers:
            text = value if isinstance(value, str | bytes) else json.dumps(value)
            data = text.encode() if isinstance(text, str) else text
            written.append({"mediaType": LAYER + kind, **self.blob(data)})
        said = {"model_format": "gguf", "architecture": "amd64", "os": "linux", **config}
        head = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                **self.blob(json.dumps(said).encode()),
            },
            "layers": written,
        }
        return self.manifest(name, json.dumps(head).encode(), modified=modified)


@pytest.fixture(scope="session")
def small_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("packaged") / "tiny.gguf")


@pytest.fixture
def shelf(tmp_path: Path, small_gguf: Path) -> Shelf:
    return Shelf(tmp_path / "models", small_gguf)


@pytest.fixture
async def store(shelf: Shelf) -> AsyncIterator[Store]:
    """The shelf's store, opened."""
    async with open_store(Config(data_dir=shelf.models_dir.parent, models_dir=shelf.models_dir)) as store:
        yield store


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry() as server:
        yield server
