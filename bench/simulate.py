"""A thousand clients at one model, without llama.cpp: is the planner fair, and how long does whom wait?

usage: python -m bench.simulate [--clients N] [--slots N] [--seconds S] [--rate R] [--step-ms MS] [--seed N]

What decides is the real thing: the fair queue in front of the slots, the radix
tree that says what need not be computed, the planner of steps and its pace.
What computes is a table: how long a step of so many tokens takes, and a pair of
a token and a cell, as measured on one thread with a 0.5B model, ten times faster.  So hours of a busy server pass in
seconds, and every run with one seed is the same.

The clients talk, each in turns under one of a few system prompts; every
fiftieth asks with 6,000 tokens; and one is greedy and asks 200 things at once.
"""

from __future__ import annotations

import argparse
import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random

from power.claim import Claim
from power.sched.fair import FairQueue
from power.worker.batch import TILE, Load, Work, weigh
from power.worker.cells import CellRows
from power.worker.pace import Pace

# Seconds that a step of so many tokens took: Qwen2.5-0.5B's shape, Q4_K_M, one thread, a busy machine.
MEASURED = {1: 0.046, 2: 0.052, 4: 0.090, 8: 0.155, 16: 0.244, 24: 0.232, 32: 0.283, 64: 0.498, 128: 0.958, 256: 1.927}
# And for each pair of a token and a cell, if the step has less than a tile of tokens, or whole tiles.
PAIR, TILED_PAIR = 6.6e-6, 1.75e-6
SPEED = 10  # times what was measured
SYSTEM_PROMPTS, SYSTEM_TOKENS = 20, 400
LONG_TOKENS, LONG_EVERY = 6000, 50
GREEDY, GREEDY_REQUESTS = "greedy", 200
VOCABULARY = 50_000


def step_seconds(load: Load) -> float:
    """How long a step takes: between what was measured, in proportion, and what attention takes."""
    attention = load.n_pairs * (PAIR if load.n_tokens < TILE else TILED_PAIR)
    return (_without_attention(load.n_tokens) + attention) / SPEED


def _without_attention(n_tokens: int) -> float:
    sizes = list(MEASURED)
    above = min(bisect_left(sizes, n_tokens), len(sizes) - 1)
    low, high = sizes[max(0, above - 1)], sizes[above]
    if low == high or n_tokens >= high:
        return MEASURED[high] * n_tokens / high
    part = (n_tokens - low) / (high - low)
    return MEASURED[low] + part * (MEASURED[high] - MEASURED[low])


class Visit:
    """One request: a prompt, and how long its answer will be."""

    def __init__(self, id: int, client: str, tokens: list[int], n_answer: int, came: float) -> None:
        self.id = id
        self.claim = Claim(client=client)
        self.tokens = tokens
        self.n_prompt = len(tokens)
        self.n_answer = n_answer
        self.came = came  # seconds
        self.first = self.last = 0.0
        self.gaps: list[float] = []  # seconds between its tokens
        self.row = -1
        self.n_past = 0
        self.n_cached = 0
        self.n_passed_over = 0

    @property
    def n_generated(self) -> int:
        return len(self.tokens) - self.n_prompt

    @property
    def kind(self) -> str:
        if self.claim.client == GREEDY:
            return GREEDY
        return "long" if self.n_prompt >= LONG_TOKENS else "short"


class Traffic:
    """Who asks what, and when: arrivals by time, and a next turn after each answer."""

    def __init__(self, n_clients: int, rate: float, seconds: float, rng: Random) -> None:
        self._rng = rng
        self._think_seconds = n_clients / rate
        self._seconds = seconds
        self._n_visits = 0
        self._coming: list[tuple[float, int, Visit]] = []
        systems = [self._words(SYSTEM_TOKENS) for _ in range(SYSTEM_PROMPTS)]
        for number in range(n_clients):
            self._ask(f"client {number}", rng.choice(systems), rng.uniform(0, self._think_seconds))
        for _ in range(GREEDY_REQUESTS):
            self._ask(GREEDY, rng.choice(systems), seconds / 4)

    @property
    def next_at(self) -> float:
        return self._coming[0][0] if self._coming else float("inf")

    def until(self, now: float) -> Iterator[Visit]:
        while self.next_at <= now:
            yield heapq.heappop(self._coming)[2]

    def go_on(self, visit: Visit, now: float) -> None:
        """The client has its answer, and will say something to it."""
        later = now + self._rng.expovariate(1 / self._think_seconds)
        if visit.claim.client != GREEDY and later < self._seconds:
            self._ask(visit.claim.client, visit.tokens[-3000:] if len(visit.tokens) > 3500 else visit.tokens, later)

    def _ask(self, client: str, before: Sequence[int], at: float) -> None:
        self._n_visits += 1
        n_new = LONG_TOKENS if self._n_visits % LONG_EVERY == 0 else self._rng.randrange(10, 60)
        visit = Visit(self._n_visits, client, [*before, *self._words(n_new)], self._rng.randrange(10, 80), at)
        heapq.heappush(self._coming, (at, visit.id, visit))

    def _words(self, n: int) -> list[int]:
        return [self._rng.randrange(VOCABULARY) for _ in range(n)]


class Server:
    """Slots, rows and steps of one model, with a clock of its own."""

    def __init__(self, n_slots: int, step_seconds: float) -> None:
        self.now = 0.0
        self.queue: FairQueue[Visit] = FairQueue()
        self.running: list[Visit] = []
        self.done: list[Visit] = []
        self.n_steps = 0
        self._n_slots = n_slots
        self._rows = CellRows(n_slots, n_slots * 8192, n_slots * 8192)
        self._pace = Pace(2048, step_seconds)

    def serve(self, traffic: Traffic) -> None:
        """Until nobody comes any more."""
        while self.running or len(self.queue) or traffic.next_at < float("inf"):
            for visit in traffic.until(self.now):
                self.queue.add(visit, self.now)
            self._seat()
            if not self.running:
                self.now = traffic.next_at
            for visit in self._step():
                traffic.go_on(visit, self.now)

    def _seat(self) -> None:
        while len(self.running) < self._n_slots and (visit := self.queue.pop(self.now)) is not None:
            seat = self._rows.seat(visit.tokens)
            visit.row, visit.n_past, visit.n_cached = seat.row, seat.n_cached, seat.n_cached
            self.running.append(visit)

    def _step(self) -> list[Visit]:
        """One step. Returns those whose answers have ended."""
        work = [self._look_at(visit) for visit in self.running]
        chunks = self._pace.plan(work)
        n_tokens = sum(chunk.n_tokens for chunk in chunks)
        if not n_tokens:
            return []
        load = weigh([(work[chunk.which].n_past, chunk.n_tokens) for chunk in chunks])
        seconds = step_seconds(load)
        self.now += seconds
        self.n_steps += 1
        self._pace.record(load, seconds)
        self._rows.make_room(n_tokens)
        for visit in self.running:
            visit.n_passed_over += 1
        for chunk in chunks:
            visit = self.running[chunk.which]
            self._rows.extend(visit.row, visit.tokens[visit.n_past : visit.n_past + chunk.n_tokens])
            visit.n_past += chunk.n_tokens
            visit.n_passed_over = 0
            if chunk.n_logits:
                self._say(visit)
        return self._harvest()

    def _look_at(self, visit: Visit) -> Work:
        turn = self._rows.turn(visit.row)
        visit.n_cached += turn.n_past - visit.n_past
        visit.n_past = turn.n_past
        pending = len(visit.tokens) - visit.n_past
        return Work(pending, pending if turn.n_tokens else 0, visit.n_generated > 0, visit.n_passed_over, visit.n_past)

    def _say(self, visit: Visit) -> None:
        if visit.n_generated:
            visit.gaps.append(self.now - visit.last)
        else:
            visit.first = self.now
        visit.last = self.now
        visit.tokens.append(visit.id * 100 + visit.n_generated)  # nobody else's

    def _harvest(self) -> list[Visit]:
        ended = [visit for visit in self.running if visit.n_generated >= visit.n_answer]
        for visit in ended:
            self.running.remove(visit)
            self._rows.leave(visit.row)
            self.queue.settle(visit, visit.n_prompt - visit.n_cached + visit.n_generated)
        self.done += ended
        return ended


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def report(server: Server, target: float) -> Iterator[str]:
    by_kind: dict[str, list[Visit]] = defaultdict(list)
    for visit in server.done:
        by_kind[visit.kind].append(visit)
    yield f"{len(server.done)} requests, {server.n_steps} steps, {server.now:.0f} s of the server's time"
    yield "         requests  first token: median      p95      p99   gap: median      p99    worst"
    for kind, visits in sorted(by_kind.items()):
        waits = [visit.first - visit.came for visit in visits]
        gaps = [gap for visit in visits for gap in visit.gaps]
        yield (
            f"{kind:8} {len(visits):8} {percentile(waits, 0.5):18.2f} s {percentile(waits, 0.95):6.2f} s "
            f"{percentile(waits, 0.99):6.2f} s  {percentile(gaps, 0.5):10.3f} s {percentile(gaps, 0.99):6.3f} s "
            f"{max(gaps):6.3f} s"
        )
    gaps = [gap for visit in server.done for gap in visit.gaps]
    yield f"gaps within 2 x {target * 1000:.0f} ms: {sum(gap <= 2 * target for gap in gaps) / len(gaps):.2%}"
    n_prompt = sum(visit.n_prompt for visit in server.done)
    n_computed = sum(visit.n_prompt - visit.n_cached for visit in server.done)
    n_ideal = ideal(server.done)
    yield f"prompts' tokens: {n_prompt}, computed {n_computed}, a tree of all has {n_ideal}: {n_computed / n_ideal:.3f}"


def ideal(visits: list[Visit]) -> int:
    """Tokens to compute if nothing was ever forgotten: those that no earlier conversation begins with.

    The last token of a prompt is always computed, and the last of an answer never was.
    """
    seen: set[int] = set()
    n = 0
    for visit in sorted(visits, key=lambda visit: visit.first):
        state = 0
        for at, token in enumerate(visit.tokens[:-1]):
            state = hash((state, token))
            if at < visit.n_prompt:
                n += state not in seen or at == visit.n_prompt - 1
            seen.add(state)
    return n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=120, help="of the server's time in which clients ask")
    parser.add_argument("--rate", type=float, default=4, help="requests a second, of all clients together")
    parser.add_argument("--step-ms", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    server = Server(arguments.slots, arguments.step_ms / 1000)
    server.serve(Traffic(arguments.clients, arguments.rate, arguments.seconds, Random(arguments.seed)))
    print("\n".join(report(server, arguments.step_ms / 1000)))


if __name__ == "__main__":
    main()
