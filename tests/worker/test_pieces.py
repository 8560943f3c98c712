"""The vocabulary in alphabetical order, however it was put together."""

from __future__ import annotations

from power.worker.lexicon import Lexicon
from power.worker.pieces import Pieces, stays_text
from power.worker.vocab import Vocab


def test_all_tokens_that_say_something_are_there_in_order(vocab: Vocab) -> None:
    pieces = Pieces(vocab)
    pieces.finish()

    tokens = [token for token in range(vocab.n_tokens) if vocab.piece(token) and not vocab.is_eog(token)]
    assert pieces.ids.tolist() == sorted(tokens, key=vocab.piece)
    assert [pieces[index] for index in range(len(pieces))] == [vocab.piece(token) for token in pieces.ids.tolist()]
    assert pieces.ends.tolist() == [token for token in range(vocab.n_tokens) if vocab.is_eog(token)]
    assert pieces.longest == max(len(vocab.piece(token)) for token in tokens)
    assert [token for token in tokens if pieces.alone[token]] == [t for t in tokens if stays_text(vocab.piece(t))]


def test_it_is_put_together_a_little_at_a_time(vocab: Vocab) -> None:
    at_once, in_slices = Pieces(vocab), Pieces(vocab)
    at_once.finish()
    n_slices = 0
    while not in_slices.is_ready:
        in_slices.prepare(0)
        n_slices += 1

    assert n_slices > 3
    assert in_slices.ids.tolist() == at_once.ids.tolist()


def test_what_begins_like_this_is_found(vocab: Vocab) -> None:
    pieces = Pieces(vocab)
    pieces.finish()

    for byte in range(257):
        before = [index for index in range(len(pieces)) if pieces[index][0] < byte]
        assert pieces.start(byte) == len(before)
    for data in (b"", b"a", b"the", b" the", b"\xf0\x9f", b"\xff\xff"):
        assert pieces.find(data) == sum(pieces[index] < data for index in range(len(pieces)))


def test_a_control_token_is_found_where_an_answer_shows_it(vocab: Vocab) -> None:
    pieces = Pieces(vocab)
    pieces.finish()
    silent = next(token for token in range(vocab.n_tokens) if not vocab.piece(token) and not vocab.is_eog(token))
    shown, hidden = Lexicon(vocab, pieces, {silent: b"<\xf0\x9f"}), Lexicon(vocab, pieces, {})

    assert silent in shown.beginning_with(ord("<"), ord("<"))
    assert silent not in shown.beginning_with(ord("a"), ord("z"))
    assert shown.following(b"")[silent]
    assert silent not in hidden.beginning_with(0, 255)
    assert not hidden.following(b"")[silent]
