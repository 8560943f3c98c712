"""Models in several files: opened as one, made and put together again."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from power.gguf import (
    GGUFError,
    Typed,
    ValueType,
    array_source,
    open_gguf,
    plan_merge,
    plan_split,
    write_gguf,
    write_split,
)
from power.gguf.split import shard_path
from power.gguf.writer import write_plan
from tests.gguf.files import random_source, write_small
from tests.gguf.test_writer import loads
from tests.support import TINY


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    tensors = [random_source(f"t{n}", 4, 64, "Q8_0", seed=n) for n in range(7)]
    write_gguf(tmp_path / "whole.gguf", {"general.architecture": "llama", "words": ["a", "b"]}, tensors, alignment=64)
    return tmp_path / "whole.gguf"


def split(path: Path, **limits: Any) -> list[Path]:
    shards = plan_split(open_gguf(path), path.with_name("part"), **limits)
    write_split(shards)
    return [shard.path for shard in shards]


@pytest.mark.parametrize(
    "limits", [{"max_tensors": 3}, {"max_bytes": 700}, {"max_tensors": 1, "empty_first": True}, {}]
)
def test_a_split_model_merges_into_the_same_file(whole: Path, limits: dict[str, Any]) -> None:
    paths = split(whole, **limits)

    write_plan(whole.with_name("merged.gguf"), plan_merge(open_gguf(paths[-1])))

    assert whole.with_name("merged.gguf").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_split_model_opens_as_one_from_any_of_its_files(whole: Path, number: int) -> None:
    paths = split(whole, max_tensors=3)
    one = open_gguf(whole)

    file = open_gguf(paths[number])

    assert [path.name for path in paths] == [f"part-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    assert file.path == paths[number]
    assert list(file.tensors) == list(one.tensors)
    assert [info.part for info in file.tensors.values()] == [0, 0, 0, 1, 1, 1, 2]
    assert file.metadata["words"] == ["a", "b"]
    assert file.size == sum(path.stat().st_size for path in paths)
    for name in one.tensors:
        assert file.tensor_bytes(name).tobytes() == one.tensor_bytes(name).tobytes()
        np.testing.assert_array_equal(file.floats(name), one.floats(name))


def test_one_file_of_several_can_be_looked_at_alone(whole: Path) -> None:
    paths = split(whole, max_tensors=3)

    file = open_gguf(paths[1], whole=False)

    assert list(file.tensors) == ["t3", "t4", "t5"]
    assert {key: value for key, value in file.metadata.items() if key.startswith("split.")} == {
        "split.no": 1,
        "split.count": 3,
        "split.tensors.count": 7,
    }


def test_the_size_of_a_file_stays_below_the_limit_unless_one_tensor_is_larger(whole: Path) -> None:
    shards = plan_split(open_gguf(whole), whole.with_name("part"), max_bytes=2 * 272)
    single = plan_split(open_gguf(whole), whole.with_name("part"), max_bytes=1)

    assert [len(shard.plan.tensors) for shard in shards] == [2, 2, 2, 1]
    assert [len(shard.plan.tensors) for shard in single] == [1] * 7


def test_progress_counts_the_bytes_of_all_files(whole: Path) -> None:
    shards = plan_split(open_gguf(whole), whole.with_name("part"), max_tensors=2)
    seen: list[tuple[int, int]] = []

    write_split(shards, progress=lambda *counts: seen.append(counts))

    n_bytes = sum(shard.path.stat().st_size for shard in shards)
    assert seen == sorted(seen)
    assert seen[-1] == (n_bytes, n_bytes)


def test_a_missing_file_is_named(whole: Path) -> None:
    paths = split(whole, max_tensors=3)
    paths[1].unlink()

    with pytest.raises(GGUFError, match=r"part-00002-of-00003\.gguf: cannot be opened: No such file"):
        open_gguf(paths[0])


def test_a_file_that_is_not_named_as_one_of_several_is_refused(whole: Path) -> None:
    paths = split(whole, max_tensors=3)
    paths[1].rename(whole.with_name("other.gguf"))

    with pytest.raises(GGUFError, match=r"is file 2 of 3, so its name must end in -00002-of-00003\.gguf"):
        open_gguf(whole.with_name("other.gguf"))


def test_files_of_different_models_are_not_joined(whole: Path) -> None:
    paths = split(whole, max_tensors=3)

    shutil.copy(paths[0], paths[1])
    with pytest.raises(GGUFError, match="does not say that it is file 2 of 3"):
        open_gguf(paths[0])
    write_gguf(paths[1], {"split.no": Typed(1, ValueType.UINT16), "split.count": Typed(3, ValueType.UINT16)})
    with pytest.raises(GGUFError, match="has 7 tensors, but the files have 4"):
        open_gguf(paths[0])


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    for number in range(2):
        metadata = {"split.no": number, "split.count": 2}
        write_gguf(shard_path(tmp_path / "m", number, 2), metadata, [array_source("t", np.zeros(1))])

    with pytest.raises(GGUFError, match="tensor 't' is there twice"):
        open_gguf(tmp_path / "m-00001-of-00002.gguf")


@pytest.mark.parametrize("count", ["three", -3, True, 0.5])
def test_a_count_of_files_that_is_none_is_refused(tmp_path: Path, count: object) -> None:
    write_gguf(tmp_path / "m-00001-of-00003.gguf", {"split.no": 0, "split.count": count})  # type: ignore[dict-item]

    with pytest.raises(GGUFError, match=r"split\.count is"):
        open_gguf(tmp_path / "m-00001-of-00003.gguf")


def test_a_big_endian_model_is_split_in_its_own_order(tmp_path: Path) -> None:
    path = write_small(tmp_path / "small.gguf", big_endian=True)
    paths = split(path, max_tensors=1)

    file = open_gguf(paths[0])

    assert file.big_endian
    np.testing.assert_array_equal(file.floats("output.weight"), np.ones((3, 32), np.float32))


def test_llama_cpp_loads_what_we_split(tmp_path: Path) -> None:
    shutil.copy(TINY, tmp_path / "tiny.gguf")
    paths = split(tmp_path / "tiny.gguf", max_tensors=9)

    assert len(paths) > 1
    assert loads(paths[0])
