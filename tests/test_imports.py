"""What a process brings into memory, and what only when it is wanted."""

from __future__ import annotations

import subprocess
import sys

import pytest


def imported(program: str) -> set[str]:
    """The packages that are imported once `program` has run."""
    listing = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", f"{program}\n{listing}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import power.serve", {"httpx", "rich", "cryptography", "llama_cpp", "cyclopts", "prompt_toolkit", "pynvml"}),
        ("import power.worker.line", {"numpy", "lark", "jinja2", "trio"}),
        (
            "from power.worker.bindings import import_bindings_alone as alone; alone(); import power.worker.loop",
            {"jinja2", "trio", "httpx"},
        ),
    ],
    ids=["server", "worker before it loads", "worker"],
)
def test_a_process_has_only_what_it_needs(program: str, absent: set[str]) -> None:
    assert not imported(program) & absent
