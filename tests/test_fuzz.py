"""Every fuzz target holds for a second (in CI: for the same cases every time), and says what it holds to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOW_LONG = ["--seconds", "0", "--cases", "100", "--seed", "0"] if "CI" in os.environ else ["--seconds", "1"]
TARGETS = sorted((Path(__file__).parents[1] / "fuzz").glob("fuzz_*.py"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_a_target_runs_without_a_failure(target: Path) -> None:
    command = [sys.executable, str(target), *HOW_LONG]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "none failed" in result.stdout


@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_a_target_opens_with_its_invariant(target: Path) -> None:
    assert target.read_text().startswith("# Invariant: ")
