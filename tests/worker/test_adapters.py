"""LoRA adapters are applied, as strongly as asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from power.worker.wire import LoadError, Ready
from tests.worker.adapters import write_adapter
from tests.worker.harness import open_worker

PROMPT = "the other thing that he ate"


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("merged") / "merged.gguf"


@pytest.fixture(scope="module")
def adapter(model_path: Path, merged: Path) -> Path:
    return write_adapter(merged.with_name("adapter.gguf"), model_path, merged)


def logprobs(path: Path, *adapters: tuple[str, float]) -> list[float]:
    """The likelihoods of the likeliest tokens after the prompt."""
    with open_worker() as worker:
        assert isinstance(worker.load(path, adapters=adapters), Ready)
        answer = worker.answer(PROMPT, n_predict=1, n_probs=5)
        return [top.logprob for piece in answer.pieces for entry in piece.logprobs for top in entry.top]


def test_at_scale_0_an_adapter_does_nothing_and_at_1_what_merging_does(
    model_path: Path, merged: Path, adapter: Path
) -> None:
    base, off, on = (
        logprobs(model_path, *adapters) for adapters in ((), ((str(adapter), 0.0),), ((str(adapter), 1.0),))
    )

    assert off == pytest.approx(base, abs=1e-4)
    assert on == pytest.approx(logprobs(merged), abs=1e-2)
    assert on != pytest.approx(base, abs=0.1)


def test_two_adapters_add_up(model_path: Path, merged: Path, adapter: Path) -> None:
    halves = logprobs(model_path, (str(adapter), 0.25), (str(adapter), 0.75))

    assert halves == pytest.approx(logprobs(merged), abs=1e-2)


def test_a_file_that_is_no_adapter_is_told(model_path: Path, tmp_path: Path) -> None:
    with open_worker() as worker:
        error = worker.load(model_path, adapters=((str(tmp_path / "none.gguf"), 1.0),))

    assert isinstance(error, LoadError)
    assert "unable to load adapter" in error.message
