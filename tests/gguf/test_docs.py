"""The examples in docs/gguf.md do what they say."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support import TINY

PAGE = Path(__file__).parents[2] / "docs" / "gguf.md"


def test_every_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(TINY, "model.gguf")
    Path("notes.txt").write_text("Nothing of interest to a model.\n")
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}

    for example in examples:
        exec(example, names)

    printed = capsys.readouterr().out
    assert len(examples) >= 8
    assert "notes.txt: is not a GGUF file: it does not begin with 'GGUF'" in printed
    assert Path("merged.gguf").read_bytes() == Path("model.gguf").read_bytes()
