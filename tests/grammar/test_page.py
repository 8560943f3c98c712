"""The page about structured output says what the code says."""

import re
from pathlib import Path

from power.grammar.page import page

PAGE = Path(__file__).parents[2] / "docs" / "structured-output.md"


def test_the_page_is_the_one_that_the_code_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_examples_of_the_page_run() -> None:
    for example in re.findall(r"```python\n(.*?)```", page(), re.DOTALL):
        exec(compile(example, "structured-output.md", "exec"), {})
