"""Every fuzz target holds for a second, and says what it holds to."""

import subprocess
import sys
from pathlib import Path

import pytest

TARGETS = sorted((Path(__file__).parents[1] / "fuzz").glob("fuzz_*.py"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_a_target_runs_without_a_failure(target: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(target), "--seconds", "1"], capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "none failed" in result.stdout


@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_a_target_opens_with_its_invariant(target: Path) -> None:
    assert target.read_text().startswith("# Invariant: ")
