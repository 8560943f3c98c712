"""Texts of a format, as others read them."""

from __future__ import annotations

import json
import random
import re

import jsonschema_rs

from power.grammar import parse_gbnf, schema_to_gbnf

from .walk import Walk


def test_whatever_is_written_as_a_regex_is_one_to_everybody() -> None:
    schema = {"type": "string", "format": "regex"}
    grammar = parse_gbnf(schema_to_gbnf(schema))
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for seed in range(300):
        rng = random.Random(seed)
        written = json.loads(Walk(grammar, rng, long=rng.choice([5, 20, 60])).text())

        re.compile(written)
        assert validator.is_valid(written)
