"""Power beside llama-server: same GGUF, same llama.cpp, same threads, one run.

usage: python -m bench.compare [--rounds N] [--only single,batch8,short] [--slots N] [--model FILE.gguf]

Everything is made on the first run, under bench/cache: llama-server is built
from the sdist of the pinned llama-cpp-python (so both run the same llama.cpp),
and a GGUF of Qwen2.5-0.5B's shape is written with random weights.  Both servers
then run with one thread (`-t 1`) and the same OpenMP settings, and
`bench/http_bench.py` asks them in turn, A B, B A, …, so that the drift of a
shared machine hits both alike.  Quote the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.qwen_shape import make
from tests.support import add_model

HERE = Path(__file__).parent
CACHE = HERE / "cache"
VERSION = "0.3.36"  # of llama-cpp-python; as pinned in pyproject.toml
CONTEXT = 4096  # tokens per slot
# Threads that spin while they wait decide such figures; see power/sched/process.py.
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}
START_SECONDS = 120


def sdist() -> Path:
    """The unpacked source of llama-cpp-python, with llama.cpp inside."""
    folder = CACHE / f"llama_cpp_python-{VERSION}"
    if not folder.exists():
        archive = CACHE / f"llama_cpp_python-{VERSION}.tar.gz"
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--dest", str(CACHE)]
        subprocess.run([*pip, f"llama-cpp-python=={VERSION}"], check=True)
        with tarfile.open(archive) as tar:
            tar.extractall(CACHE, filter="data")
    return folder


def llama_server(source: Path) -> Path:
    """The llama-server binary, compiled if it is not there yet."""
    build = CACHE / "llama-server-build"
    binary = build / "bin" / "llama-server"
    if not binary.exists():
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_UI=OFF"]
        subprocess.run(["cmake", "-S", str(source / "vendor/llama.cpp"), "-B", str(build), *options], check=True)
        jobs = str(os.cpu_count() or 1)
        subprocess.run(["cmake", "--build", str(build), "--target", "llama-server", "-j", jobs], check=True)
    return binary


@contextmanager
def running(command: Sequence[str], log: Path, health: str) -> Iterator[None]:
    """The server, answering, during the block."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=ENVIRONMENT) as process:
        try:
            wait_for(health, process, log)
            yield
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise SystemExit(f"no answer from {url}:\n{log.read_text()[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="single,batch8,prefix8,turns,short")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--model", type=Path, help="another GGUF than the Qwen2.5-0.5B shape")
    parser.add_argument("--port", type=int, default=18080, help="and the next one, on 127.0.0.1")
    arguments = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    source = sdist()
    model = arguments.model or make(source, CACHE / "qwen2.5-0.5b-shape-q4_k_m.gguf")
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))
        add_model(home / "models", "bench", model, link=True)
        peer, ours = arguments.port, arguments.port + 1
        stack.enter_context(
            running(
                peer_command(source, model, peer, arguments.slots),
                CACHE / "peer.log",
                f"http://127.0.0.1:{peer}/health",
            )
        )
        stack.enter_context(
            running(power_command(home, ours, arguments.slots), CACHE / "power.log", f"http://127.0.0.1:{ours}/health")
        )
        bench = [sys.executable, str(HERE / "http_bench.py"), f"llama-server=http://127.0.0.1:{peer}/v1,bench"]
        bench += [
            f"power=http://127.0.0.1:{ours}/v1,bench",
            "--rounds",
            str(arguments.rounds),
            "--only",
            arguments.only,
        ]
        subprocess.run(bench, check=True)


def peer_command(source: Path, model: Path, port: int, slots: int) -> list[str]:
    return [
        *(str(llama_server(source)), "-m", str(model), "--host", "127.0.0.1", "--port", str(port)),
        *("-t", "1", "-tb", "1", "-np", str(slots), "-c", str(CONTEXT * slots), "--jinja"),
    ]


def power_command(home: Path, port: int, slots: int) -> list[str]:
    return [
        *(sys.executable, "-m", "power", "serve", "--port", str(port), "--data-dir", str(home)),
        *("--num-parallel", str(slots), "--num-thread", "1", "--context-length", str(CONTEXT), "--keep-alive", "-1"),
    ]


if __name__ == "__main__":
    main()
