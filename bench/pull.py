"""Pull throughput, hashing included, as a share of what curl reaches from the same registry in the same run.

usage: python bench/pull.py [--gib 2] [--rounds 3] [--json FILE]

A registry (Debian's `docker-registry`) on the loopback serves one random blob.
Rounds are interleaved, curl, pull, curl, …; both write to the same disk and
start with nothing there; curl ends with fsync (`sync FILE`), as a pull does.
Printed are medians, and the pulling process's peak memory beyond what it had
before the pull.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.store.registries import docker_registry

PULL = """
import resource, sys, time, trio
from pathlib import Path
from power.config import Config
from power.store import open_store, pull

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main(data_dir, name):
    async with open_store(Config(data_dir=Path(data_dir))) as store:
        before, began = peak(), time.perf_counter()
        async with pull(store, name, insecure=True) as events:
            async for event in events:
                pass
        print(time.perf_counter() - began, peak() - before)

trio.run(main, *sys.argv[1:])
"""

PUSH = """
import sys, trio
from pathlib import Path
from power.config import Config
from power.store import open_store, push

async def main(data_dir, name):
    async with open_store(Config(data_dir=Path(data_dir))) as store:
        async with push(store, name, insecure=True) as events:
            async for event in events:
                pass

trio.run(main, *sys.argv[1:])
"""


def write_model(data_dir: Path, host: str, n_bytes: int) -> str:
    """A store with a model of that many random bytes; the blob's digest."""
    blobs = data_dir / "models/blobs"
    blobs.mkdir(parents=True)
    hashed = hashlib.sha256()
    with (blobs / "new").open("wb") as file:
        for _ in range(n_bytes // 2**20):
            data = os.urandom(2**20)
            hashed.update(data)
            file.write(data)
    digest = hashed.hexdigest()
    (blobs / "new").rename(blobs / f"sha256-{digest}")
    config = hashlib.sha256(b"{}").hexdigest()
    (blobs / f"sha256-{config}").write_bytes(b"{}")
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": n_bytes},
        {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{config}", "size": 2},
    ]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": layers[1], "layers": layers[:1]}
    path = data_dir / f"models/manifests/{host}/bench/random/latest"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest))
    return digest


def curl(url: str, folder: Path) -> float:
    """Seconds."""
    began = time.perf_counter()
    subprocess.run(["curl", "-sSfo", str(folder / "curl"), url], check=True)
    subprocess.run(["sync", str(folder / "curl")], check=True)
    took = time.perf_counter() - began
    (folder / "curl").unlink()
    return took


def pull(name: str, folder: Path) -> tuple[float, int]:
    """Seconds, and bytes of memory at the peak beyond those before."""
    with tempfile.TemporaryDirectory(dir=folder) as data_dir:
        command = [sys.executable, "-c", PULL, data_dir, name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(output[0]), int(output[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    n_bytes = int(options.gib * 1024) * 2**20
    with tempfile.TemporaryDirectory() as folder, docker_registry(Path(folder, "registry")) as host:
        digest = write_model(Path(folder, "source"), host, n_bytes)
        name = f"{host}/bench/random"
        subprocess.run([sys.executable, "-c", PUSH, str(Path(folder, "source")), name], check=True)
        url = f"http://{host}/v2/bench/random/blobs/sha256:{digest}"
        curls, pulls, peaks = [], [], []
        for _ in range(options.rounds):
            curls.append(curl(url, Path(folder)))
            seconds, peak = pull(name, Path(folder))
            pulls.append(seconds)
            peaks.append(peak)
            print(f"curl {curls[-1]:.2f} s, pull {seconds:.2f} s, {peak / 2**20:.0f} MiB", flush=True)
    figures = {
        "bytes": n_bytes,
        "curl_mb_s": n_bytes / 1e6 / statistics.median(curls),
        "pull_mb_s": n_bytes / 1e6 / statistics.median(pulls),
        "share": statistics.median(curls) / statistics.median(pulls),
        "peak_mib": max(peaks) / 2**20,
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
