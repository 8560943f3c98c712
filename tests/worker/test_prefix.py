"""The table of rows against a model of the memory it keeps the books of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from power.worker import prefix
from power.worker.prefix import Copy, Cut, Drop, Operation, Park, Restore, Rows, common_prefix

PROMPTS = st.lists(st.integers(0, 2), min_size=1, max_size=12)
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=4)


class Memory:
    """What llama.cpp would hold: every row's cells, shared ones counted once; and what is saved."""

    def __init__(self) -> None:
        self.rows: dict[int, list[tuple[int, int]]] = {}  # (cell, token)
        self.parked: dict[int, list[int]] = {}
        self._next_cell = 0

    def do(self, operation: Operation) -> None:
        match operation:
            case Copy(row, source, n):
                assert not self.tokens(row), "a row that is copied to is empty"
                self.rows[row] = self.rows[source][:n]
                assert len(self.rows[row]) == n
            case Cut(row, n):
                assert len(self.tokens(row)) >= n
                self.rows[row] = self.rows.get(row, [])[:n]
            case Park(row, key):
                assert key not in self.parked
                self.parked[key] = self.tokens(row)
            case Restore(row, key):
                assert not self.tokens(row), "a row that is restored to is empty"
                self.decode(row, self.parked[key])
            case Drop(key):
                del self.parked[key]

    def decode(self, row: int, tokens: list[int]) -> None:
        for token in tokens:
            self.rows.setdefault(row, []).append((self._next_cell, token))
            self._next_cell += 1

    def tokens(self, row: int) -> list[int]:
        return [token for _, token in self.rows.get(row, [])]

    @property
    def n_used(self) -> int:
        return len({cell for row in self.rows.values() for cell, _ in row})


class Sequences(RuleBasedStateMachine):
    """Sequences come, decode and go; after each step, books and memory agree."""

    N_SLOTS, N_CTX = 3, 16

    @initialize(can_cut=st.booleans())
    def open(self, can_cut: bool) -> None:
        self.can_cut = can_cut
        self.rows = Rows(self.N_SLOTS, self.N_SLOTS * self.N_CTX, can_cut=can_cut)
        self.memory = Memory()
        self.running: dict[int, list[int]] = {}  # row -> all its tokens in memory

    @rule(prompt=PROMPTS)
    def start(self, prompt: list[int]) -> None:
        if len(self.running) == self.N_SLOTS:
            return
        everything = [*(row.tokens for row in self.rows.rows), *(row.tokens for row in self.rows.parked.values())]
        longest = max(common_prefix(tokens, prompt[:-1]) for tokens in everything)
        seat = self.rows.seat(prompt)
        for operation in seat.operations:
            self.memory.do(operation)
            if not self.can_cut:
                assert not isinstance(operation, Copy)
                assert not isinstance(operation, Cut) or operation.n_tokens == 0
        assert seat.row not in self.running
        assert seat.n_cached < len(prompt)
        assert self.memory.tokens(seat.row) == prompt[: seat.n_cached]
        if self.can_cut:
            assert seat.n_cached > longest - prefix.GAIN_TOKENS
        self.running[seat.row] = prompt[: seat.n_cached]

    @rule(data=st.data(), tokens=TOKENS)
    def decode(self, data: st.DataObject, tokens: list[int]) -> None:
        rows = [row for row, held in self.running.items() if len(held) + len(tokens) <= self.N_CTX]
        if not rows:
            return
        row = data.draw(st.sampled_from(rows))
        for cut in self.rows.make_room(len(tokens)):
            assert cut.row not in self.running
            self.memory.do(cut)
        assert self.memory.n_used + len(tokens) <= self.rows.n_cells
        self.memory.decode(row, tokens)
        self.rows.extend(row, tokens)
        self.running[row] = self.running[row] + tokens

    @rule(data=st.data(), broken=st.booleans())
    def end(self, data: st.DataObject, broken: bool) -> None:
        if not self.running:
            return
        row = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[row]
        self.rows.leave(row)
        if broken:
            self.memory.do(self.rows.forget(row))

    @invariant()
    def running_sequences_have_their_tokens(self) -> None:
        for row, tokens in getattr(self, "running", {}).items():
            assert self.memory.tokens(row) == tokens

    @invariant()
    def books_and_memory_agree(self) -> None:
        if not hasattr(self, "rows"):
            return
        assert [row.tokens for row in self.rows.rows] == [self.memory.tokens(i) for i in range(len(self.rows.rows))]
        assert {key: row.tokens for key, row in self.rows.parked.items()} == self.memory.parked
        assert self.memory.n_used <= self.rows.statistics()["used"]
        assert self.rows.statistics()["parked"] <= self.rows.n_cells


@pytest.mark.parametrize(("loss", "gain"), [(2, 1), (32, 16)])
def test_the_books_agree_with_the_memory_whatever_happens(
    loss: int, gain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The small numbers make rows as short as these worth parking and restoring.
    monkeypatch.setattr(prefix, "LOSS_TOKENS", loss)
    monkeypatch.setattr(prefix, "GAIN_TOKENS", gain)
    run_state_machine_as_test(Sequences, settings=settings(deadline=None))


@given(st.lists(st.integers(0, 1), max_size=40), st.lists(st.integers(0, 1), max_size=40), st.integers(0, 40))
def test_the_common_prefix_is_the_longest(a: list[int], b: list[int], n_shared: int) -> None:
    b = a[:n_shared] + b
    n = common_prefix(a, b)

    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


def test_a_prefix_of_a_running_sequence_is_shared() -> None:
    rows = Rows(4, 100, can_cut=True)
    first = rows.seat([1, 2, 3, 4])
    rows.extend(first.row, [1, 2, 3, 4])
    second = rows.seat([1, 2, 3, 9])

    assert second.row != first.row
    assert (second.n_cached, second.operations) == (3, (Copy(second.row, first.row, 3),))


def test_a_conversation_goes_on_in_its_own_row() -> None:
    rows = Rows(4, 100, can_cut=True)
    first = rows.seat([1, 2, 3])
    rows.extend(first.row, [1, 2, 3, 4, 5])
    rows.leave(first.row)
    second = rows.seat([1, 2, 3, 4, 5, 6, 7])

    assert (second.row, second.n_cached, second.operations) == (first.row, 5, ())


def test_a_long_finished_sequence_is_parked_when_only_its_beginning_is_wanted() -> None:
    rows = Rows(4, 1000, can_cut=True)
    first = rows.seat([1, 2])
    rows.extend(first.row, [1, 2, *range(10, 200)])
    rows.leave(first.row)
    second = rows.seat([1, 2, 3])

    assert (second.row, second.n_cached) == (first.row, 2)
    assert [type(operation) for operation in second.operations] == [Park, Cut]


def test_a_parked_conversation_is_restored() -> None:
    rows = Rows(1, 1000, can_cut=True)
    talk = list(range(100))
    for tokens in (talk, list(range(500, 600))):
        seat = rows.seat(tokens)
        rows.extend(seat.row, tokens[seat.n_cached :])
        rows.leave(seat.row)
    again = rows.seat([*talk, 1000])

    assert again.n_cached == 100
    assert [type(operation) for operation in again.operations] == [Park, Cut, Restore]


def test_beyond_the_limit_the_longest_unused_is_dropped() -> None:
    rows = Rows(1, 250, can_cut=True)
    for start in (0, 1000, 2000, 3000):
        seat = rows.seat(list(range(start, start + 101)))
        rows.extend(seat.row, list(range(start, start + 100)))
        rows.leave(seat.row)

    assert [row.tokens[0] for row in rows.parked.values()] == [1000, 2000]


def test_while_one_sequence_runs_no_other_cells_are_in_use() -> None:
    rows = Rows(4, 1000, can_cut=True)
    for start in (0, 1000, 2000):
        seat = rows.seat(list(range(start, start + 101)))
        rows.extend(seat.row, list(range(start, start + 100)))
        rows.leave(seat.row)
    rows.seat([5000])

    assert rows.statistics()["used"] == 0


def test_a_state_that_cannot_be_cut_is_computed_anew() -> None:
    rows = Rows(1, 100, can_cut=False)
    first = rows.seat([1, 2, 3])
    rows.extend(first.row, [1, 2, 3, 4])
    rows.leave(first.row)
    second = rows.seat([1, 2, 3])

    assert second.n_cached == 0


def test_no_row_is_left_when_all_are_busy() -> None:
    rows = Rows(1, 100, can_cut=True)
    rows.seat([1])

    with pytest.raises(LookupError):
        rows.seat([1])
