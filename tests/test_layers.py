"""Imports point down. The picture is in `power/__init__.py`; this reads the code and keeps it so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "power"

# A layer may import from the layers below it, and from itself.
LAYERS = [
    {"errors", "claim", "messages", "events", "options", "durations", "settings", "config", "metrics"},
    {"gguf", "grammar", "stream", "prompt"},
    {"worker"},
    {"store", "sched"},
    {"speech", "holding", "planning", "fitting", "generate", "embedding"},
    {"api", "listen", "serve", "client", "cli", "__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
PURE = LAYERS[0] | LAYERS[1]

FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        if package == "power" and rest.partition(".")[0] in RANK:
            assert RANK[rest.partition(".")[0]] <= RANK[layer_of(path)], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_worker_imports_llama_cpp_and_nobody_asyncio(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imports_of(path)}

    assert "asyncio" not in roots
    assert "llama_cpp" not in roots or layer_of(path) == "worker"
    assert "trio" not in roots or layer_of(path) not in PURE | {"worker"}


def test_of_the_worker_others_see_the_wire_alone() -> None:
    for path in FILES:
        if layer_of(path) != "worker":
            seen = {name for name in imports_of(path) if name.startswith("power.worker.")}
            assert all(name.startswith("power.worker.wire") or name == "power.worker.wire" for name in seen), path


def test_every_module_has_a_rank() -> None:
    assert {layer_of(path) for path in FILES} <= set(RANK)
