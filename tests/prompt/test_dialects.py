"""Dialects are found in templates, and what is found reads what the templates write."""

from __future__ import annotations

from functools import cache

from tests.support import sdist
from tools.template_table import PAGE, Row, page, rows

# They write no calls, and their prompts tell the model how to.
TAUGHT = {
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "ibm-granite-granite-3.3-2B-Instruct",
    "LFM2-8B-A1B",
    "LFM2.5-Instruct",
}


@cache
def found() -> list[Row]:
    return rows(sdist())


def test_the_page_about_templates_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(found()), "run python -m tools.template_table"


def test_calls_that_a_template_writes_are_read_back() -> None:
    assert [row.renders for row in found()] == ["yes"] * len(found())
    assert {row.name: row.round_trip for row in found() if row.round_trip not in ("", "exact")} == dict.fromkeys(
        TAUGHT, "taught"
    )
