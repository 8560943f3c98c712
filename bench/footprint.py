"""What a server costs beside the arithmetic: memory, and the time until a cold model answers.

usage: python -m bench.footprint [--rounds N] [--model FILE.gguf]

Memory is the proportional set size of all processes of a server after one
answer (shared pages, such as the mapped model, counted once in all).  A cold load is,
for llama-server, from its start to the first token; for Power, whose server is
there already, from the request that loads the model to the first token.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.client import Server, call, user
from bench.contenders import CACHE, Setup, llama_server, power, running, sdist
from bench.qwen_shape import make
from tests.support import children

HELLO = [user("hello")]


class Footprint(NamedTuple):
    cold: float  # seconds
    memory: int  # bytes


def of_llama_server(setup: Setup, port: int) -> Footprint:
    contender = llama_server(setup, port)
    began = time.perf_counter()
    with running(contender, CACHE / "llama-server.log") as process:
        call(Server("llama-server", contender.url, "bench"), HELLO, 1)
        return Footprint(time.perf_counter() - began, memory(process.pid))


def of_power(setup: Setup, port: int) -> Footprint:
    contender = power(setup, port)
    with running(contender, CACHE / "power.log") as process:
        began = time.perf_counter()
        call(Server("power", contender.url, "bench"), HELLO, 1)
        return Footprint(time.perf_counter() - began, memory(process.pid))


def memory(pid: int) -> int:
    """Bytes that a process and its children have for themselves, and their share of what they share."""
    return sum(_pss(each) for each in [pid, *children(pid)])


def _pss(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (line,) = (line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path, help="another GGUF than the Qwen2.5-0.5B shape")
    parser.add_argument("--port", type=int, default=18080)
    arguments = parser.parse_args()
    model = arguments.model or make(sdist(), CACHE / "qwen2.5-0.5b-shape-q4_k_m.gguf")
    measures: dict[str, Callable[[Setup, int], Footprint]] = {"llama-server": of_llama_server, "power": of_power}
    found: dict[str, list[Footprint]] = {name: [] for name in measures}
    for number in range(arguments.rounds):
        for name in list(measures)[:: 1 if number % 2 == 0 else -1]:
            with TemporaryDirectory() as home:
                setup = Setup(model.absolute(), 4, 4096, Path(home))
                found[name].append(measures[name](setup, arguments.port))
    for name, footprints in found.items():
        cold = statistics.median(footprint.cold for footprint in footprints)
        size = statistics.median(footprint.memory for footprint in footprints)
        print(f"{name:14} cold load {cold:6.2f} s   memory {size / 2**20:7.0f} MiB")


if __name__ == "__main__":
    main()
