"""Options, levels and formats from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from power.cli.parameters import read_format, read_parameters, read_think
from power.errors import BadRequest


def test_options_are_read_as_names_and_values() -> None:
    pairs = ["temperature=0", "seed=7", "stop=a=b", "stop=c", 'logit_bias={"5": -1}', "use_mmap=true"]

    assert read_parameters(pairs) == {
        "temperature": 0,
        "seed": 7,
        "stop": ["a=b", "c"],
        "logit_bias": {"5": -1},
        "use_mmap": True,
    }


def test_of_an_option_given_twice_the_last_counts() -> None:
    assert read_parameters(["seed=1", "seed=2"]) == {"seed": 2}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("seed", "an option is written name=value, not 'seed'"),
        ("sed=1", "unknown parameter 'sed'"),
        ("seed=one", 'option "seed" must be of type integer'),
        ("top_p=2", 'option "top_p" must be between 0 and 1'),
    ],
)
def test_an_option_that_cannot_be_is_named(pair: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        read_parameters([pair])


@pytest.mark.parametrize(
    ("text", "think"), [(None, None), ("true", True), ("false", False), ("low", "low"), ("max", "max")]
)
def test_thinking_is_on_off_or_a_level(text: str | None, think: object) -> None:
    assert read_think(text) is think or read_think(text) == think


def test_another_level_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadRequest, match=r'invalid value for --think: "some" \(must be true, false, high'):
        read_think("some")


@pytest.mark.parametrize(
    ("text", "format"), [(None, None), ("json", "json"), ('{"type": "object"}', {"type": "object"})]
)
def test_a_format_is_json_or_a_schema(text: str | None, format: Any) -> None:
    assert read_format(text) == format


def test_a_format_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "person.json").write_text('{"type": "object"}')
    (tmp_path / "list.json").write_text("[]")

    assert read_format(str(tmp_path / "person.json")) == {"type": "object"}
    with pytest.raises(BadRequest, match=r"list\.json holds no JSON Schema object"):
        read_format(str(tmp_path / "list.json"))
    with pytest.raises(BadRequest, match=r"cannot read the format .*nowhere\.json: No such file"):
        read_format(str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize("text", ["", "yaml", "[1]", "1", "{"])
def test_another_format_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid format"):
        read_format(text)
