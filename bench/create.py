"""How fast a large file becomes a model, and how much memory the server needs for it.

    python bench/create.py --gigabytes 2

A GGUF of random numbers is uploaded to a server over the loopback and made into
a model, quantised or not; the figures are of the server's own process.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from power.gguf import TYPE_NAMED, TensorSource, write_gguf

PIECE_BYTES = 2**22
ROW = 4096  # elements


def write_random(path: Path, n_bytes: int) -> Path:
    """A llama of nothing but embeddings, F16."""
    piece = np.random.default_rng(0).normal(0, 1, PIECE_BYTES // 2).astype(np.float16)
    n_pieces = n_bytes // PIECE_BYTES
    shape = (n_pieces * piece.size // ROW, ROW)

    def chunks() -> Iterator[np.ndarray[Any, Any]]:
        for number in range(n_pieces):
            piece[0] = number  # no two alike, or a disk that folds them would flatter us
            yield piece

    metadata: dict[str, str | int] = {"general.architecture": "llama", "general.file_type": 1, "llama.block_count": 0}
    write_gguf(path, metadata, [TensorSource("token_embd.weight", shape, TYPE_NAMED["F16"], chunks)])
    return path


def memory(pid: int, what: str) -> int:
    """Bytes: VmRSS is now, VmHWM the most there ever was."""
    match = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) * 1024


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def upload(url: str, path: Path, digest: str) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), blocksize=2**20)
    headers = {"Content-Length": str(path.stat().st_size)}
    with path.open("rb") as file:
        connection.request("POST", f"/api/blobs/{digest}", file, headers)
        assert connection.getresponse().status == 201
    connection.close()


def create(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{url}/api/create", json.dumps(body | {"stream": False}).encode(), method="POST")
    urllib.request.urlopen(request).close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="power-bench-") as folder:
        path = write_random(Path(folder) / "random.gguf", int(options.gigabytes * 1e9))
        size = path.stat().st_size
        environ = os.environ | {"POWER_HOME": folder, "OLLAMA_HOST": "127.0.0.1:0"}
        command = [sys.executable, "-m", "power", "serve"]
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            match = re.search(r"listening on (\S+),", server.stderr.readline())
            assert match
            try:
                measure(match[1], server.pid, path, size)
            finally:
                server.terminate()
                server.communicate()


def measure(url: str, pid: int, path: Path, size: int) -> None:
    before = memory(pid, "VmRSS")
    digest = digest_of(path)
    began = time.perf_counter()
    upload(url, path, digest)
    uploaded = time.perf_counter()
    create(url, {"model": "random", "files": {"random.gguf": digest}})
    created = time.perf_counter()
    seconds = uploaded - began
    print(f"uploaded {size / 1e9:.1f} GB in {seconds:.1f} s, {size / 1e6 / seconds:.0f} MB/s, hashed and synced")
    print(f"created in {created - uploaded:.2f} s")
    print(f"server's memory: {before / 1e6:.0f} MB before, at most {memory(pid, 'VmHWM') / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
