"""What the targets share: random mutation, and a loop that runs for some seconds.

Plain randomness and nothing installed: for a coverage-guided run, give a
target's `check` to any engine that feeds bytes.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence

# Lengths, counts and offsets that sit on the edges of machine integers.
EDGES = [(value).to_bytes(8, "little") for value in (0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The data with a few bytes flipped, replaced, removed, repeated or cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        start = rng.randrange(len(changed) + 1)
        end = min(len(changed), start + rng.choice((1, 4, 8, 64)))
        match rng.randrange(6):
            case 0:
                changed[start:end] = rng.randbytes(end - start)
            case 1:
                changed[start : start + 8] = rng.choice(EDGES)
            case 2:
                del changed[start:end]
            case 3:
                changed[start:start] = changed[start:end]
            case 4 if changed:
                changed[start % len(changed)] ^= 1 << rng.randrange(8)
            case _ if rng.random() < 0.1:
                del changed[start:]
    return bytes(changed)


def compose(pieces: Sequence[str], rng: random.Random) -> str:
    """A text of the pieces and of random characters between them."""
    parts = [
        rng.choice(pieces) if rng.random() < 0.8 else chr(rng.randrange(1, 0xD800)) for _ in range(rng.randrange(30))
    ]
    return "".join(parts)


def cut(text: str, rng: random.Random) -> list[str]:
    """The text in pieces of random length, some of them empty."""
    ends = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(8)))
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def run(check: Callable[[random.Random], None]) -> None:
    """Call `check` with ever new randomness until the time is up; a failure is printed with its seed, and ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--cases", type=int, default=0, help="at least so many, however long it takes")
    parser.add_argument("--seed", type=int, default=None, help="the first case's; a failure prints its own")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    deadline, n_cases = time.monotonic() + options.seconds, 0
    while n_cases < max(1, options.cases) or time.monotonic() < deadline:
        try:
            check(random.Random(seed))
        except BaseException:
            traceback.print_exc()
            sys.exit(f"failed with --seed {seed}")
        seed, n_cases = seed + 1, n_cases + 1
    print(f"{n_cases} cases, none failed")
