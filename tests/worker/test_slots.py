"""A slot's sequence in a file, with every kind of memory."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from power.worker.wire import Refused, SlotActed, SlotAction
from tests.worker.harness import Worker, open_worker
from tests.worker.models import BOS, write_model, write_recurrent_model, write_sliding_model
from tests.worker.test_sharing import n_computed, text

Write = Callable[[Path], Path]
PROMPT = (BOS, *text(60, seed=1))


@pytest.fixture(params=[write_model, write_sliding_model, write_recurrent_model], scope="module")
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write: Write = request.param
    return write(tmp_path_factory.mktemp("kinds") / "model.gguf")


def act(worker: Worker, **fields: Any) -> SlotActed:
    worker.send(SlotAction(id=10**6, **fields))
    return worker.wait_for(SlotActed, 10**6)


def test_another_process_goes_on_with_the_same_tokens(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "slot"
    with open_worker() as worker:
        worker.load(path)
        first = worker.answer(PROMPT, n_predict=10, slot=2)
        longer = (*PROMPT, *first.tokens, *text(5, seed=2))
        saved = act(worker, slot=2, kind="save", path=str(file))
        before = worker.answer(longer, n_predict=10, slot=3)
    with open_worker() as worker:
        worker.load(path)
        restored = act(worker, slot=0, kind="restore", path=str(file))
        after = worker.answer(longer, n_predict=10, slot=0)

    assert saved.n_tokens == restored.n_tokens == len(PROMPT) + len(first.tokens) - 1
    assert saved.n_bytes == restored.n_bytes == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert after.tokens == before.tokens
    assert n_computed(after) == 6


def test_a_slot_that_works_is_saved_as_far_as_it_has_come(path: Path, tmp_path: Path) -> None:
    with open_worker() as worker:
        worker.load(path)
        id = worker.start(PROMPT, n_predict=100, slot=1)
        saved = act(worker, slot=1, kind="save", path=str(tmp_path / "slot"))
        answer = worker.collect(id)[id]
        alone = worker.answer(PROMPT, n_predict=100, slot=1)

    assert 0 <= saved.n_tokens < len(PROMPT) + 100
    assert answer.tokens[-50:] == alone.tokens[-50:]


def test_an_erased_slot_leaves_nothing_on_disk(tmp_path: Path, path: Path) -> None:
    with open_worker() as worker:
        worker.load(path, disk_folder=str(tmp_path), disk_bytes=10**9)
        worker.answer(PROMPT, n_predict=10, slot=1)
        assert [*tmp_path.glob("*/*.prefix")]
        act(worker, slot=1, kind="erase")
        assert not [*tmp_path.glob("*/*.prefix")]
        again = worker.answer(PROMPT, n_predict=10)

    assert n_computed(again) == len(PROMPT)


def test_what_cannot_be_written_is_told(model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with open_worker() as worker:
        worker.load(model_path)
        worker.answer(PROMPT, n_predict=10)
        worker.send(SlotAction(id=10**6, slot=0, kind="save", path=str(tmp_path / "file" / "slot")))

        assert worker.wait_for(Refused, 10**6).kind == "failed"
        assert worker.answer(PROMPT, n_predict=10).done
