"""Small GGUF files for tests: by the `gguf` package, an independent hand, or byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from power.gguf import GGUF, TYPE_NAMED, TensorSource, TensorType, open_gguf
from power.gguf.blocks import block_dtype

TOKENS = ["<unk>", "<s>", "</s>", "hello", "wörld", "▁", "🙂" * 80, "a" * 300]
CHAT_TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def write_small(path: Path, *, big_endian: bool = False, extra: dict[str, Any] | None = None) -> Path:
    """A llama of two tensors and eight tokens, with every kind of value."""
    order = gguf.GGUFEndian.BIG if big_endian else gguf.GGUFEndian.LITTLE
    writer = gguf.GGUFWriter(path, "llama", endianess=order)
    writer.add_name("small")
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv([2, 1])
    writer.add_uint8("test.uint8", 200)
    writer.add_int8("test.int8", -7)
    writer.add_uint16("test.uint16", 60000)
    writer.add_int16("test.int16", -30000)
    writer.add_int32("test.int32", -(2**31))
    writer.add_uint64("test.uint64", 2**64 - 1)
    writer.add_int64("test.int64", -(2**63))
    writer.add_float32("test.float32", 0.5)
    writer.add_float64("test.float64", 1e300)
    writer.add_bool("test.bool", True)
    writer.add_array("test.bools", [True, False, True])
    writer.add_array("test.floats", [0.25, -1.0])
    writer.add_array("test.strings", ["", "x", "zwölf"])
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([float(-n) for n in range(len(TOKENS))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)
    for key, value in (extra or {}).items():
        writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
    writer.add_tensor("token_embd.weight", np.arange(8 * 64, dtype=np.float32).reshape(8, 64))
    writer.add_tensor("output.weight", np.ones((3, 32), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def header(n_tensors: int = 0, n_values: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_values)


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def value(key: str | bytes, kind: int, data: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + data


def array(key: str, kind: int, n_items: int, items: bytes = b"") -> bytes:
    return value(key, 9, struct.pack("<IQ", kind, n_items) + items)


def tensor(name: str | bytes, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def opened(tmp_path: Path, data: bytes) -> GGUF:
    path = tmp_path / "made.gguf"
    path.write_bytes(data)
    return open_gguf(path)


def random_blocks(kind: TensorType, n_blocks: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Blocks of random bytes, whose scales are finite."""
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, n_blocks * kind.block_bytes, dtype=np.uint8)
    blocks = data.view(block_dtype(kind))
    assert blocks.dtype.fields is not None
    for name, (dtype, *_) in blocks.dtype.fields.items():
        if dtype.kind == "f":
            blocks[name] = rng.normal(size=n_blocks).astype(dtype)
    if kind.name == "IQ1_M":  # whose scale is spread over the upper bits of four words
        blocks["scales"][:, 3] &= 0x3FFF
    return data


def random_source(name: str, n_rows: int, n_row: int, kind: str, seed: int = 0) -> TensorSource:
    data = random_blocks(TYPE_NAMED[kind], n_rows * n_row // TYPE_NAMED[kind].block, seed)
    return TensorSource(name, (n_rows, n_row), TYPE_NAMED[kind], lambda: [data])
