"""Tokens a second under a grammar, over tokens a second without one.

usage: python -m bench.grammar MODEL.gguf [--rounds N] [--tokens N] [--schema FILE.json]

One stream of one worker process, no HTTP; both kinds of answers have the same number
of tokens, one after the other in turn.  What a model with random weights likes best,
a grammar hardly ever allows: every token of it is sampled twice, the worst there is.
So there is a second case, fairer: the tokens of a text that follows the
schema are biased, as a trained model would have them likely.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from power.grammar import compile_schema
from power.options import Sampling
from power.worker.wire import (
    Command,
    Done,
    Event,
    Load,
    LoadError,
    Ready,
    Refused,
    Start,
    Step,
    Tokenize,
    Tokenized,
    encode,
    event_reader,
)

PROMPT = "Describe the customer and all orders of the last month as JSON."
ADDRESS = {
    "type": "object",
    "properties": {
        "street": {"type": "string"},
        "city": {"type": "string"},
        "zip": {"type": "string", "pattern": "^[0-9]{5}$"},
    },
    "required": ["street", "city", "zip"],
}
ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "status": {"enum": ["open", "shipped", "delivered", "returned"]},
        "items": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer"}, "price": {"type": "number"}},
                "required": ["sku", "quantity", "price"],
            },
        },
        "ship_to": ADDRESS,
    },
    "required": ["id", "status", "items", "ship_to"],
}
NESTED = {
    "type": "object",
    "properties": {
        "customer_name": {"type": "string"},
        "email": {"type": "string"},
        "is_business": {"type": "boolean"},
        "address": ADDRESS,
        "orders": {"type": "array", "items": ORDER, "minItems": 40},
        "comment": {"type": "string"},
    },
    "required": ["customer_name", "email", "is_business", "address", "orders", "comment"],
}
EXAMPLE = {
    "customer_name": "Ada Lovelace",
    "email": "ada@example.org",
    "is_business": False,
    "address": {"street": "St James's Square 12", "city": "London", "zip": "12345"},
    "orders": [
        {
            "id": 17, "status": "shipped", "items": [{"sku": "AB-1", "quantity": 3, "price": 9.5}],
            "ship_to": {"street": "High Street 1", "city": "Oxford", "zip": "54321"},
        }
    ],
}  # fmt: skip


class Bench:
    """A worker with the model loaded."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = event_reader()
        self._events: list[Event] = []
        self._id = 0

    def send(self, command: Command) -> None:
        self._connection.sendall(encode(command))

    def receive(self) -> Event:
        while not self._events:
            self._events += self._reader.feed(self._connection.recv(2**16))
        return self._events.pop(0)

    def tokenize(self, text: str) -> tuple[int, ...]:
        self.send(Tokenize(0, text, add_special=False))
        event = self.receive()
        assert isinstance(event, Tokenized)
        return event.tokens

    def seconds(self, n_tokens: int, **changes: Any) -> tuple[float, int, str]:
        """From the first token to the end of an answer, how many tokens that were, and its text."""
        self._id += 1
        self.send(Start(id=self._id, prompt=(PROMPT,), n_predict=n_tokens, n_ctx=0, **changes))
        text, first = "", 0.0
        while True:
            event = self.receive()
            if isinstance(event, Refused):
                raise SystemExit(event.message)
            if isinstance(event, Step):
                first = first or time.perf_counter()
                text += "".join(piece.text for piece in event.pieces)
            if isinstance(event, Done):
                return time.perf_counter() - first, event.n_generated, text


@contextmanager
def opened(model: Path, n_threads: int) -> Iterator[Bench]:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "power.worker", str(theirs.fileno())]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, stdout=subprocess.DEVNULL) as process:
        theirs.close()
        try:
            bench = Bench(ours)
            bench.send(
                Load(
                    path=str(model),
                    n_slots=1,
                    n_ctx=4096,
                    n_batch=512,
                    n_threads=n_threads,
                    n_threads_batch=n_threads,
                    n_gpu_layers=0,
                    main_gpu=None,
                    use_mmap=True,
                    use_mlock=False,
                    flash_attention=None,
                    kv_type="f16",
                )
            )
            while not isinstance(event := bench.receive(), Ready):
                if isinstance(event, LoadError):
                    raise SystemExit(event.message)
            yield bench
        finally:
            ours.close()
            process.wait(60)


def compare(bench: Bench, schema: Any, rounds: int, n_tokens: int, likely: bool) -> dict[str, float]:
    written = compile_schema(schema).written
    biases: tuple[tuple[int | str, float], ...] = ()
    if likely:
        tokens = {*bench.tokenize(json.dumps(EXAMPLE)), *bench.tokenize(json.dumps(EXAMPLE, indent=2))}
        biases = tuple((token, 8.0) for token in sorted(tokens))
    held = {"grammar": written.text, "rules": written.rules}
    rates: dict[str, list[float]] = {"free": [], "held": []}
    for number in range(rounds + 1):
        sampling = Sampling(temperature=1, seed=number, logit_bias=biases)
        for name, more in (("free", {}), ("held", held)):
            seconds, n, _ = bench.seconds(n_tokens, sampling=sampling, **more)
            if number and n > 1:  # the first round warms up, and builds what is known of the vocabulary
                rates[name].append(n / seconds)
    if not all(rates.values()):
        raise SystemExit("all answers ended with their first token: nothing to measure")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return medians | {"ratio": medians["held"] / medians["free"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--schema", type=Path)
    arguments = parser.parse_args()
    schema = json.loads(arguments.schema.read_text()) if arguments.schema else NESTED
    with opened(arguments.model, arguments.threads) as bench:
        for likely in (False, True):
            found = compare(bench, schema, arguments.rounds, arguments.tokens, likely)
            kind = "likely" if likely else "random"
            print(f"{kind}: {found['free']:.1f} tokens/s free, {found['held']:.1f} held: {found['ratio']:.2f}x")


if __name__ == "__main__":
    main()
