"""What tests of the whole server share: a store with models in it, and readers of streams."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio

from power.store.manifest import CONFIG_TYPE, LAYER_TYPE, Layer, Manifest

PATIENCE = 60.0  # seconds, for a busy machine
TINY = Path(__file__).parent.parent / "power" / "data" / "tiny.gguf"


def add_model(
    models_dir: Path, name: str, gguf: Path, *, link: bool = False, params: dict[str, Any] | None = None
) -> None:
    """Register `gguf` in the store as `name:latest`, as a pull would have left it (linked, if it is large)."""
    blobs = models_dir / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    blob = blobs / f"sha256-{digest}"
    blob.unlink(missing_ok=True)
    if link:
        blob.symlink_to(gguf.resolve())
    else:
        shutil.copyfile(gguf, blob)
    model = Layer(media_type=LAYER_TYPE + "model", digest=f"sha256:{digest}", size=gguf.stat().st_size)
    layers = [model]
    if params:
        layers.append(_add_blob(blobs, LAYER_TYPE + "params", json.dumps(params).encode()))
    manifest = Manifest(config=_add_blob(blobs, CONFIG_TYPE, b"{}"), layers=tuple(layers))
    path = models_dir / "manifests/registry.ollama.ai/library" / name / "latest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(manifest))


def _add_blob(blobs: Path, media_type: str, data: bytes) -> Layer:
    digest = hashlib.sha256(data).hexdigest()
    (blobs / f"sha256-{digest}").write_bytes(data)
    return Layer(media_type=media_type, digest=f"sha256:{digest}", size=len(data))


async def lines(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The objects of an NDJSON stream, as they come."""
    async for line in response.aiter_lines():
        yield json.loads(line)


def children(pid: int | None = None) -> dict[int, str]:
    """Processes this one (or `pid`) has started: pid -> command line."""
    pid = pid or os.getpid()
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ").strip()
            except FileNotFoundError:  # ended while we looked
                continue
    return found


def workers(pid: int | None = None) -> list[int]:
    """The worker processes of this process (or of `pid`), oldest first."""
    return sorted(child for child, command in children(pid).items() if "power.worker" in command)


async def metric(client: httpx.AsyncClient, name: str) -> float:
    """A value of `/metrics`; 0 if it is not there yet."""
    page = (await client.get("/metrics")).text
    return next((float(line.split()[-1]) for line in page.splitlines() if line.startswith(name)), 0.0)


async def wait_for(client: httpx.AsyncClient, name: str, value: float) -> None:
    """Until `/metrics` says so; for a busy machine."""
    with trio.fail_after(PATIENCE):
        while await metric(client, name) != value:
            await trio.sleep(0.002)


async def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Poll for what has no event of its own: another process, a kernel's buffer."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.01)


@cache
def sdist() -> Path:
    """The unpacked sdist of the pinned llama-cpp-python: real vocabularies and templates, made once a machine.

    `POWER_SDIST` names a copy that is there already.
    """
    if given := os.environ.get("POWER_SDIST"):
        return Path(given)
    version = metadata.version("llama-cpp-python")
    folder = Path(tempfile.gettempdir()) / f"power-sdist-{os.getuid()}"
    unpacked = folder / f"llama_cpp_python-{version}"
    if not unpacked.exists():
        folder.mkdir(exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        subprocess.run(
            [*pip, "--no-binary", ":all:", "--dest", str(folder), f"llama-cpp-python=={version}"], check=True
        )
        with (
            tarfile.open(folder / f"{unpacked.name}.tar.gz") as tar,
            tempfile.TemporaryDirectory(dir=folder) as partial,
        ):
            tar.extractall(partial, filter="data")
            (Path(partial) / unpacked.name).rename(unpacked)
    return unpacked
