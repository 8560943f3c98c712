"""What holds for every schema: nothing invalid is accepted, and what is valid is found."""

import itertools
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from power.errors import BadRequest
from power.grammar import Grammar, check_gbnf, mismatch, parse_gbnf, schema_to_gbnf
from tests.grammar.drawn import instances as drawn_from
from tests.grammar.engine import Engine
from tests.grammar.walk import Walk
from tests.strategies import schemas, values

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def compiled(schema: Any, **options: Any) -> str:
    """The schema's grammar; a schema that is refused is none of the test's business."""
    try:
        return schema_to_gbnf(schema, **options)
    except BadRequest:
        assume(False)
        raise AssertionError from None


@SLOW
@given(schema=schemas(), seed=st.integers(0, 10**6), objects=st.sampled_from(["open", "closed"]))
def test_every_text_of_a_grammar_is_valid(schema: Any, seed: int, objects: str) -> None:
    grammar = compiled(schema, objects=objects)
    check_gbnf(grammar)
    walk = Walk(parse_gbnf(grammar), random.Random(seed), long=20)
    by_python, by_rust = jsonschema.Draft202012Validator(schema), jsonschema_rs.Draft202012Validator(schema)

    for _ in range(5):
        value = json.loads(walk.text())
        assert by_python.is_valid(value)
        assert by_rust.is_valid(value)


@SLOW
@given(schema=schemas(), instances=st.lists(values(), min_size=4, max_size=4))
def test_open_grammars_accept_a_value_in_some_order_just_when_it_is_valid(schema: Any, instances: list[Any]) -> None:
    grammar = parse_gbnf(compiled(schema, objects="open"))
    assume(not _is_approximated(schema))
    validator = jsonschema.Draft202012Validator(schema)

    for value in instances:
        assert validator.is_valid(value) == any(_fits(grammar, order) for order in itertools.islice(_orders(value), 60))


@SLOW
@given(schema=schemas(), data=st.data())
def test_what_others_draw_from_a_schema_is_accepted(schema: Any, data: st.DataObject) -> None:
    """In some order of its members; a schema may be refused, but not an instance."""
    assume(isinstance(schema, dict) and not _is_approximated(schema))
    grammar = parse_gbnf(compiled(schema, objects="open"))
    instance = data.draw(drawn_from(schema))
    # It draws for older drafts, in which a few of these keywords mean nothing yet.
    assume(jsonschema.Draft202012Validator(schema).is_valid(instance) and _is_plain(instance))

    orders = list(itertools.islice(_orders(instance), 120))
    assert len(orders) == 120 or any(_fits(grammar, order) for order in orders)


@SLOW
@given(schema=schemas(), instances=st.lists(values(), min_size=4, max_size=4))
def test_closed_grammars_accept_no_more_than_open_ones(schema: Any, instances: list[Any]) -> None:
    closed, opened = (parse_gbnf(compiled(schema, objects=objects)) for objects in ("closed", "open"))

    for value in instances:
        assert not _fits(closed, value) or _fits(opened, value)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=schemas(), value=values(), seed=st.integers(0, 10**6))
def test_acceptor_and_engine_agree_about_schemas(engine: Engine, schema: Any, value: Any, seed: int) -> None:
    grammar = compiled(schema)
    parsed = parse_gbnf(grammar)

    for text in (json.dumps(value, ensure_ascii=False), Walk(parsed, random.Random(seed), long=20).text()[:80]):
        if text.isascii():
            assert (mismatch(parsed, text) is None) == engine.accepts(grammar, text)


@SLOW
@given(schemas())
def test_equal_schemas_compile_equally(schema: Any) -> None:
    assert compiled(schema) == compiled(json.loads(json.dumps(schema)))


def _is_approximated(schema: Any) -> bool:
    """Whether it has one of the keywords of `schemas` that are compiled from below; a `maxProperties` denied is one."""
    text = json.dumps(schema)
    denies = any(f'"{keyword}"' in text for keyword in ("not", "if", "oneOf"))
    return "uniqueItems" in text or "minProperties" in text or (denies and "maxProperties" in text)


def _is_plain(value: Any) -> bool:
    """Whether its numbers are of a size that grammars have room for."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', "", json.dumps(value))
    return all(len(number) < 15 and "e" not in number for number in re.findall(r"-?[0-9][0-9.eE+-]*", text))


def _fits(grammar: Grammar, value: Any) -> bool:
    return mismatch(grammar, json.dumps(value, ensure_ascii=False)) is None


def _orders(value: Any) -> Iterator[Any]:
    """The value with the members of its objects in every order."""
    if isinstance(value, dict):
        for names in itertools.permutations(value):
            for inner in itertools.product(*(list(_orders(value[name])) for name in names)):
                yield dict(zip(names, inner, strict=True))
    elif isinstance(value, list):
        yield from (list(inner) for inner in itertools.product(*(list(_orders(one)) for one in value)))
    else:
        yield value
