# Invariant: any JSON is refused as a schema with a pointer, or compiled within seconds to a grammar that may be used.
"""Composes schemas of keywords with right and wrong values."""

import random
import time
from typing import Any

import mutate

from power.errors import BadRequest
from power.grammar import check_gbnf, keywords, schema_to_gbnf

KEYWORDS = [*keywords.EXACT, *keywords.FROM_BELOW, *keywords.REFUSED, "$defs", "$id", "$anchor"]
NAMES = ["a", "b", "", "$ref", "a/b", "é", '"']
SCALARS: list[Any] = [None, True, False, 0, 1, -1, 2.5, 1e300, 10**30, "", "a", "#", "#/$defs/a", "^a+$", "(?!a)b", "["]
SCALARS += ["object", "array", "string", "integer", "date-time", "uri", 3, 100]


def check(rng: random.Random) -> None:
    schema = value(rng, 4)
    start = time.process_time()
    try:
        grammar = schema_to_gbnf(schema, objects=rng.choice(["open", "closed"]))
    except BadRequest:
        pass  # which names the place; what else may come is a failure
    else:
        if len(grammar) < 20_000:
            check_gbnf(grammar)
    assert time.process_time() - start < 10, schema


def value(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth == 0 or kind < 0.15:
        return rng.choice(SCALARS)
    if kind < 0.3:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind < 0.5:
        return {rng.choice(NAMES): value(rng, depth - 1) for _ in range(rng.randrange(4))}
    return {rng.choice(KEYWORDS): value(rng, depth - 1) for _ in range(rng.randrange(1, 5))}


if __name__ == "__main__":
    mutate.run(check)
