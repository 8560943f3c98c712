"""Prompt lookup: the same answers with drafts and without, in turns.

usage: python -m bench.lookup [--layers 24] [--rounds 3] [--clients 1,4]

The task is to repeat a text of 300 tokens; the model is `bench.copy_model`, which
does that and has the weight of a real one.  Printed are tokens a second of all
clients together (medians), and how many drafts were right.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from bench.contenders import Setup, power, running
from bench.copy_model import N_VOCAB, write_copy_model

N_TEXT = 300  # tokens
PORT = 18434


def copy(client: httpx.Client, text: list[int], n_draft: int) -> None:
    """Let the model repeat a text, and see to it that it did."""
    options = {"temperature": 0, "num_predict": N_TEXT, "draft_num_predict": n_draft}
    body = {"model": "bench", "prompt": [*text, text[0]], "max_tokens": N_TEXT, "temperature": 0, "options": options}
    reply = client.post("/completions", json=body)
    reply.raise_for_status()
    expected = "".join(f"w{token - 3} " for token in [*text[1:], text[0]])
    assert reply.json()["choices"][0]["text"].replace("▁", " ").split() == expected.split()


def measure(client: httpx.Client, n_clients: int, n_draft: int, rng: np.random.Generator) -> float:
    """Tokens a second of so many clients together."""
    texts = [[int(token) for token in rng.permutation(np.arange(3, N_VOCAB))[:N_TEXT]] for _ in range(n_clients)]
    began = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        list(pool.map(lambda text: copy(client, text, n_draft), texts))
    return n_clients * N_TEXT / (time.perf_counter() - began)


def drafts(client: httpx.Client, url: str) -> tuple[float, float]:
    """Drafted and accepted so far."""
    lines = client.get(url.removesuffix("/v1") + "/metrics").text.splitlines()

    def total(kind: str) -> float:
        mark = f'kind="{kind}"'
        return sum(float(line.split()[-1]) for line in lines if "draft_tokens_total{" in line and mark in line)

    return total("drafted"), total("accepted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[1, 4])
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        model = write_copy_model(Path(folder) / "copy.gguf", n_layers=arguments.layers)
        contender = power(Setup(model, max(arguments.clients), 1024, Path(folder)), PORT)
        with (
            running(contender, Path(folder) / "log"),
            httpx.Client(base_url=contender.url, timeout=600, trust_env=False) as client,
        ):
            measure(client, 1, 0, rng)  # loads it
            for n_clients in arguments.clients:
                report(client, contender.url, n_clients, arguments.rounds, rng)


def report(client: httpx.Client, url: str, n_clients: int, rounds: int, rng: np.random.Generator) -> None:
    before = drafts(client, url)
    rates: dict[int, list[float]] = {0: [], -1: []}
    for _ in range(rounds):
        for n_draft in rates:
            rates[n_draft].append(measure(client, n_clients, n_draft, rng))
    drafted, accepted = (now - then for now, then in zip(drafts(client, url), before, strict=True))
    plain, guessed = (statistics.median(rates[n_draft]) for n_draft in (0, -1))
    print(
        f"{n_clients} clients: {plain:.1f} tokens/s without drafts, {guessed:.1f} with, {guessed / plain:.2f}x; "
        f"{accepted:.0f} of {drafted:.0f} drafted tokens were right"
    )


if __name__ == "__main__":
    main()
