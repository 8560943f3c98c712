"""The servers under comparison: how each is built and started, with the same model, threads and context.

llama-server is built from the sdist of the pinned llama-cpp-python, so that it
runs the same llama.cpp as Power; the third is that sdist's own Python example
server, which uses the same low-level API as Power's worker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support import add_model

CACHE = Path(__file__).parent / "cache"
VERSION = "0.3.36"  # of llama-cpp-python; as pinned in pyproject.toml
START_SECONDS = 120
# Threads that spin while they wait decide such figures; see power/sched/process.py.
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}
EXAMPLE_NEEDS = ["fastapi", "uvicorn", "pydantic", "openai", "safetensors", "websockets"]


class Setup(NamedTuple):
    """What is the same for all."""

    model: Path
    slots: int
    context: int  # tokens per slot
    home: Path  # for files that are gone afterwards


class Contender(NamedTuple):
    name: str
    command: list[str]
    url: str  # of the OpenAI-compatible API
    health: str  # answers 200 once the server is up
    environment: dict[str, str]


def sdist() -> Path:
    """The unpacked source of llama-cpp-python, with llama.cpp inside."""
    folder = CACHE / f"llama_cpp_python-{VERSION}"
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        archive = CACHE / f"llama_cpp_python-{VERSION}.tar.gz"
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--dest", str(CACHE)]
        subprocess.run([*pip, f"llama-cpp-python=={VERSION}"], check=True)
        with tarfile.open(archive) as tar:
            tar.extractall(CACHE, filter="data")
    return folder


def llama_server_binary() -> Path:
    """The llama-server binary, compiled if it is not there yet."""
    build = CACHE / "llama-server-build"
    binary = build / "bin" / "llama-server"
    if not binary.exists():
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_UI=OFF"]
        options.append("-DCMAKE_CXX_FLAGS=-fno-dse")  # or GCC breaks it where a processor has AMX: see the Makefile
        subprocess.run(["cmake", "-S", str(sdist() / "vendor/llama.cpp"), "-B", str(build), *options], check=True)
        jobs = str(os.cpu_count() or 1)
        subprocess.run(["cmake", "--build", str(build), "--target", "llama-server", "-j", jobs], check=True)
    return binary


def llama_server(setup: Setup, port: int) -> Contender:
    command = [
        *(str(llama_server_binary()), "-m", str(setup.model), "--host", "127.0.0.1", "--port", str(port)),
        *("-t", "1", "-tb", "1", "-np", str(setup.slots), "-c", str(setup.context * setup.slots), "--jinja"),
    ]
    return Contender("llama-server", command, f"http://127.0.0.1:{port}/v1", "/health", {})


def power(setup: Setup, port: int) -> Contender:
    add_model(setup.home / "models", "bench", setup.model, link=True)
    command = [
        *(sys.executable, "-m", "power", "serve", "--port", str(port), "--data-dir", str(setup.home)),
        *("--num-parallel", str(setup.slots), "--num-thread", "1"),
        *("--context-length", str(setup.context), "--keep-alive", "-1"),
    ]
    return Contender("power", command, f"http://127.0.0.1:{port}/v1", "/health", {})


def example(setup: Setup, port: int) -> Contender:
    packages = CACHE / "example-packages"
    if not packages.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(packages)]
        subprocess.run([*pip, *EXAMPLE_NEEDS], check=True)
    config = setup.home / "example.json"
    model = {
        "path": str(setup.model),
        "alias": "bench",
        "n_ctx": setup.context * setup.slots,
        "n_seq_max": setup.slots,
        "n_batch": 512,
        "n_ubatch": 512,
        "threads": 1,
        "threads_batch": 1,
        "kv_unified": True,
        "store_logits": False,
    }
    config.write_text(json.dumps({"server": {"host": "127.0.0.1", "port": port}, "model": model}))
    command = [sys.executable, str(sdist() / "examples/server/server.py"), "-C", str(config)]
    url = f"http://127.0.0.1:{port}/v1"
    return Contender("example", command, url, "/healthz", {"PYTHONPATH": str(packages)})


CONTENDERS = {"llama-server": llama_server, "power": power, "example": example}


@contextmanager
def running(contender: Contender, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The server, answering, during the block."""
    environment = ENVIRONMENT | contender.environment
    with (
        log.open("wb") as output,
        subprocess.Popen(contender.command, stdout=output, stderr=output, env=environment) as process,
    ):
        try:
            _wait_for(contender.url.removesuffix("/v1") + contender.health, process, log)
            yield process
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    raise SystemExit(f"no answer from {url}:\n{log.read_text()[-2000:]}")
