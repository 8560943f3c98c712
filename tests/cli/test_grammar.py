"""`power grammar`: compile, check, test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from power.cli.grammar_files import check_file, print_compiled, try_text
from power.errors import BadRequest

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "person.json"
    path.write_text(json.dumps(SCHEMA))
    return path


def test_a_schema_compiles_to_a_grammar_that_checks(
    schema: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_compiled(schema, objects="closed", on_unsupported="refuse")
    grammar = tmp_path / "person.gbnf"
    grammar.write_text(capsys.readouterr().out)

    check_file(grammar)

    assert "rules" in capsys.readouterr().out


def test_a_keyword_that_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.json").write_text('{"pattern": "\\\\b"}')

    print_compiled(tmp_path / "s.json", objects="closed", on_unsupported="warn")

    assert capsys.readouterr().err == "Warning: left out /pattern\n"


def test_a_text_that_follows_is_said_to(schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert try_text(schema, '{"name": "Ada"}', objects="closed") == 0
    assert capsys.readouterr().out == "The text follows the grammar.\n"


def test_a_text_is_shown_where_it_fails(schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert try_text(schema, '{"name": 1}', objects="closed") == 1
    assert capsys.readouterr().out.splitlines() == [
        "The text stops following the grammar at line 1, column 10:",
        '  {"name": 1}',
        "           ^",
        '  expected ["]',
    ]


def test_a_text_may_come_from_a_file(schema: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "answer.txt").write_text('{"name":')

    assert try_text(schema, f"@{tmp_path / 'answer.txt'}", objects="closed") == 1
    assert "ends too early at line 1, column 9" in capsys.readouterr().out


def test_what_is_no_schema_is_said(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{")

    with pytest.raises(BadRequest, match="no JSON"):
        check_file(tmp_path / "s.json")
    with pytest.raises(BadRequest, match="cannot read"):
        check_file(tmp_path / "nowhere.gbnf")
