"""Times and numbers as clients read them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.api.encode import Clock, json_bytes, local_time, logprob
from power.events import Logprob, TopLogprob


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_700_000_000_500_000_000, "2023-11-14T22:13:20.5Z"),
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789Z"),
    ],
)
def test_times_have_as_many_digits_as_they_need(ns: int, text: str) -> None:
    assert Clock().format(ns) == text


@given(st.lists(st.integers(0, 2**62), max_size=5))
def test_a_clock_reads_the_same_whatever_it_read_before(times: list[int]) -> None:
    clock = Clock()

    assert [clock.format(ns) for ns in times] == [Clock().format(ns) for ns in times]


def test_local_times_name_their_offset() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))

    assert datetime.fromisoformat(local_time(moment)) == moment
    assert local_time(datetime(2026, 1, 2, tzinfo=UTC)).endswith(("Z", "0"))


def test_what_cannot_be_chosen_is_still_a_number() -> None:
    item = Logprob("a", -0.5, (97,), (TopLogprob("b", -math.inf, (98,)),))

    assert json.loads(json_bytes(logprob(item))) == {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -9999.0, "bytes": [98]}],
    }


def test_an_empty_list_of_alternatives_is_written_where_clients_need_it() -> None:
    item = Logprob("a", -0.5, (97,))

    assert b"top_logprobs" not in json_bytes(logprob(item))
    assert b'"top_logprobs":[]' in json_bytes(logprob(item, always_top=True))
