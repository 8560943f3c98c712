"""Dialects are found in templates, and what is found reads what the templates write."""

from __future__ import annotations

from functools import cache

from tests.support import sdist
from tools.template_table import PAGE, Row, page, rows

# Neither their templates nor their prompts know of tools, or of how to call them.
WITHOUT = {
    "google-gemma-2-2b-it",
    "HuggingFaceTB-SmolLM3-3B",
    "llama-cpp-rwkv-world",
    "microsoft-Phi-3.5-mini-instruct",
}


@cache
def found() -> list[Row]:
    return rows(sdist())


def test_the_page_about_templates_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(found()), "run python -m tools.template_table"


def test_calls_that_a_template_writes_are_read_back() -> None:
    assert [row.renders for row in found()] == ["yes"] * len(found())
    assert {row.name for row in found() if row.calls and row.round_trip != "exact"} == set()
    assert {row.name for row in found() if not row.calls} == WITHOUT
