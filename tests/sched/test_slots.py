from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from power.errors import Overloaded, WorkerDied
from power.sched.slots import Place, SlotTable

from .conftest import start


class SlotTableMachine(RuleBasedStateMachine):
    """Any order of requests, hang-ups, ends and deaths: nobody is lost, nobody served twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._clock = pytest.MonkeyPatch()
        self._clock.setattr("power.sched.slots.trio.current_time", lambda: self.now)
        self.table = SlotTable(n_slots=3, max_waiting=4)
        self.here: dict[int, Place] = {}  # taken and neither left nor ended
        self.ended: list[int] = []

    def teardown(self) -> None:
        self._clock.undo()

    @rule()
    def take(self) -> None:
        if len(self.table.waiting) >= 4 + self.table.n_free:
            with pytest.raises(Overloaded) as caught:
                self.table.take(start(), lambda: None)
            assert 1 <= caught.value.retry_after <= 60
            return

        place = self.table.take(start(), lambda: self.ended.append(place.id))

        self.here[place.id] = place

    @rule()
    def plan(self) -> None:
        before = list(self.table.waiting)

        seated = self.table.plan()

        assert seated == before[: len(seated)]

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
        assert not self.table.leaving & {*self.here}

    @invariant()
    def there_are_never_more_sequences_than_slots(self) -> None:
        assert len(self.table.seated) + len(self.table.leaving) <= 3

    @invariant()
    def an_end_is_told_once_to_each(self) -> None:
        assert len(set(self.ended)) == len(self.ended)
        assert not {*self.ended} & {*self.here}


SlotTableMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestSlotTable = SlotTableMachine.TestCase
