"""The reader, held against the `gguf` package and against broken files."""

import gc
import os
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.gguf import GGUFError, array_source, open_gguf, write_gguf
from power.gguf.constants import FILE_TYPES, TENSOR_TYPES
from tests.gguf.files import TOKENS, header, opened, random_source, string, tensor, write_small
from tests.support import sdist

PACKAGED = Path(__file__).parents[2] / "power" / "data" / "tiny.gguf"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("gguf") / "small.gguf")


def assert_equal(ours: Any, theirs: Any) -> None:
    if isinstance(ours, np.ndarray):
        ours = ours.tolist()
    assert ours == theirs


@pytest.mark.parametrize("big_endian", [False, True])
def test_every_kind_of_value_reads_as_it_was_written(tmp_path: Path, big_endian: bool) -> None:
    path = write_small(tmp_path / "small.gguf", big_endian=big_endian)

    file = open_gguf(path)

    assert file.big_endian is big_endian
    assert file.metadata["test.uint8"] == 200
    assert file.metadata["test.int8"] == -7
    assert file.metadata["test.uint16"] == 60000
    assert file.metadata["test.int16"] == -30000
    assert file.metadata["test.int32"] == -(2**31)
    assert file.metadata["test.uint64"] == 2**64 - 1
    assert file.metadata["test.int64"] == -(2**63)
    assert file.metadata["test.float32"] == 0.5
    assert file.metadata["test.float64"] == 1e300
    assert file.metadata["test.bool"] is True
    assert_equal(file.metadata["test.bools"], [True, False, True])
    assert_equal(file.metadata["test.floats"], [0.25, -1.0])
    assert file.metadata["test.strings"] == ["", "x", "zwölf"]
    assert file.metadata["tokenizer.ggml.tokens"] == TOKENS


@pytest.mark.parametrize("path", ["small", PACKAGED], ids=["small", "tiny"])
def test_the_gguf_package_reads_the_same(path: Path | str, small: Path) -> None:
    path = small if path == "small" else Path(path)
    theirs = gguf.GGUFReader(path)

    ours = open_gguf(path)

    fields = {key: field for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert list(ours.metadata) == list(fields)
    for key, field in fields.items():
        assert_equal(ours.metadata[key], field.contents())
    assert list(ours.tensors) == [tensor.name for tensor in theirs.tensors]
    for tensor_ in theirs.tensors:
        info = ours.tensors[tensor_.name]
        assert info.shape == tuple(int(n) for n in tensor_.shape)
        assert (info.type.name, info.start, info.n_bytes) == (
            tensor_.tensor_type.name,
            tensor_.data_offset,
            tensor_.n_bytes,
        )
        assert ours.tensor_bytes(tensor_.name).tobytes() == tensor_.data.tobytes()


def test_block_sizes_are_those_of_the_gguf_package() -> None:
    theirs = {kind.value: (kind.name, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType}

    # Their Q8_1 is out of date: the block lost four bytes in ggml-common.h.
    assert {n: tuple(kind)[:3] for n, kind in TENSOR_TYPES.items() if n in theirs and n != 9} == {
        n: kind for n, kind in theirs.items() if n != 9
    }


def test_file_types_are_those_of_the_gguf_package() -> None:
    names = {kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType}

    assert {n: name for n, name in FILE_TYPES.items() if n in names} == {n: names[n] for n in FILE_TYPES if n in names}


def test_an_array_of_arrays_is_read(tmp_path: Path) -> None:
    inner = struct.pack("<IQ2H", 2, 2, 5, 6)
    words = struct.pack("<IQ", 8, 2) + string("a") + string("b")
    data = header(n_values=1) + string("k") + struct.pack("<IIQ", 9, 9, 2) + inner + words

    value = opened(tmp_path, data).metadata["k"]

    assert isinstance(value, list)
    assert [list(item) for item in value] == [[5, 6], ["a", "b"]]


def test_one_string_of_an_array_is_found_without_the_others(small: Path) -> None:
    metadata = open_gguf(small).metadata

    assert [metadata.string_at("tokenizer.ggml.tokens", n) for n in range(len(TOKENS))] == TOKENS
    with pytest.raises(IndexError):
        metadata.string_at("tokenizer.ggml.tokens", len(TOKENS))
    with pytest.raises(KeyError):
        metadata.string_at("test.floats", 0)


def test_a_string_that_is_no_utf8_is_shown_with_marks(tmp_path: Path) -> None:
    data = header(n_values=1) + string("k") + struct.pack("<I", 8) + string(b"a\xffb")

    assert opened(tmp_path, data).metadata["k"] == "a\ufffdb"


def test_a_tensor_without_elements_is_allowed(tmp_path: Path) -> None:
    file = opened(tmp_path, header(1) + tensor("t", (0, 5)) + bytes(64))

    assert file.tensors["t"].n_elements == 0


def test_a_real_vocabulary_reads_as_the_gguf_package_wrote_it() -> None:
    path = sdist() / "vendor/llama.cpp/models/ggml-vocab-llama-spm.gguf"
    theirs = gguf.GGUFReader(path)

    ours = open_gguf(path)

    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
        assert_equal(ours.metadata[key], theirs.fields[key].contents())


def test_a_copy_of_the_header_is_all_that_opening_reads(tmp_path: Path) -> None:
    path = write_small(tmp_path / "small.gguf")
    file = open_gguf(path)
    path.write_bytes(bytes(path.stat().st_size))

    assert file.metadata["tokenizer.ggml.tokens"] == TOKENS


def test_closing_is_left_to_whoever_lets_go_last(small: Path) -> None:
    def n_open() -> int:
        return len(os.listdir("/proc/self/fd"))

    gc.collect()
    before = n_open()
    for _ in range(10):
        open_gguf(small).tensor("output.weight")

    assert n_open() == before


@given(
    strings=st.lists(
        st.one_of(st.text(max_size=5), st.integers(200, 600).map("x".__mul__), st.sampled_from(["", "\0", "\0" * 9])),
        max_size=120,
    ),
    big_endian=st.booleans(),
)
def test_strings_of_any_length_are_stepped_over(
    tmp_path_factory: pytest.TempPathFactory, strings: list[str], big_endian: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "strings.gguf"
    many = [*strings, *"abcdefghijklmnopq", *strings]
    write_gguf(path, {"many": many, "last": 7}, big_endian=big_endian)

    metadata = open_gguf(path).metadata

    assert metadata["last"] == 7
    assert metadata["many"] == many
    assert metadata.string_at("many", len(many) - 1) == many[-1]


def test_a_header_larger_than_what_is_fetched_at_first_is_read_on(tmp_path: Path) -> None:
    words = [f"word {n}" for n in range(100_000)]
    write_gguf(tmp_path / "large.gguf", {"words": words, "numbers": np.arange(100_000), "last": "end"})

    metadata = open_gguf(tmp_path / "large.gguf").metadata

    assert metadata["words"] == words
    assert_equal(metadata["numbers"], list(range(100_000)))
    assert metadata["last"] == "end"


@pytest.mark.parametrize("big_endian", [False, True])
def test_a_tensor_of_numbers_is_a_view_of_its_own_dtype(tmp_path: Path, big_endian: bool) -> None:
    path = write_small(tmp_path / "small.gguf", big_endian=big_endian)

    weights = open_gguf(path).tensor("token_embd.weight")

    assert weights.shape == (8, 64)
    assert weights.dtype == (">f4" if big_endian else "<f4")
    assert weights[3, 5] == 3 * 64 + 5
    assert not weights.flags.writeable
    assert not weights.flags.owndata


def test_a_packed_tensor_is_a_view_of_rows_of_bytes(tmp_path: Path) -> None:
    write_gguf(tmp_path / "packed.gguf", {}, [random_source("t", 3, 64, "Q8_0")])

    assert open_gguf(tmp_path / "packed.gguf").tensor("t").shape == (3, 2 * 34)


@pytest.mark.parametrize("shape", [(), (1,), (0, 4), (2, 3, 4, 5)])
def test_a_tensor_has_numpys_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    write_gguf(tmp_path / "t.gguf", {}, [array_source("t", values)])

    file = open_gguf(tmp_path / "t.gguf")

    np.testing.assert_array_equal(file.tensor("t"), values, strict=True)
    np.testing.assert_array_equal(file.floats("t"), values.astype(np.float32), strict=True)
    assert file.tensors["t"].shape == shape[::-1]


def test_floats_are_what_the_gguf_package_unpacks(tmp_path: Path) -> None:
    # 700,000 elements: more than one piece.
    write_gguf(tmp_path / "t.gguf", {}, [random_source("t", 2800, 256, "Q6_K")])
    file, theirs = open_gguf(tmp_path / "t.gguf"), gguf.GGUFReader(tmp_path / "t.gguf").tensors[0]

    np.testing.assert_array_equal(file.floats("t"), gguf.quants.dequantize(theirs.data, theirs.tensor_type))


def cut_short(path: Path) -> None:
    os.truncate(path, 4096)


@pytest.mark.parametrize("use", [lambda f: f.tensor("t"), lambda f: f.floats("t"), lambda f: list(f.pieces("t"))])
def test_a_file_that_shrinks_while_open_is_an_error_and_no_crash(tmp_path: Path, use: Any) -> None:
    path = tmp_path / "t.gguf"
    write_gguf(path, {}, [array_source("t", np.zeros((100, 1000), np.float32))])
    file = open_gguf(path)
    cut_short(path)

    with pytest.raises(GGUFError, match="has become shorter"):
        use(file)


def test_a_mapped_file_that_shrinks_is_still_read_without_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "t.gguf"
    write_gguf(path, {}, [array_source("t", np.zeros((100, 1000), np.float32))])
    file = open_gguf(path)
    file.tensor("t")
    cut_short(path)

    for use in (file.tensor, file.floats):
        with pytest.raises(GGUFError, match="has become shorter"):
            use("t")


def test_a_file_that_shrinks_while_its_header_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.gguf"
    write_gguf(path, {"words": [f"word {n}" for n in range(50_000)]})
    from power.gguf import reader  # the steps of `open_gguf`, to step in between
    from power.gguf.file import File

    file = File(path)
    cut_short(path)

    with pytest.raises(GGUFError, match="has become shorter"):
        reader._read(path, file)


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"general.architecture": "clip", "general.type": "mmproj"}, "v.patch_embd.weight"),
        ({"general.architecture": "llama", "general.type": "adapter"}, "blk.0.attn_q.weight.lora_a"),
    ],
    ids=["projector", "adapter"],
)
def test_what_comes_beside_a_model_opens_like_one(tmp_path: Path, metadata: dict[str, Any], name: str) -> None:
    write_gguf(tmp_path / "t.gguf", metadata, [array_source(name, np.ones((2, 32), np.float16))])

    file = open_gguf(tmp_path / "t.gguf")

    assert dict(file.metadata) == metadata
    assert file.floats(name).sum() == 64
