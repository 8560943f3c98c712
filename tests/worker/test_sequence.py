"""What one sequence does with the tokens it samples or is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from power.options import Sampling
from power.worker.candidates import Candidates
from power.worker.lookup import Trust
from power.worker.sampler import Sampler
from power.worker.sequence import Sequence
from power.worker.vocab import Vocab
from power.worker.wire import Piece, Start

VOCAB = cast(
    Vocab,
    SimpleNamespace(
        n_tokens=256,
        newline=10,
        adds_bos=False,
        piece=lambda token: bytes([token]),
        is_eog=lambda token: token == 0,
        marks=lambda visible: {},
    ),
)
CANDIDATES = Candidates(256)
GREEDY = Sampling(temperature=0)


def sequence(*, n_predict: int = 20, stop: tuple[str, ...] = (), n_ctx: int = 100) -> Sequence:
    start = Start(id=1, prompt=(), sampling=GREEDY, n_predict=n_predict, n_ctx=0, stop=stop)
    sequence = Sequence(start, list(b"abc"), n_ctx, Sampler(GREEDY, None, VOCAB, CANDIDATES), VOCAB)
    sequence.take_row(0, 0)
    return sequence


def likely(byte: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    logits = np.zeros(256, np.float32)
    logits[byte[0]] = 1
    return logits


def test_known_tokens_are_said_at_once_and_decoded_later() -> None:
    one = sequence()
    one.advance(3)
    one.step(likely(b"x"))
    piece = one.append_known(list(b"yz"))

    assert piece == Piece(1, "yz", tuple(b"yz"))
    assert one.pending == 3
    assert list(one.next_tokens(3)) == list(b"xyz")


def test_known_tokens_count_and_end_where_the_answer_ends() -> None:
    one = sequence(n_predict=3)
    piece = one.append_known(list(b"12345"))

    assert piece.text == "123"
    assert one.ended == "length"
    assert one.done().n_generated == 3


def test_a_stop_string_among_known_tokens_stops() -> None:
    one = sequence(stop=("34",))
    piece = one.append_known(list(b"12345"))

    assert piece == Piece(1, "12", tuple(b"1234"))
    assert one.ended == "stop"


def test_a_sequence_decodes_once_its_answer_has_begun() -> None:
    one = sequence()
    before = one.decodes
    one.append_known(b"x")

    assert (before, one.decodes) == (False, True)


def test_what_would_have_been_drafted_tells_what_drafts_would_be_worth() -> None:
    right, wrong = sequence(), sequence()
    for one, guess in ((right, b"x"), (wrong, b"y")):
        one.expect(guess[0])
        one.advance(3)
        one.step(likely(b"x"))
        after_first = one.trust.p
        one.step(likely(b"x"))
        assert one.trust.p == after_first  # nothing was expected any more

    assert right.trust.p > Trust.START > wrong.trust.p
    assert right.done().n_drafted == 0
