"""Power beside its peers: same GGUF, same llama.cpp, same threads, one run.

usage: python -m bench.compare [--rounds N] [--only single,batch8] [--against llama-server,example] [--model FILE]

Everything is made on the first run, under bench/cache: llama-server is built
(`bench/contenders.py`), and a GGUF of Qwen2.5-0.5B's shape is written with
random weights.  All servers then run with one thread and the same OpenMP
settings, and are asked in turn, A B, B A, …, so that the drift of a shared
machine hits all alike.  Quote the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.client import Server
from bench.contenders import CACHE, CONTENDERS, Setup, running, sdist
from bench.http_bench import measure, table
from bench.qwen_shape import make
from bench.scenarios import SCENARIOS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="single,batch8,prefix8,turns,short", help=", ".join(SCENARIOS))
    parser.add_argument("--against", default="llama-server", help="the first is what the others are measured by")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--context", type=int, default=4096, help="tokens per slot; mixed wants 8192")
    parser.add_argument("--model", type=Path, help="another GGUF than the Qwen2.5-0.5B shape")
    parser.add_argument("--port", type=int, default=18080, help="and the next ones, on 127.0.0.1")
    arguments = parser.parse_args()
    model = arguments.model or make(sdist(), CACHE / "qwen2.5-0.5b-shape-q4_k_m.gguf")
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))
        setup = Setup(model.absolute(), arguments.slots, arguments.context, home)
        servers = []
        for port, name in enumerate([*arguments.against.split(","), "power"], arguments.port):
            contender = CONTENDERS[name](setup, port)
            stack.enter_context(running(contender, CACHE / f"{name}.log"))
            servers.append(Server(name, contender.url, "bench"))
        results = measure(servers, arguments.only.split(","), arguments.rounds)
    print("\n".join(table(results, servers)))


if __name__ == "__main__":
    main()
