"""Go's durations, and what `keep_alive` makes of them."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.durations import LONGEST, go_duration, parse_duration, parse_keep_alive
from power.errors import BadRequest


# The cases of Go's own time_test.go that a float of seconds can tell apart.
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("5s", 5),
        ("+5s", 5),
        ("-5s", -5),
        ("1478s", 1478),
        ("5.0s", 5),
        ("5.6s", 5.6),
        ("5.s", 5),
        (".5s", 0.5),
        ("1.004s", 1.004),
        ("10ns", 1e-8),
        ("11us", 11e-6),
        ("12µs", 12e-6),
        ("12μs", 12e-6),
        ("13ms", 0.013),
        ("14m", 840),
        ("1h30m", 5400),
        ("10.5s4m", 250.5),
        ("-2m3.4s", -123.4),
        ("39h9m14.425s", 140954.425),
        ("0.3333333333333333333h", 1200),
        ("9223372036s", 9223372036),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "-", "+", "s", ".", "-.", ".s", "3", "3h2", "5x", "1e3s", " 5m", "5 m", "--5s", "٣s"]
)
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^time: (invalid duration|missing unit|unknown unit)"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9223372037s", "3000000h", "9" * 100_000 + "h"])
def test_more_than_an_int64_of_nanoseconds_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


@given(st.text("0123456789.hmsnuµ+-", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert math.isfinite(parse_duration(text))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1e-9, "1ns"),
        (1.5e-6, "1.5µs"),
        (0.3, "300ms"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (300, "5m0s"),
        (3600, "1h0m0s"),
        (5400.25, "1h30m0.25s"),
        (-90, "-1m30s"),
        (math.inf, "2562047h47m16.854775807s"),
    ],
)
def test_a_duration_is_printed_as_go_prints_it(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@given(st.integers(-(2**53), 2**53))
def test_what_is_printed_reads_back_as_the_same(nanoseconds: int) -> None:
    assert round(parse_duration(go_duration(nanoseconds / 1e9)) * 1e9) == pytest.approx(nanoseconds, abs=1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (5, 5),
        (0.5, 0.5),
        (-1, math.inf),
        (-0.5, math.inf),
        ("5m", 300),
        ("0", 0),
        ("-1", math.inf),
        ("-5m", math.inf),
        ("300", 300),
        (" 5m ", 300),
        (10**400, math.inf),
        (-(10**400), math.inf),
        (1e300, math.inf),
        (LONGEST, math.inf),
    ],
)
def test_keep_alive_takes_seconds_and_durations_and_never_ends_below_zero(value: object, seconds: float) -> None:
    assert parse_keep_alive(value) == seconds


@pytest.mark.parametrize("value", ["", "soon", "5 minutes", "nan", "inf", math.nan, True, False, None, [], {}, ["5m"]])
def test_any_other_keep_alive_is_refused_and_the_field_named(value: object) -> None:
    with pytest.raises(BadRequest, match="keep_alive") as caught:
        parse_keep_alive(value)

    assert caught.value.field == "keep_alive"
