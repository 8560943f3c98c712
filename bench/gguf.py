"""The GGUF library against the `gguf` package: time and peak memory, side by side in one run.

    python -m bench.gguf             # as a module: beside this file, `import gguf` would find it
    python -m bench.gguf --types     # also every tensor type by itself

Every measurement is a process of its own, which is asked for the processor time
it took after its imports, and for the memory it needed beyond what it had then.
Both sides use one thread and find the file in the page cache, so the time is
that of an idle machine, near enough, even where others are at work.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from power.gguf import TYPE_NAMED, write_gguf
from power.gguf.constants import TENSOR_TYPES
from tests.gguf.files import random_blocks, random_source
from tests.support import sdist

VOCABULARY = "vendor/llama.cpp/models/ggml-vocab-qwen2.gguf"  # 151,936 tokens
KEY = "tokenizer.ggml.eos_token_id"
# What the package has no code for cannot be compared.
LEFT_OUT = ("F64", "I8", "I16", "I32", "I64", "Q8_1", "Q8_K", "Q1_0", "Q2_0")
COMPARED = [kind.name for kind in TENSOR_TYPES.values() if kind.name not in LEFT_OUT]
N_ROWS, N_ROW = 1024, 2048  # elements of each tensor


class Cost(NamedTuple):
    seconds: float
    n_bytes: int


def ours(task: str, path: str) -> Callable[[], Any]:
    from power.gguf import dequantise, open_gguf

    del dequantise  # imported now, and not while we measure

    def run() -> Any:
        file = open_gguf(path)
        match task:
            case "one key":
                return file.metadata[KEY]
            case "all keys":
                return [(key, value) for key, value in file.metadata.items()]
            case "all tensors":
                return [float(file.floats(name)[-1, -1]) for name in file.tensors]
        return file

    return run


def theirs(task: str, path: str) -> Callable[[], Any]:
    import gguf

    def run() -> Any:
        file = gguf.GGUFReader(path)
        match task:
            case "one key":
                return file.fields[KEY].contents()
            case "all keys":
                return [(key, field.contents()) for key, field in file.fields.items()]
            case "all tensors":
                return [float(gguf.quants.dequantize(t.data, t.tensor_type)[-1, -1]) for t in file.tensors]
        return file

    return run


def measure(who: str, task: str, path: Path | str) -> Cost:
    """What the task costs, in a process of its own."""
    command = [sys.executable, "-m", "bench.gguf", "--measure", who, task, str(path)]
    root = Path(__file__).parents[1]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    seconds, n_bytes = result.stdout.split()
    return Cost(float(seconds), int(n_bytes))


def measured(who: str, task: str, path: str) -> Cost:
    run = {"ours": ours, "theirs": theirs}[who](task, path)
    before = _highest_memory()
    started = time.process_time()
    result = run()
    seconds = time.process_time() - started
    del result
    return Cost(seconds, _highest_memory() - before)


def _highest_memory() -> int:
    # Not getrusage: its figure begins with that of the process that started us.
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def compare(title: str, task: str, path: Path) -> None:
    power, package = measure("ours", task, path), measure("theirs", task, path)
    ratio = package.seconds / power.seconds
    times = f"{1000 * power.seconds:,.1f} ms | {1000 * package.seconds:,.0f} ms | {ratio:,.1f}×"
    memory = f"{power.n_bytes / 2**20:,.0f} MiB | {package.n_bytes / 2**20:,.0f} MiB"
    print(f"| {title} | {times} | {memory} |", flush=True)


def write_model(path: Path, types: list[str]) -> Path:
    write_gguf(path, {"general.architecture": "llama"}, [random_source(name, N_ROWS, N_ROW, name) for name in types])
    return path


def compare_types() -> None:
    """Every type by itself, unpacked in memory: the best of some runs, in turns."""
    import gguf

    from power.gguf import dequantise

    print("\n| | power.gguf | gguf | ratio |\n|---|---:|---:|---:|")
    for name in COMPARED[1:]:  # F32 is not unpacked at all
        kind, theirs = TYPE_NAMED[name], gguf.GGMLQuantizationType[name]
        data = random_blocks(kind, N_ROWS * N_ROW // kind.block).reshape(N_ROWS, -1)
        runs = [(_timed(dequantise, data, kind), _timed(gguf.quants.dequantize, data, theirs)) for _ in range(9)]
        power, package = (min(times) * 1e9 / (N_ROWS * N_ROW) for times in zip(*runs, strict=True))
        print(f"| {name} | {power:.2f} ns | {package:.2f} ns | {package / power:.1f}× |", flush=True)


def _timed(run: Callable[..., object], *arguments: object) -> float:
    started = time.process_time()
    run(*arguments)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare power.gguf with the gguf package.")
    parser.add_argument("--types", action="store_true", help="every tensor type by itself, too: time for an element")
    parser.add_argument("--measure", nargs=3, metavar=("WHO", "TASK", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(*measured(*options.measure))
        return
    vocabulary = sdist() / VOCABULARY
    print("| | power.gguf | gguf | ratio | peak memory | of gguf |\n|---|---:|---:|---:|---:|---:|")
    compare("open, 151,936 tokens", "open", vocabulary)
    compare("open and one key", "one key", vocabulary)
    compare("open and all keys", "all keys", vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder) / "model.gguf", COMPARED)
        compare(f"{len(COMPARED)} tensors to float32", "all tensors", model)
    if options.types:
        compare_types()


if __name__ == "__main__":
    main()
