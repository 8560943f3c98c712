"""What the servers are asked, and what is measured; all stream, at temperature 0.

single      one client, 32 tokens after a fresh 64-word prompt
batch8      8 clients at once, 32 tokens each, distinct prompts
clientsN    N clients at once (1, 2, 4, 8), 64 tokens each after a few words: decoding, and little else
prefix8     8 clients at once share one fresh 400-word system prompt
turns       6 conversations interleaved over 3 turns, one client (prefix reuse across slots)
short       40 sequential requests of 1 token on a constant prompt (overhead)
mixed       two streams run, a prompt of some 6,000 tokens comes, and short ones one after the other meanwhile
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from random import Random
from threading import Event

from bench.client import Answer, Server, at_once, call, token_of, user, words

LONG_WORDS = 4400  # some 6,000 tokens
ENDLESS = 2000  # tokens; the streams of `mixed` are hung up on long before

Figures = dict[str, float]
Scenario = Callable[[Server, Random], Figures]
LESS_IS_BETTER = {"ttft_s", "last_ttft_s", "wall_s", "median_s", "short_p95_s", "long_ttft_s", "gap_s"}


def single(server: Server, rng: Random) -> Figures:
    answer = call(server, [user(words(64, rng))], 32)
    return {"ttft_s": answer.ttft, "tok_s": (answer.n_tokens - 1) / max(answer.wall - answer.ttft, 1e-9)}


def batch8(server: Server, rng: Random) -> Figures:
    answers, wall = at_once(server, [[user(words(24, rng))] for _ in range(8)], 32)
    return {"tok_s": sum(answer.n_tokens for answer in answers) / wall}


def clients(n: int) -> Scenario:
    def measure(server: Server, rng: Random) -> Figures:
        answers, wall = at_once(server, [[user(words(4, rng))] for _ in range(n)], 64)
        return {"tok_s": sum(answer.n_tokens for answer in answers) / wall}

    return measure


def prefix8(server: Server, rng: Random) -> Figures:
    system = {"role": "system", "content": words(400, rng)}
    answers, wall = at_once(server, [[system, user(words(6, rng))] for _ in range(8)], 8)
    return {"last_ttft_s": max(answer.ttft for answer in answers), "wall_s": wall}


def turns(server: Server, rng: Random) -> Figures:
    conversations = [[user(words(60, rng))] for _ in range(6)]
    began = time.perf_counter()
    for _ in range(3):
        for messages in conversations:
            answer = call(server, messages, 8)
            messages += [{"role": "assistant", "content": answer.text}, user(words(12, rng))]
    return {"wall_s": time.perf_counter() - began}


def short(server: Server, rng: Random) -> Figures:
    messages = [user("hello")]
    call(server, messages, 1)
    return {"median_s": statistics.median(call(server, messages, 1).wall for _ in range(40))}


def mixed(server: Server, rng: Random) -> Figures:
    over = Event()
    # Random weights write halves of characters too, which no server sends before the other half has come: a gap
    # between texts would be no gap between tokens.
    bias = {str(token_of(server, " river")): 100.0}
    with ThreadPoolExecutor(3) as pool:
        streams = [pool.submit(call, server, [user(words(8, rng))], ENDLESS, over.is_set, bias) for _ in range(2)]
        time.sleep(2)  # they are well under way
        began = time.perf_counter()
        long = pool.submit(call, server, [user(words(LONG_WORDS, rng))], 1)
        shorts = []
        while not long.done():
            shorts.append(call(server, [user(words(4, rng))], 1).ttft)
        ended = time.perf_counter()
        over.set()
        gaps = [worst_gap(stream.result(), began, ended) for stream in streams]
    p95 = sorted(shorts)[int(0.95 * (len(shorts) - 1) + 0.5)]
    return {"short_p95_s": p95, "long_ttft_s": long.result().ttft, "gap_s": max(gaps)}


def worst_gap(stream: Answer, began: float, ended: float) -> float:
    """The longest time without a token between two moments, seconds."""
    inside = [moment for moment in stream.arrivals if began < moment < ended]
    return max(b - a for a, b in pairwise([began, *inside, ended]))


SCENARIOS: dict[str, Scenario] = {
    "single": single,
    "batch8": batch8,
    **{f"clients{n}": clients(n) for n in (1, 2, 4, 8)},
    "prefix8": prefix8,
    "turns": turns,
    "short": short,
    "mixed": mixed,
}
