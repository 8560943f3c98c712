"""What was computed before a restart need not be computed again; and what is wrong with a file does no harm."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker.harness import Answer, open_worker
from tests.worker.models import BOS, write_model, write_recurrent_model
from tests.worker.test_sharing import n_computed, text

SYSTEM = (BOS, *text(100, seed=1))
FIRST, SECOND = SYSTEM + text(20, seed=2), SYSTEM + text(20, seed=3)


def answers(path: Path, folder: Path, *prompts: tuple[int, ...], limit: int = 10**9, **changes: object) -> list[Answer]:
    """What one worker says, from its start to its end."""
    with open_worker() as worker:
        worker.load(path, disk_folder=str(folder), disk_bytes=limit, **changes)
        return [worker.answer(prompt, n_predict=10) for prompt in prompts]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.prefix"))


@pytest.mark.parametrize("write", [write_model, write_recurrent_model])
def test_a_worker_goes_on_from_what_an_earlier_one_computed(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path / "model.gguf")
    before = answers(path, tmp_path / "cache", FIRST, SECOND)
    after = answers(path, tmp_path / "cache", FIRST, SECOND)

    assert [answer.tokens for answer in after] == [answer.tokens for answer in before]
    assert n_computed(*after) == 2


def test_what_conversations_have_in_common_is_on_disk_once(tmp_path: Path, model_path: Path) -> None:
    answers(model_path, tmp_path, FIRST)
    one = sum(file.stat().st_size for file in files(tmp_path))
    answers(model_path, tmp_path, SECOND)

    assert sum(file.stat().st_size for file in files(tmp_path)) < 1.5 * one


def test_other_settings_are_another_cache(tmp_path: Path, model_path: Path) -> None:
    answers(model_path, tmp_path, FIRST)
    (other,) = answers(model_path, tmp_path, FIRST, kv_type="f32")

    assert n_computed(other) == len(FIRST)


@pytest.mark.parametrize("at", [0, 40, 60, -1])
def test_a_file_that_was_changed_is_not_used_and_removed(tmp_path: Path, model_path: Path, at: int) -> None:
    (before,) = answers(model_path, tmp_path, FIRST)
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    (after,) = answers(model_path, tmp_path, FIRST)

    assert after.tokens == before.tokens
    assert n_computed(after) == len(FIRST)
    assert bytes(data) not in [file.read_bytes() for file in files(tmp_path)]


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 1000, bytes(1000), b"\xff" * 100])
def test_what_is_no_such_file_is_removed(tmp_path: Path, model_path: Path, content: bytes) -> None:
    answers(model_path, tmp_path, FIRST)
    (file,) = files(tmp_path)
    stranger = file.with_name("stranger.prefix")
    stranger.write_bytes(content)
    (after,) = answers(model_path, tmp_path, FIRST)

    assert n_computed(after) == 1
    assert not stranger.exists()


def test_the_limit_is_kept_and_the_newest_stay(tmp_path: Path, model_path: Path) -> None:
    prompts = [(BOS, *text(100, seed=seed)) for seed in range(10, 16)]
    answers(model_path, tmp_path, prompts[0])
    size = files(tmp_path)[0].stat().st_size
    answers(model_path, tmp_path, *prompts, limit=3 * size)
    n_bytes = sum(file.stat().st_size for file in files(tmp_path))
    (last,) = answers(model_path, tmp_path, prompts[-1], limit=3 * size)

    assert n_bytes <= 3 * size
    assert n_computed(last) == 1


def test_nobody_else_may_read_it(tmp_path: Path, model_path: Path) -> None:
    answers(model_path, tmp_path / "cache", FIRST)
    (file,) = files(tmp_path / "cache")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_ends_nothing(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (answer,) = answers(model_path, tmp_path / "file", FIRST)

    assert len(answer.tokens) == 10


def test_without_a_limit_nothing_is_written(tmp_path: Path, model_path: Path) -> None:
    answers(model_path, tmp_path / "cache", FIRST, limit=0)

    assert not os.path.exists(tmp_path / "cache")
