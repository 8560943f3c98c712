"""The KV cache over HTTP: more is asked of it than it holds; and many chats branch.

usage: python -m bench.kv_cache [--only demand,branches] [--layers 2]

demand     16 requests at once want twice as many tokens as the pool has: how many finish, and with the tokens that
           each has alone
branches   50 conversations under one system prompt go on and fork, 4 at a time: tokens that were computed of their
           prompts, over those that a tree of all that was said has (the ideal of a radix cache)

The model is `bench.copy_model`: its answers are far from a tie, so another rounding cannot change them, and
its tokens can be read from its text.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx

from bench.contenders import Setup, power, running
from bench.copy_model import N_VOCAB, write_copy_model

BOS = 1
PORT = 18435
POOL = 4096  # tokens
N_REQUESTS = 16
N_TALKS, N_TURNS = 50, 200

Tokens = tuple[int, ...]


class Answer:
    """What came back for a prompt."""

    def __init__(self, prompt: Tokens, reply: httpx.Response) -> None:
        body = reply.json() if reply.status_code == 200 else {}
        self.prompt = prompt
        self.is_whole = bool(body) and body["choices"][0]["finish_reason"] in ("stop", "length")
        text = body["choices"][0]["text"] if body else ""
        self.tokens = tuple(int(word) + 3 for word in text.replace("w", " ").replace("▁", " ").split())
        usage = body.get("usage", {})
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        self.n_computed = usage.get("prompt_tokens", 0) - cached


def ask(client: httpx.Client, prompt: Tokens, n_tokens: int) -> Answer:
    body = {"model": "bench", "prompt": list(prompt), "max_tokens": n_tokens, "temperature": 0}
    return Answer(prompt, client.post("/completions", json=body))


def words(n: int, rng: Random) -> Tokens:
    return tuple(rng.randrange(3, N_VOCAB) for _ in range(n))


def demand(model: Path) -> Iterator[str]:
    rng = Random(1)
    n_each = 2 * POOL // N_REQUESTS  # tokens that each wants, half of them for its answer
    # Each token occurs once, so that the model repeats the text; no two texts begin alike.
    texts = [tuple(rng.sample(range(3, N_VOCAB), n_each // 2 - 2)) for _ in range(N_REQUESTS)]
    prompts = [(BOS, *text, text[0]) for text in texts]
    with serving(model, N_REQUESTS, POOL) as client:
        alone = [ask(client, prompt, n_each // 2) for prompt in prompts]
    with serving(model, N_REQUESTS, POOL) as client, ThreadPoolExecutor(N_REQUESTS) as pool:
        together = list(pool.map(lambda prompt: ask(client, prompt, n_each // 2), prompts))
        n_pauses = pauses(client)
    n_whole = sum(answer.is_whole for answer in together)
    n_same = sum(a.tokens == b.tokens and bool(a.tokens) for a, b in zip(alone, together, strict=True))
    yield f"demand: {N_REQUESTS} requests want {N_REQUESTS * n_each} tokens of a pool of {POOL}, at once"
    yield f"  finished {n_whole / N_REQUESTS:.0%}, with the same tokens as alone {n_same / N_REQUESTS:.0%}"
    yield f"  {sum(map(len, (answer.tokens for answer in together)))} tokens answered, {n_pauses:.0f} pauses"


def branches(model: Path) -> Iterator[str]:
    rng = Random(4)
    talks: list[Tokens] = [(BOS, *words(150, rng))]
    seen: set[Tokens] = set()
    n_ideal = n_computed = 0
    lock = threading.Lock()

    def turn(seed: int) -> None:
        nonlocal n_ideal, n_computed
        own = Random(seed)
        with lock:
            talk = talks.pop(own.randrange(len(talks))) if len(talks) >= N_TALKS else own.choice(talks)
        answer = ask(client, talk + words(own.randrange(8, 40), own), own.randrange(4, 24))
        whole = answer.prompt + answer.tokens
        with lock:
            n_ideal += sum(answer.prompt[:n] not in seen for n in range(1, len(answer.prompt) + 1))
            n_computed += answer.n_computed
            seen.update(whole[:n] for n in range(1, len(whole)))  # the last token was never decoded
            talks.append(whole)

    with serving(model, 4, N_TALKS * 1024) as client, ThreadPoolExecutor(4) as pool:
        list(pool.map(turn, range(N_TURNS)))
    yield f"branches: {N_TURNS} turns of {len(talks)} conversations"
    yield f"  {n_computed} tokens computed of their prompts, {n_ideal} at best: {n_computed / n_ideal:.3f}"


@contextmanager
def serving(model: Path, n_slots: int, n_pool: int) -> Iterator[httpx.Client]:
    """A fresh server with such a pool, and the model in memory."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "config.toml").write_text(f"[cache]\npool_tokens = {n_pool}\n")
        contender = power(Setup(model, n_slots, 4096, home), PORT)
        contender = contender._replace(environment={"POWER_HOME": folder})
        with (
            running(contender, home / "log"),
            httpx.Client(base_url=contender.url, timeout=600, trust_env=False) as client,
        ):
            ask(client, (BOS,), 1)  # loads it
            yield client


def pauses(client: httpx.Client) -> float:
    page = client.get(str(client.base_url).replace("/v1/", "/metrics")).text
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("power_sequence_pauses_total{"))


ROWS = {"demand": demand, "branches": branches}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ROWS))
    parser.add_argument("--layers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = write_copy_model(Path(folder) / "copy.gguf", n_layers=arguments.layers)
        for name in arguments.only.split(","):
            print("\n".join(ROWS[name](model)), flush=True)


if __name__ == "__main__":
    main()
