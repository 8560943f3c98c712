"""The writer: what it writes reads the same, here, by the `gguf` package and by llama.cpp."""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.gguf import (
    TYPE_NAMED,
    GGUFError,
    TensorSource,
    Typed,
    ValueType,
    array_source,
    open_gguf,
    plan_gguf,
    rewrite_gguf,
    write_gguf,
)
from power.gguf.constants import TENSOR_TYPES
from tests.gguf.files import array, header, opened, random_source, string, tensor, value, write_small
from tests.support import TINY, sdist

VOCABULARIES = "vendor/llama.cpp/models"


def test_every_file_of_the_sdist_is_written_back_byte_for_byte(tmp_path: Path) -> None:
    paths = sorted((sdist() / VOCABULARIES).glob("*.gguf"))

    assert len(paths) >= 19
    for path in paths:
        rewrite_gguf(open_gguf(path), tmp_path / "copy.gguf")
        assert (tmp_path / "copy.gguf").read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("big_endian", [False, True])
def test_a_file_of_another_hand_is_written_back_byte_for_byte(tmp_path: Path, big_endian: bool) -> None:
    for path in [TINY, write_small(tmp_path / "small.gguf", big_endian=big_endian)]:
        rewrite_gguf(open_gguf(path), tmp_path / "copy.gguf")

        assert (tmp_path / "copy.gguf").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("end", [0, 28])
def test_what_no_package_would_write_is_written_back_byte_for_byte(tmp_path: Path, end: int) -> None:
    strange = value("bool", 7, b"\7") + array("bools", 7, 3, b"\0\1\xff") + value("text", 8, string(b"a\xffb"))
    nested = array("nested", 9, 2, struct.pack("<IQ2H", 2, 2, 5, 6) + struct.pack("<IQ", 8, 1) + string("x"))
    nan = value("nan", 6, b"\1\0\xa0\xff") + array("none", 8, 0) + value("general.alignment", 4, b"\x40\0\0\0")
    head = header(1, 7, version=2) + strange + nested + nan + tensor("t", (1,))
    data = head + bytes(-len(head) % 64) + bytes(4 + end)  # not padded to 64

    rewrite_gguf(opened(tmp_path, data), tmp_path / "copy.gguf")

    assert (tmp_path / "copy.gguf").read_bytes() == data[: len(data) - end]


def test_the_other_byte_order_and_back_is_the_same_file(tmp_path: Path) -> None:
    tensors = [random_source(kind.name, 2, 512, kind.name) for kind in TENSOR_TYPES.values()]
    write_gguf(tmp_path / "little.gguf", {"a": 1, "b": ["x", "y"], "c": [[1, 2], [True]], "d": [0.5]}, tensors)

    rewrite_gguf(open_gguf(tmp_path / "little.gguf"), tmp_path / "big.gguf", big_endian=True)
    rewrite_gguf(open_gguf(tmp_path / "big.gguf"), tmp_path / "back.gguf", big_endian=False)

    little, big = open_gguf(tmp_path / "little.gguf"), open_gguf(tmp_path / "big.gguf")
    assert big.big_endian
    assert (tmp_path / "back.gguf").read_bytes() == (tmp_path / "little.gguf").read_bytes()
    for name in little.tensors:
        np.testing.assert_array_equal(big.floats(name), little.floats(name), name)


def test_the_gguf_package_reads_what_we_write(tmp_path: Path) -> None:
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "positive": 7,
        "negative": -7,
        "large": 2**32,
        "float": 0.5,
        "yes": True,
        "words": ["a", "zwölf"],
        "numbers": [1, -2],
        "floats": [0.5, 1],
        "array": np.array([1, 2], np.uint8),
    }
    weights = np.arange(64, dtype=np.float32).reshape(2, 32)
    write_gguf(tmp_path / "ours.gguf", metadata, [array_source("w", weights), random_source("q", 3, 64, "Q8_0")])

    theirs = gguf.GGUFReader(tmp_path / "ours.gguf")

    assert {key: theirs.fields[key].contents() for key in metadata if key != "array"} == {
        key: value for key, value in metadata.items() if key != "array"
    }
    assert [kind.name for kind in theirs.fields["array"].types] == ["ARRAY", "UINT8"]
    np.testing.assert_array_equal(theirs.tensors[0].data, weights)
    assert theirs.tensors[1].tensor_type.name == "Q8_0"


def test_plain_values_have_the_types_llama_cpp_expects(tmp_path: Path) -> None:
    given: dict[str, tuple[Any, str]] = {
        "int": (1, "UINT32"),
        "negative": (-1, "INT32"),
        "large": (2**40, "INT64"),
        "huge": (2**63, "UINT64"),
        "float": (1.0, "FLOAT32"),
        "bool": (False, "BOOL"),
        "text": ("x", "STRING"),
        "numpy": (np.float64(1.0), "FLOAT64"),
        "typed": (Typed(1, ValueType.INT8), "INT8"),
        "ints": ([1, 2], "INT32"),
        "large ints": ([1, 2**31], "UINT32"),
        "floats": ([1, 0.5], "FLOAT32"),
        "bools": ([True], "BOOL"),
        "texts": (["x"], "STRING"),
        "array": (np.array([1], np.uint16), "UINT16"),
        "none": (Typed([], ValueType.ARRAY, ValueType.STRING), "STRING"),
    }

    write_gguf(tmp_path / "t.gguf", {key: value for key, (value, _) in given.items()})

    metadata = open_gguf(tmp_path / "t.gguf").metadata
    fields = {key: metadata.field(key) for key in metadata}
    assert {key: (field.item_type or field.type).name for key, field in fields.items()} == {
        key: kind for key, (_, kind) in given.items()
    }


SCALARS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.floats(width=32, allow_nan=False), st.booleans(), st.text(max_size=20)
)
LISTS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1),
    st.lists(st.booleans(), min_size=1),
    st.lists(st.text(), min_size=1),
)
VALUES = st.one_of(SCALARS, LISTS, st.lists(LISTS, min_size=1, max_size=3))
KEYS = st.text(min_size=1, max_size=20).filter(lambda key: key != "general.alignment")


@given(metadata=st.dictionaries(KEYS, VALUES, max_size=6), big_endian=st.booleans())
def test_any_metadata_reads_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, Any], big_endian: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    write_gguf(path, metadata, big_endian=big_endian)

    assert {key: plain(shown) for key, shown in open_gguf(path).metadata.items()} == metadata


def plain(shown: Any) -> Any:
    if isinstance(shown, list):
        return [plain(item) for item in shown]
    return shown.tolist() if isinstance(shown, np.ndarray) else shown


def test_changing_one_value_changes_no_other(tmp_path: Path) -> None:
    path = write_small(tmp_path / "small.gguf")
    before = open_gguf(path)
    mode = path.stat().st_mode

    rewrite_gguf(before, path, {**before.metadata.encoded(), "general.name": "new"})

    after = open_gguf(path)
    assert path.stat().st_mode == mode
    assert after.metadata["general.name"] == "new"
    assert list(after.metadata) == list(before.metadata)
    for key, kept in before.metadata.encoded().items():
        assert key == "general.name" or after.metadata.encoded()[key] == kept
    for name in before.tensors:
        assert after.tensor_bytes(name).tobytes() == before.tensor_bytes(name).tobytes()


@pytest.mark.parametrize("alignment", [1, 8, 32, 4096])
def test_every_tensor_is_aligned_and_so_is_the_end(tmp_path: Path, alignment: int) -> None:
    tensors = [array_source(name, np.full(n, n, np.int8)) for n, name in enumerate("abc", 5)]
    plan = write_gguf(tmp_path / "t.gguf", {"k": "x"}, tensors, alignment=alignment)

    file = open_gguf(tmp_path / "t.gguf")

    assert file.alignment == alignment
    assert plan.n_bytes == file.size
    assert [info.start % alignment for info in file.tensors.values()] == [0, 0, 0]
    assert file.size % alignment == 0
    assert [file.tensor(name).tolist() for name in "abc"] == [[5] * 5, [6] * 6, [7] * 7]


def test_progress_counts_up_to_the_whole_file(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    plan = write_gguf(
        tmp_path / "t.gguf", {}, [random_source("t", 8, 32, "Q8_0")], progress=lambda *counts: seen.append(counts)
    )

    assert seen == sorted(seen)
    assert seen[-1] == (plan.n_bytes, plan.n_bytes)


def test_memory_does_not_grow_with_the_tensors(tmp_path: Path) -> None:
    script = """
import sys
from power.gguf import TYPE_NAMED, TensorSource, open_gguf, rewrite_gguf, write_gguf
def chunks():
    for _ in range(100):
        yield bytes(2**20)
write_gguf(sys.argv[1], {}, [TensorSource("t", (100, 2**18), TYPE_NAMED["F32"], chunks)])
rewrite_gguf(open_gguf(sys.argv[1]), sys.argv[1])
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "t.gguf")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert int(result.stdout) < 90  # MiB, of which numpy is most; the tensor has 100


def one(*chunks: bytes) -> TensorSource:
    return TensorSource("t", (2, 4), TYPE_NAMED["I8"], lambda: chunks)


def failing() -> Iterator[bytes]:
    yield bytes(4)
    raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (one(), "gave 0 bytes instead of 8"),
        (one(bytes(5)), "gave 5 bytes instead of 8"),
        (one(bytes(5), bytes(5)), "gave 10 bytes or more instead of 8"),
        (TensorSource("t", (2, 4), TYPE_NAMED["I8"], failing), "the disk is gone"),
    ],
)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, source: TensorSource, complaint: str) -> None:
    (tmp_path / "t.gguf").write_bytes(b"old")

    with pytest.raises(GGUFError, match=complaint):
        write_gguf(tmp_path / "t.gguf", {}, [source])

    assert [path.name for path in tmp_path.iterdir()] == ["t.gguf"]
    assert (tmp_path / "t.gguf").read_bytes() == b"old"


def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
import numpy as np
from power.gguf import GGUFError, array_source, write_gguf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_gguf(sys.argv[1], {}, [array_source("t", np.zeros(10_000))])
except GGUFError as error:
    print(error)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "t.gguf")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert "t.gguf cannot be written: File too large" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GGUFError, match="No such file"):
        write_gguf(tmp_path / "missing" / "t.gguf", {})


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"others read this")
    (tmp_path / "t.gguf").symlink_to("blob")

    write_gguf(tmp_path / "t.gguf", {"k": 1})

    assert (tmp_path / "blob").read_bytes() == b"others read this"
    assert open_gguf(tmp_path / "t.gguf").metadata["k"] == 1


I8 = TYPE_NAMED["I8"]


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"": 1}, "a metadata key has 0 bytes"),
        ({"k" * 70000: 1}, "70000 bytes"),
        ({"\ud800": 1}, "no UTF-8"),
        ({"k": "\ud800"}, "k: .* cannot be written"),
        ({"k": None}, "k: a NoneType"),
        ({"k": {}}, "k: a dict"),
        ({"k": 2**64}, "k: no integer type"),
        ({"k": [-1, 2**63]}, "k: no integer type"),
        ({"k": 1e39}, "cannot be written as FLOAT32"),
        ({"k": []}, "empty list"),
        ({"k": ["a", 1]}, "a list of"),
        ({"k": [1, None]}, "k: a NoneType"),
        ({"k": [[1], 2]}, "k: "),
        ({"k": np.zeros((2, 2))}, "2 dimensions"),
        ({"k": np.zeros(2, np.complex64)}, "complex64"),
        ({"k": Typed(300, ValueType.UINT8)}, "cannot be written as UINT8"),
        ({"k": Typed("x", ValueType.UINT8)}, "cannot be written as UINT8"),
        ({"k": Typed(1, ValueType.STRING)}, "no string"),
        ({"k": Typed([1], ValueType.ARRAY)}, "type of its items"),
        ({"k": Typed([300], ValueType.ARRAY, ValueType.UINT8)}, "an array of UINT8"),
        ({"k": [[[[[[[1]]]]]]]}, "deep"),
        ({"general.alignment": 48}, "power of two"),
        ({"general.alignment": "32"}, "UINT32"),
        ({"general.alignment": Typed(32, ValueType.UINT64)}, "UINT32"),
    ],
)
def test_metadata_that_makes_no_valid_file_is_refused(metadata: dict[str, Any], complaint: str) -> None:
    with pytest.raises(GGUFError, match=complaint):
        plan_gguf(metadata, [])


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ([TensorSource("t" * 64, (1,), I8, list)], "64 bytes"),
        ([TensorSource("t", (1,), I8, list)] * 2, "two of that name"),
        ([TensorSource("t", (1,) * 5, I8, list)], "5 dimensions"),
        ([TensorSource("t", (-1,), I8, list)], "impossible"),
        ([TensorSource("t", (2**40, 2**40), I8, list)], "impossible"),
        ([TensorSource("t", (31,), TYPE_NAMED["Q8_0"], list)], "packs by 32"),
        ([TensorSource("\ud800", (1,), I8, list)], "no UTF-8"),
    ],
)
def test_tensors_that_make_no_valid_file_are_refused(tensors: list[TensorSource], complaint: str) -> None:
    with pytest.raises(GGUFError, match=complaint):
        plan_gguf({}, tensors)


def test_numpy_arrays_that_ggml_has_no_type_for_are_refused() -> None:
    with pytest.raises(GGUFError, match="complex"):
        array_source("t", np.zeros(2, np.complex64))


def test_llama_cpp_loads_what_we_write(tmp_path: Path) -> None:
    file = open_gguf(TINY)
    write_gguf(tmp_path / "tiny.gguf", dict(file.metadata.encoded()), map(file.source, file.tensors), alignment=128)

    assert loads(tmp_path / "tiny.gguf")


def loads(path: Path) -> bool:
    """Whether llama.cpp loads the model, in a process of its own: it may abort."""
    script = """
import sys
import llama_cpp
parameters = llama_cpp.llama_model_default_params()
sys.exit(not llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), parameters))
"""
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False).returncode == 0


@pytest.mark.parametrize("name", ["", ".", "/", "a\0b"])
def test_what_is_no_name_of_a_file_is_refused(name: str) -> None:
    with pytest.raises(GGUFError, match="is no name of a file"):
        write_gguf(name, {"general.architecture": "llama"})
    with pytest.raises(GGUFError):
        open_gguf(name)
