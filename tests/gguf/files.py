"""Small GGUF files for tests, written by the `gguf` package: an independent hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

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
