"""A sequence's way through a grammar: llama.cpp's engine, and what our machine knows beside it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import numpy as np
import pytest

from power.grammar import JSON_GRAMMAR, parse_gbnf, schema_to_gbnf
from power.grammar.compose import literal
from power.worker import grammar as grammar_module
from power.worker.candidates import Candidates
from power.worker.grammar import Grammar, Grammars
from power.worker.lexicon import Lexicon
from power.worker.pieces import Pieces, stays_text
from power.worker.vocab import Vocab

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "is_member": {"type": "boolean"},
        "tags": {"type": "array", "items": {"enum": ["red", "reddish", "🐈", "grün"]}},
        "address": {"type": "object", "properties": {"street_name": {"type": "integer"}}, "required": ["street_name"]},
        "note": {"type": "string", "pattern": "^[a-zé€🐈]*$"},
    },
    "required": ["name", "is_member", "tags", "address", "note"],
}
GRAMMARS = {
    "json": JSON_GRAMMAR,
    "person": schema_to_gbnf(PERSON),
    "words": 'root ::= ("Hello, " | "Hello there, ") "dear" " friend"+ ("!" | [.] [.] [.])?',
    "any": "root ::= .*",
    "far": 'root ::= [^a]{0,8} "\U0001f408é" [\U00010000-\U0010ffff]{2}',
}


@pytest.fixture(scope="module")
def grammars(vocab: Vocab) -> Grammars:
    return Grammars(vocab, Candidates(vocab.n_tokens))


def open_grammar(grammars: Grammars, text: str, *, machine: bool = True) -> Grammar:
    return grammars.open(text, parse_gbnf(text).rules if machine else {})


def walk(grammar: Grammar, vocab: Vocab, rng: random.Random, n: int) -> Iterator[list[int]]:
    """Go on at random; yields what may come next, before each step, which the caller may have taken itself."""
    row = np.zeros(vocab.n_tokens, np.float32)
    for _ in range(n):
        yield grammar.allowed(row, 0).tolist()
        going_on = [token for token in grammar.allowed(row, 0).tolist() if not vocab.is_eog(token)]
        if not going_on:
            return
        grammar.accept(rng.choice(going_on))


@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("machine", [True, False])
def test_what_is_allowed_is_what_each_token_is_asked_about(
    grammars: Grammars, vocab: Vocab, name: str, machine: bool
) -> None:
    for seed in range(3):
        grammar = open_grammar(grammars, GRAMMARS[name], machine=machine)
        for allowed in walk(grammar, vocab, random.Random(seed), 12):
            assert sorted(allowed) == [token for token in range(vocab.n_tokens) if grammar.allows(token)]
        grammar.close()


@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("k", [1, 5, 40])
def test_the_likeliest_of_the_allowed_are_among_those_looked_at(
    grammars: Grammars, vocab: Vocab, name: str, k: int
) -> None:
    grammar = open_grammar(grammars, GRAMMARS[name])
    rng = np.random.default_rng(k)
    for allowed in walk(grammar, vocab, random.Random(k), 15):
        row = rng.standard_normal(vocab.n_tokens).astype(np.float32)
        best = sorted(allowed, key=lambda token: -row[token])[:k]

        assert set(best) <= set(grammar.allowed(row, k).tolist()) <= set(allowed)
    grammar.close()


@pytest.mark.parametrize("name", GRAMMARS)
def test_forced_tokens_spell_what_every_allowed_token_spells(grammars: Grammars, vocab: Vocab, name: str) -> None:
    n_forced = 0
    for seed in range(12):
        grammar = open_grammar(grammars, GRAMMARS[name])
        for allowed in walk(grammar, vocab, random.Random(seed), 40):
            if not (tokens := grammar.forced()):
                continue
            text = b"".join(map(vocab.piece, tokens))
            n_forced += len(tokens)
            pieces = [vocab.piece(token) for token in allowed]
            assert all(text.startswith(piece) or piece.startswith(text) for piece in pieces)
            assert not any(vocab.is_eog(token) for token in allowed)
            for token in tokens:
                assert grammar.allows(token)
                grammar.accept(token)
        grammar.close()

    assert n_forced or name in ("json", "any", "far")


def test_a_forced_text_is_left_where_a_token_could_lie_across_its_end(vocab: Vocab) -> None:
    vocabulary = Pieces(vocab)
    vocabulary.finish()
    lexicon = Lexicon(vocab, vocabulary, {})
    pieces = [vocab.piece(token) for token in range(vocab.n_tokens)]
    for text in ('name":', 'is_member":', "rue", "dear friend", "street_name", "🐈", "a"):
        data = text.encode()
        kept = b"".join(map(vocab.piece, lexicon.spelt(text)))

        assert data.startswith(kept)
        for at in range(len(kept)):
            assert not any(piece.startswith(data[at:]) and len(piece) > len(data) - at for piece in pieces)


def test_a_grammar_says_when_it_is_complete(grammars: Grammars, vocab: Vocab) -> None:
    grammar = open_grammar(grammars, 'root ::= "ab" "c"?')

    before = []
    for token in vocab.tokenize("ab") + vocab.tokenize("c"):
        before.append(grammar.is_complete)
        grammar.accept(token)
    assert not any(before)
    assert grammar.is_complete
    grammar.close()


def test_tokens_that_say_nothing_and_do_not_end_are_never_allowed(grammars: Grammars, vocab: Vocab) -> None:
    """llama.cpp's engine reads a control token as its name, which is no part of the answer."""
    silent = [token for token in range(vocab.n_tokens) if not vocab.piece(token) and not vocab.is_eog(token)]
    grammar = open_grammar(grammars, "root ::= .*")

    assert silent
    assert not any(grammar.allows(token) for token in silent)
    assert not set(silent) & set(grammar.allowed(np.zeros(vocab.n_tokens, np.float32), 0).tolist())
    grammar.close()


@pytest.mark.parametrize(
    "data", [b"\xc0\xa2", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xff", b"a\x80"]
)
def test_bytes_that_nobody_can_read_are_no_text(data: bytes) -> None:
    assert not stays_text(data)


def test_half_a_character_may_be_text_yet() -> None:
    for data in (b"", b"a", b"\xc3", b"\xc3\xa9", b"\xe2\x82", b"a\xf0\x9f\x90", "é€🐈".encode()):
        assert stays_text(data)


def test_a_machine_that_gives_up_leaves_all_to_the_engine(
    grammars: Grammars, vocab: Vocab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_module, "MAX_STATES", 10)
    grammar = open_grammar(grammars, schema_to_gbnf(PERSON | {"title": "given up"}))
    text = json.dumps({"name": "a", "is_member": True, "tags": [], "address": {"street_name": 1}, "note": ""})

    for token in vocab.tokenize(text):
        assert grammar.allows(token)
        grammar.accept(token)
    assert grammar.forced() == ()
    assert set(grammar.allowed(np.zeros(vocab.n_tokens, np.float32), 0)) == {
        token for token in range(vocab.n_tokens) if grammar.allows(token)
    }
    grammar.close()


def test_a_grammar_that_is_used_again_is_known_already(grammars: Grammars, vocab: Vocab) -> None:
    for _ in range(2):
        grammar = open_grammar(grammars, GRAMMARS["person"])
        ids = [tuple(allowed) for allowed in walk(grammar, vocab, random.Random(7), 20)]
        grammar.close()

    assert [tuple(one) for one in ids] == ids


@pytest.mark.parametrize("machine", [True, False])
def test_a_grammar_may_ask_for_control_tokens_that_an_answer_shows(
    grammars: Grammars, vocab: Vocab, machine: bool
) -> None:
    mark = next(token for token in range(vocab.n_tokens) if not vocab.piece(token) and not vocab.is_eog(token))
    name = vocab.text(mark)
    text = f"root ::= [a-z]* {literal(name)} [0-9]"
    grammar = grammars.open(text, parse_gbnf(text).rules if machine else {}, (name,))

    grammar.accept(vocab.tokenize("ab")[0])
    assert grammar.allows(mark)
    assert mark in grammar.allowed(np.zeros(vocab.n_tokens, np.float32), 0)
    grammar.accept(mark)
    assert not grammar.allows(mark)
    grammar.accept(vocab.tokenize("7")[0])
    assert grammar.is_complete is machine
    grammar.close()
