from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from power.sched.evicting import PATIENCE, Resident, Retire, Wait, make_room

TIMES = st.floats(-100, 100)
RESIDENTS = st.lists(
    st.builds(
        Resident,
        key=st.uuids().map(str),
        is_idle=st.booleans(),
        is_leaving=st.sampled_from([False, False, False, True]),
        last_used=TIMES,
        ready_at=TIMES | st.just(math.inf),
        protected_until=TIMES | st.just(-math.inf),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda model: model.key,
)


@given(RESIDENTS, TIMES, TIMES)
def test_the_one_that_goes_is_idle_unprotected_and_was_used_least_recently(
    residents: list[Resident], now: float, since: float
) -> None:
    step = make_room(residents, now, since)

    if isinstance(step, Wait):
        return
    (victim,) = [model for model in residents if model.key == step.key]
    assert not victim.is_leaving
    assert victim.protected_until <= now
    rivals = [m for m in residents if m.is_idle and not m.is_leaving and m.protected_until <= now]
    if victim.is_idle:
        assert victim.last_used == min(model.last_used for model in rivals)
    else:
        assert now >= since + PATIENCE
        assert not any(model.is_idle or model.is_leaving for model in residents)


@given(RESIDENTS, TIMES, TIMES)
def test_nobody_waits_for_ever_unless_somebody_is_leaving_or_all_are_loading(
    residents: list[Resident], now: float, since: float
) -> None:
    step = make_room(residents, now, since)

    if isinstance(step, Wait) and math.isinf(step.until):
        assert any(model.is_leaving for model in residents) or all(math.isinf(model.ready_at) for model in residents)
    if isinstance(step, Wait) and not math.isinf(step.until):
        assert step.until > now
        assert isinstance(make_room(residents, step.until, since), Retire)
