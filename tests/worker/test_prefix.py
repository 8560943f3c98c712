"""The tables of rows against a model of the memory they keep the books of."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from power.worker import cells, states
from power.worker.cells import CellRows
from power.worker.operations import Copy, Cut, Drop, Load, Operation, Store
from power.worker.prefix import Rows
from power.worker.radix import Tree, common_prefix
from power.worker.states import StateRows

N_SLOTS, N_CTX, N_CELLS = 3, 16, 48
PROMPTS = st.lists(st.integers(0, 2), min_size=1, max_size=12)
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=4)


class Memory:
    """What llama.cpp would hold: every row's cells, shared ones counted once; and what is saved."""

    def __init__(self) -> None:
        self.rows: dict[int, list[tuple[int, int]]] = {}  # (cell, token)
        self.saved: dict[int, tuple[int, list[int]]] = {}
        self._next_cell = 0

    def do(self, operation: Operation) -> None:
        match operation:
            case Copy(row, source, start, end):
                cells = self.rows[source][start:end]
                assert len(cells) == end - start > 0
                assert len(self.tokens(row)) >= start, "a copy leaves no gap"
                self.rows[row] = self.rows.get(row, [])[:start] + cells + self.rows.get(row, [])[end:]
            case Cut(row, n):
                assert len(self.tokens(row)) >= n
                self.rows[row] = self.rows.get(row, [])[:n]
            case Store(row, key, start, end):
                assert key not in self.saved
                assert len(self.tokens(row)) >= end > start
                self.saved[key] = (start, self.tokens(row)[start:end])
            case Load(row, key, start, end):
                first, tokens = self.saved[key]
                assert len(self.tokens(row)) == start, "a load goes on from what is there"
                assert first <= start < end <= first + len(tokens)
                self.decode(row, tokens[start - first : end - first])
            case Drop(key):
                del self.saved[key]

    def decode(self, row: int, tokens: list[int]) -> None:
        for token in tokens:
            self.rows.setdefault(row, []).append((self._next_cell, token))
            self._next_cell += 1

    def tokens(self, row: int) -> list[int]:
        return [token for _, token in self.rows.get(row, [])]

    @property
    def n_used(self) -> int:
        return len({cell for row in self.rows.values() for cell, _ in row})


class StateMemory(Memory):
    """The same for whole states: nothing can be taken in part."""

    def do(self, operation: Operation) -> None:
        match operation:
            case Copy():
                raise AssertionError("a state cannot be shared")
            case Cut(row, n):
                assert n in (0, len(self.tokens(row)))
            case Store(row, _, start, end):
                assert (start, end) == (0, len(self.tokens(row)))
            case Load(_, key, start, end):
                assert (start, end) == (0, len(self.saved[key][1]))
        super().do(operation)


class Sequences(RuleBasedStateMachine):
    """Sequences come, prefill, decode, pause and go; after each step, books and memory agree."""

    make: Callable[[], Rows]
    memory_kind: type[Memory]

    def __init__(self) -> None:
        super().__init__()
        self.rows = self.make()
        self.memory = self.memory_kind()
        self.running: dict[int, list[int]] = {}  # row -> all tokens it has or is to compute
        self.paused: list[list[int]] = []
        self.ended: list[list[int]] = []
        self.filed: list[tuple[list[int], int, list[int]]] = []  # a state's tokens, where it begins, and what it holds

    def do(self, operations: list[Operation] | tuple[Operation, ...]) -> None:
        for operation in operations:
            self.memory.do(operation)

    @rule(prompt=PROMPTS, secret=st.booleans() | st.just(False))
    def start(self, prompt: list[int], secret: bool = False) -> None:
        if len(self.running) == N_SLOTS:
            return
        seat = self.rows.seat(prompt, secret=secret)
        self.do(seat.operations)
        assert seat.row not in self.running
        assert seat.n_cached == 0 if secret else seat.n_cached < len(prompt)
        assert self.memory.tokens(seat.row) == prompt[: seat.n_cached]
        self.running[seat.row] = list(prompt)

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        if self.paused and len(self.running) < N_SLOTS:
            self.start(self.paused.pop(data.draw(st.integers(0, len(self.paused) - 1))))

    @rule(sizes=st.lists(st.integers(1, 5), min_size=N_SLOTS, max_size=N_SLOTS), word=st.integers(0, 2))
    def step(self, sizes: list[int], word: int) -> None:
        """What the loop does: every row takes its turn, then all decode together."""
        chunks = {}
        for row in sorted(self.running, key=lambda row: self.rows.rows[row].last_used):
            before = len(self.memory.tokens(row))
            turn = self.rows.turn(row)
            self.do(turn.operations)
            assert self.memory.tokens(row) == self.running[row][: turn.n_past]
            assert before <= turn.n_past < len(self.running[row])
            most = len(self.running[row]) - turn.n_past
            n = min(sizes[row], most if turn.n_tokens < 0 else turn.n_tokens)
            if n:
                chunks[row] = self.running[row][turn.n_past : turn.n_past + n]
        assert bool(chunks) == bool(self.running), "somebody always goes on"
        self.do(self.rows.make_room(sum(map(len, chunks.values()))))
        assert self.memory.n_used + sum(map(len, chunks.values())) <= N_CELLS
        for row, tokens in chunks.items():
            self.memory.decode(row, tokens)
            self.do(self.rows.extend(row, tokens))
            if self.memory.tokens(row) == self.running[row]:
                self.running[row].append(word)
                if len(self.running[row]) >= N_CTX:
                    self.end(row)

    @rule(data=st.data(), how=st.sampled_from(["leave", "break", "pause"]))
    def stop(self, data: st.DataObject, how: str) -> None:
        if not self.running:
            return
        row = data.draw(st.sampled_from(sorted(self.running)))
        if how == "leave":
            self.end(row)
        elif how == "break":
            del self.running[row]
            self.do(self.rows.leave(row))
            self.do([self.rows.forget(row)])
        else:
            self.paused.append(self.running.pop(row))
            self.do(self.rows.park(row))
            assert not self.memory.tokens(row)

    @rule(data=st.data(), erases=st.booleans())
    def file_away(self, data: st.DataObject, erases: bool) -> None:
        """What there is of a sequence goes to a file; and then, perhaps, is forgotten."""
        known = [*self.ended, *self.running.values()]
        if not known:
            return
        tokens = data.draw(st.sampled_from(known))
        self.do(self.rows.keep(tokens))
        keys, n_kept = self.rows.kept(tokens)
        held: list[int] = []
        for key in keys:
            start, saved = self.memory.saved[key]
            assert start <= len(held)
            held = held[:start] + saved
            self.filed.append((self.rows.shelf.spell(key), start, saved))
        assert held[:n_kept] == tokens[:n_kept]
        self.do(self.rows.shelf.trim())
        if erases:
            operations, n_erased = self.rows.erase(tokens)
            self.do(operations)
            assert n_erased <= len(tokens)
            assert self.rows.kept(tokens)[1] <= max(0, len(tokens) - n_erased)

    @rule(data=st.data())
    def bring_back(self, data: st.DataObject) -> None:
        if self.filed:
            tokens, start, saved = data.draw(st.sampled_from(self.filed))
            if (key := self.rows.shelf.adopt(tokens, start)) is not None:
                begin = self.rows.shelf.saves[key].start
                self.memory.saved[key] = (begin, saved[begin - start :])

    def end(self, row: int) -> None:
        self.ended.append(self.running[row])
        del self.running[row]
        self.do(self.rows.leave(row))

    @invariant()
    def running_sequences_have_their_tokens(self) -> None:
        for row, tokens in self.running.items():
            held = self.memory.tokens(row)
            assert held == tokens[: len(held)]
            assert len(held) == self.rows.rows[row].n_past

    @invariant()
    def books_and_memory_agree(self) -> None:
        assert [row.n_past for row in self.rows.rows] == [len(self.memory.tokens(i)) for i in range(N_SLOTS)]
        assert self.rows.shelf.saves.keys() == self.memory.saved.keys()
        for save in self.rows.shelf.saves.values():
            start, tokens = self.memory.saved[save.key]
            assert (start, start + len(tokens)) == (save.start, save.end)
            assert save.nodes[-1].spell()[start:] == tokens
        assert self.rows.n_used == self.memory.n_used
        assert self.rows.shelf.n_saved <= self.rows.shelf.max_saved

    @invariant()
    def the_tree_has_no_dead_wood(self) -> None:
        for node in self.rows.tree.nodes():
            assert node.tokens
            assert node.children or node.rows or node.save
            assert node.start == (node.parent.end if node.parent else 0)
            for index in node.rows:
                assert node in self.rows.rows[index].leaf.path()
        for index, row in enumerate(self.rows.rows):
            assert all(index in node.rows for node in row.leaf.path())


class OfCells(Sequences):
    make = staticmethod(lambda: CellRows(N_SLOTS, N_CELLS, 40))
    memory_kind = Memory


class OfStates(Sequences):
    make = staticmethod(lambda: StateRows(N_SLOTS, N_CELLS, 4))
    memory_kind = StateMemory


@pytest.mark.parametrize("machine", [OfCells, OfStates])
@pytest.mark.parametrize("worth", [1, 4])
def test_the_books_agree_with_the_memory_whatever_happens(
    machine: type[Sequences], worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "WORTH_SAVING", worth)
    monkeypatch.setattr(states, "WORTH_SAVING", worth)
    run_state_machine_as_test(machine, settings=settings(deadline=None, stateful_step_count=40))


@given(st.lists(st.integers(0, 1), max_size=40), st.lists(st.integers(0, 1), max_size=40), st.integers(0, 40))
def test_the_common_prefix_is_the_longest(a: list[int], b: list[int], n_shared: int) -> None:
    b = a[:n_shared] + b
    n = common_prefix(a, b)

    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), max_size=12), PROMPTS)
def test_a_tree_finds_what_comparing_with_everything_finds(inserted: list[list[int]], wanted: list[int]) -> None:
    tree = Tree(can_cut=True)
    for tokens in inserted:
        assert tree.insert(tokens).spell() == tokens
    nodes, n = tree.match(wanted)

    assert n == max((common_prefix(tokens, wanted) for tokens in inserted), default=0)
    assert (nodes[-1].spell() if nodes else [])[:n] == wanted[:n]


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), max_size=12))
def test_a_tree_keeps_what_begins_alike_once(inserted: list[list[int]]) -> None:
    tree = Tree(can_cut=True)
    for tokens in inserted:
        tree.insert(tokens)

    prefixes = {tuple(tokens[:n]) for tokens in inserted for n in range(1, len(tokens) + 1)}
    assert sum(len(node.tokens) for node in tree.nodes()) == len(prefixes)


def test_a_saved_state_that_others_fork_from_is_dropped_with_all_its_nodes() -> None:
    rows = CellRows(1, 1000, 8)
    memory = Memory()
    for prompt in ([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 9], [8, 8, 8, 8, 8, 8, 8, 8]):
        seat = rows.seat(prompt)
        for operation in seat.operations:
            memory.do(operation)
        memory.decode(seat.row, prompt[seat.n_cached :])
        rows.extend(seat.row, prompt[seat.n_cached :])
        rows.leave(seat.row)
    rows.make_room(1000)

    assert [node.spell() for node in rows.tree.nodes()] == [[8] * 8]
