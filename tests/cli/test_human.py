"""Sizes, times and tables in Ollama's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.cli.human import human_bytes, human_duration, human_processor, human_time, human_until, ordinal
from power.cli.tables import section, table

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1500, "1.5 KB"),
        (12_345, "12 KB"),
        (4_661_224_676, "4.7 GB"),
        (2_000_000_000_000, "2 TB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_bytes(n: int, text: str) -> None:
    assert human_bytes(n) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(milliseconds=300), "Less than a second"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=59), "59 seconds"),
        (timedelta(seconds=61), "About a minute"),
        (timedelta(minutes=4, seconds=59), "4 minutes"),
        (timedelta(minutes=61), "About an hour"),
        (timedelta(minutes=100), "2 hours"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=13), "13 days"),
        (timedelta(days=21), "3 weeks"),
        (timedelta(days=100), "3 months"),
        (timedelta(days=800), "2 years"),
    ],
)
def test_durations(duration: timedelta, text: str) -> None:
    assert human_duration(duration) == text


@given(st.timedeltas(timedelta(0), timedelta(days=365 * 292)))
def test_every_duration_has_words(duration: timedelta) -> None:
    assert human_duration(duration)


@pytest.mark.parametrize(
    ("then", "text"),
    [
        (NOW - timedelta(days=21), "3 weeks ago"),
        (NOW + timedelta(minutes=4), "4 minutes from now"),
        (None, "Never"),
        (datetime(1, 1, 1, tzinfo=UTC), "Never"),
    ],
)
def test_times(then: datetime | None, text: str) -> None:
    assert human_time(then, NOW) == text


@pytest.mark.parametrize(
    ("expires", "text"),
    [
        (NOW + timedelta(minutes=5), "5 minutes from now"),
        (NOW - timedelta(seconds=1), "Stopping..."),
        (NOW + timedelta(days=292 * 365), "Forever"),
        (None, "Forever"),
    ],
)
def test_when_a_model_leaves(expires: datetime | None, text: str) -> None:
    assert human_until(expires, NOW) == text


@pytest.mark.parametrize(
    ("size", "vram", "text"),
    [(10, 0, "100% CPU"), (10, 10, "100% GPU"), (0, 0, "Unknown"), (4, 3, "25%/75% CPU/GPU"), (3, 4, "Unknown")],
)
def test_where_a_model_is(size: int, vram: int, text: str) -> None:
    assert human_processor(size, vram) == text


def test_a_table_pads_every_column_and_the_last_too() -> None:
    assert table(("NAME", "SIZE"), [("tiny:latest", "1 MB"), ("x", "4.7 GB")]) == (
        "NAME           SIZE      \n"
        "tiny:latest    1 MB      \n"
        "x              4.7 GB    \n"
    )  # fmt: skip


def test_an_empty_table_is_its_titles() -> None:
    assert table(("NAME", "SIZE"), []) == "NAME    SIZE    \n"


def test_a_section_is_indented_and_an_empty_one_is_not_there() -> None:
    assert section("Model", [("a", "1"), ("bc", "2")]) == "  Model\n    a     1    \n    bc    2    \n\n"
    assert section("Model", []) == ""


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (113, "113th"),
    ],
)
def test_ordinals(n: int, text: str) -> None:
    assert ordinal(n) == text
