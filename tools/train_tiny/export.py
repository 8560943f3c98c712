"""The trained network as a GGUF file, quantised to Q8_0, with its vocabulary and chat template inside."""

from __future__ import annotations

import os
from pathlib import Path

import gguf
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from . import render, tokens
from .model import NORM_EPS, ROPE_THETA, Params, Shape, n_parameters

TENSORS = {
    "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up",
    "down": "ffn_down",
    "attn_norm": "attn_norm", "ffn_norm": "ffn_norm",
}  # fmt: skip
DESCRIPTION = (
    "The embedded demonstration model of Power, trained from nothing on generated conversations. "
    "It greets, remembers what it is told, answers simple questions and calls tools."
)


def write(path: Path, params: Params, shape: Shape, tokenizer: Tokenizer) -> None:
    """Write the file; moved into place when complete."""
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "llama")
    _write_general(writer, n_parameters(params))
    _write_shape(writer, shape)
    _write_tokenizer(writer, tokenizer)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for name, weight in params.items():
        _write_tensor(writer, name, np.asarray(weight, dtype=np.float32), shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, path)


def read(path: Path, shape: Shape) -> Params:
    """The weights of a file that `write` wrote, as far as Q8_0 kept them, so that training can go on."""
    params: Params = {}
    names = {target: part for part, target in TENSORS.items()}
    for tensor in gguf.GGUFReader(path).tensors:
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.startswith("blk."):
            _, layer, part, _ = tensor.name.split(".")
            name = f"{layer}.{names[part]}"
        else:
            name = {"token_embd.weight": "embed", "output_norm.weight": "norm"}[tensor.name]
        if name.endswith((".q", ".k")):
            weight = _halves(weight, shape.n_head)
        params[name] = jnp.asarray(weight)
    return params


def read_tokenizer(path: Path) -> Tokenizer:
    fields = gguf.GGUFReader(path).fields
    return tokens.build(fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.merges"].contents())


def _write_general(writer: gguf.GGUFWriter, n: int) -> None:
    writer.add_type("model")
    writer.add_name("tiny")
    writer.add_basename("tiny")
    writer.add_author("The Power project")
    writer.add_organization("Power")
    writer.add_description(DESCRIPTION)
    writer.add_license("mit")
    writer.add_languages(["en"])
    writer.add_tags(["text-generation", "demonstration", "tools", "thinking"])
    writer.add_size_label(f"{n / 1e6:.1f}M")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def _write_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.d_model)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.d_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head)
    writer.add_key_length(shape.d_head)
    writer.add_value_length(shape.d_head)
    writer.add_rope_dimension_count(shape.d_head)
    writer.add_rope_freq_base(ROPE_THETA)
    writer.add_layer_norm_rms_eps(NORM_EPS)
    writer.add_vocab_size(shape.n_vocab)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    kinds = dict.fromkeys(tokens.CONTROL, gguf.TokenType.CONTROL) | dict.fromkeys(
        tokens.USER_DEFINED, gguf.TokenType.USER_DEFINED
    )
    ids = dict(vocab)
    end, pad = ids["<|im_end|>"], ids["<|endoftext|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in vocab])
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token, _ in vocab])
    writer.add_token_merges(tokens.merges_of(tokenizer))
    writer.add_bos_token_id(pad)  # as in Qwen: named, never added
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(end)
    writer.add_pad_token_id(pad)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(render.template_text())


def _write_tensor(writer: gguf.GGUFWriter, name: str, weight: npt.NDArray[np.float32], shape: Shape) -> None:
    layer, _, part = name.rpartition(".")
    if layer:
        target = f"blk.{layer}.{TENSORS[part]}.weight"
    else:
        target = {"embed": "token_embd.weight", "norm": "output_norm.weight"}[name]
    if part in ("q", "k"):
        weight = _interleaved(weight, shape.n_head)
    if weight.ndim == 1:
        writer.add_tensor(target, weight)
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(target, gguf.quants.quantize(weight, kind), raw_dtype=kind)


def _interleaved(weight: npt.NDArray[np.float32], n_head: int) -> npt.NDArray[np.float32]:
    """Rows i and i + half of each head become neighbours: llama.cpp's rotary pairs."""
    n_out, n_in = weight.shape
    return weight.reshape(n_head, 2, n_out // n_head // 2, n_in).swapaxes(1, 2).reshape(n_out, n_in)


def _halves(weight: npt.NDArray[np.float32], n_head: int) -> npt.NDArray[np.float32]:
    """`_interleaved`, undone."""
    n_out, n_in = weight.shape
    return weight.reshape(n_head, n_out // n_head // 2, 2, n_in).swapaxes(1, 2).reshape(n_out, n_in)
