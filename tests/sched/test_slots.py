from __future__ import annotations

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from trio.testing import MockClock

from power.claim import Claim
from power.errors import Overloaded, WorkerDied
from power.sched.place import Place
from power.sched.slots import MAX_RETRY_AFTER, Crowd, SlotTable

from .conftest import start


class SlotTableMachine(RuleBasedStateMachine):
    """Any order of requests, hang-ups, ends and deaths: nobody is lost, nobody served twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._clock = pytest.MonkeyPatch()
        self._clock.setattr("power.sched.slots.trio.current_time", lambda: self.now)
        self.crowd = Crowd()
        self.table = SlotTable(n_slots=3, max_waiting=4, crowd=self.crowd)
        self.here: dict[int, Place] = {}  # taken and neither left nor ended
        self.ended: list[int] = []

    def teardown(self) -> None:
        self._clock.undo()

    @rule(client=st.sampled_from("abc"), priority=st.integers(-1, 1))
    def take(self, client: str, priority: int) -> None:
        claim = Claim(client=client, priority=priority)
        before = set(self.table.waiting)
        is_full = len(before) >= 4 + self.table.n_free
        if is_full and self.table.waiting.greediest(client) is None:
            with pytest.raises(Overloaded) as caught:
                self.table.take(start(), lambda: None, claim)
            assert 1 <= caught.value.retry_after <= MAX_RETRY_AFTER
            assert set(self.table.waiting) == before
            return

        place = self.table.take(start(), lambda: self.ended.append(place.id), claim)

        self.here[place.id] = place
        pushed_out = before - set(self.table.waiting)
        assert len(pushed_out) == is_full
        for other in pushed_out:
            del self.here[other.id]
            assert other.moved.is_set()

    @rule()
    def plan(self) -> None:
        n_waiting, n_free = len(self.table.waiting), self.table.n_free

        seated = self.table.plan()

        assert len(seated) == min(n_waiting, n_free)
        assert all(place.moved.is_set() for place in seated)

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        place = self.here.pop(data.draw(st.sampled_from(sorted(self.here)))) if self.here else None
        assert place is not None
        was_seated = place.id in self.table.seated

        assert self.table.leave(place) == was_seated

    @precondition(lambda self: self.table.seated or self.table.leaving)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted([*self.table.seated, *self.table.leaving])))

        assert self.table.ended(id) is self.here.pop(id, None)

    @rule()
    def turn_away(self) -> None:
        waiting = list(self.table.waiting)

        assert self.table.turn_away(Overloaded("stopping")) == len(waiting)

        for place in waiting:
            del self.here[place.id]

    @rule()
    def worker_dies(self) -> None:
        streaming = {id for id, place in self.table.seated.items() if place.has_streamed or place.n_tries >= 2}

        self.table.lost(WorkerDied("killed"))

        for id in streaming:
            del self.here[id]

    @precondition(lambda self: self.table.seated)
    @rule(data=st.data())
    def stream(self, data: st.DataObject) -> None:
        self.table.seated[data.draw(st.sampled_from(sorted(self.table.seated)))].has_streamed = True

    @invariant()
    def everybody_is_in_exactly_one_place(self) -> None:
        waiting = [place.id for place in self.table.waiting]
        assert len(set(waiting)) == len(waiting)
        assert {*waiting} | {*self.table.seated} == {*self.here}
        assert not {*waiting} & {*self.table.seated}
        assert not {*self.table.leaving} & {*self.here}
        assert self.crowd.n == len(waiting) == len(self.table.waiting)

    @invariant()
    def there_are_never_more_sequences_than_slots(self) -> None:
        assert len(self.table.seated) + len(self.table.leaving) <= 3

    @invariant()
    def an_end_is_told_once_to_each(self) -> None:
        assert len(set(self.ended)) == len(self.ended)
        assert not {*self.ended} & {*self.here}


SlotTableMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestSlotTable = SlotTableMachine.TestCase


def test_all_tables_share_one_bound() -> None:
    crowd = Crowd(limit=3)
    full, other = SlotTable(1, 512, crowd), SlotTable(1, 512, crowd)
    trio.run(_fill, full, 3)

    trio.run(_fill, other, 1)  # finds a free slot, and so does not wait
    with pytest.raises(Overloaded):
        trio.run(_fill, other, 1)


async def _fill(table: SlotTable, n: int) -> None:
    for _ in range(n):
        table.take(start(), lambda: None)


async def test_whoever_is_refused_is_told_how_long_the_queue_will_take(autojump_clock: MockClock) -> None:
    table = SlotTable(2, 9)
    for _ in range(50):
        [place] = [table.take(start(), lambda: None)]
        table.plan()
        await trio.sleep(8)
        table.ended(place.id)
    for _ in range(11):
        table.take(start(), lambda: None)

    with pytest.raises(Overloaded) as caught:
        table.take(start(), lambda: None)

    # Eleven before it over two slots at 8 seconds each.
    assert caught.value.retry_after == 48
