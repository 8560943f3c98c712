"""Write a GGUF of Qwen2.5-0.5B's shape with random weights, quantised to Q4_K_M.

usage: python -m bench.qwen_shape SDIST_DIR OUT.gguf

Speed does not depend on what the weights say, only on their shapes and types,
so this stands in for the real model: the same 24 layers, heads, vocabulary
(taken from the vocabulary file in the llama-cpp-python sdist) and, after
`llama_model_quantize`, the same tensor types.  Figures of the shape are from
the model's published config.json.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
from llama_cpp import llama_cpp

N_LAYERS = 24
N_EMBD = 896
N_FF = 4864
N_HEADS = 14
N_HEADS_KV = 2
N_CTX_TRAIN = 32768
ROPE_BASE = 1_000_000.0
NORM_EPS = 1e-6
WEIGHT_STD = 0.02

# ChatML, as Qwen2.5 has it, without its tools branch.
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def write_random(vocabulary: Path, out: Path) -> None:
    """The F16 model, about 1 GB."""
    writer = gguf.GGUFWriter(out, "qwen2")
    writer.add_name("Qwen2.5-0.5B shape, random weights")
    writer.add_block_count(N_LAYERS)
    writer.add_context_length(N_CTX_TRAIN)
    writer.add_embedding_length(N_EMBD)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_HEADS_KV)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(NORM_EPS)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    n_vocab = copy_vocabulary(gguf.GGUFReader(vocabulary), writer)
    add_tensors(writer, n_vocab, np.random.default_rng(0))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file(progress=True)
    writer.close()


def copy_vocabulary(source: gguf.GGUFReader, writer: gguf.GGUFWriter) -> int:
    """The tokenizer's keys, padded to the model's embedding rows. Returns the number of tokens."""
    contents = {name: field.contents() for name, field in source.fields.items() if name.startswith("tokenizer.")}
    writer.add_tokenizer_model(contents["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(contents["tokenizer.ggml.pre"])
    writer.add_token_list(contents["tokenizer.ggml.tokens"])
    writer.add_token_types(contents["tokenizer.ggml.token_type"])
    writer.add_token_merges(contents["tokenizer.ggml.merges"])
    end = contents["tokenizer.ggml.tokens"].index("<|im_end|>")
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    return len(contents["tokenizer.ggml.tokens"])


def add_tensors(writer: gguf.GGUFWriter, n_vocab: int, rng: np.random.Generator) -> None:
    """Every tensor of the architecture; the output matrix is tied to the embedding, as in the original."""

    def matrix(name: str, rows: int, columns: int) -> None:
        values = rng.standard_normal((rows, columns), dtype=np.float32) * WEIGHT_STD
        writer.add_tensor(f"{name}.weight", values.astype(np.float16))

    def vector(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, dtype=np.float32))

    matrix("token_embd", n_vocab, N_EMBD)
    vector("output_norm.weight", N_EMBD, 1.0)
    n_kv = N_EMBD // N_HEADS * N_HEADS_KV
    for layer in range(N_LAYERS):
        block = f"blk.{layer}"
        vector(f"{block}.attn_norm.weight", N_EMBD, 1.0)
        vector(f"{block}.ffn_norm.weight", N_EMBD, 1.0)
        for part, rows in (("q", N_EMBD), ("k", n_kv), ("v", n_kv)):
            matrix(f"{block}.attn_{part}", rows, N_EMBD)
            vector(f"{block}.attn_{part}.bias", rows, 0.0)
        matrix(f"{block}.attn_output", N_EMBD, N_EMBD)
        matrix(f"{block}.ffn_gate", N_FF, N_EMBD)
        matrix(f"{block}.ffn_up", N_FF, N_EMBD)
        matrix(f"{block}.ffn_down", N_EMBD, N_FF)


def quantize(source: Path, out: Path) -> None:
    """Q4_K_M through llama.cpp itself."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M
    params.nthread = 2
    if llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), params) != 0:
        raise SystemExit(f"llama_model_quantize refused {source}")


def make(sdist: Path, out: Path) -> Path:
    """`out`, written if it is not there yet."""
    if not out.exists():
        f16 = out.with_suffix(".f16")
        write_random(sdist / "vendor/llama.cpp/models/ggml-vocab-qwen2.gguf", f16)
        partial = out.with_suffix(".partial")
        quantize(f16, partial)
        f16.unlink()
        partial.rename(out)
    return out


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
