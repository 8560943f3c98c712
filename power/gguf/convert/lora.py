"""LoRA adapters as peft saves them, for the Llama and Qwen families.

An adapted matrix is W + scale·B·A.  llama.cpp computes the scale as alpha / rank
with one alpha for the whole adapter; where peft has it otherwise (per-module
alphas, rank-stabilised scaling) B takes what is left over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from power.gguf.convert.checkpoint import open_tensors
from power.gguf.convert.decoder import ATTENTION, FEED_FORWARD, Sizes, read_sizes, rotary_heads
from power.gguf.convert.documents import read_json
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.families import find_family
from power.gguf.convert.safetensors import StoredTensor
from power.gguf.convert.settings import Settings
from power.gguf.convert.sources import Affine, Reordered, Rows, Transposed, interleaved
from power.gguf.convert.weights import Output

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_FAMILIES = {"llama": 0, "qwen2": 0, "qwen3": 128, "qwen3moe": 128}  # the default head_dim; 0 derives it
_MODULES = ATTENTION | FEED_FORWARD
_NAME = re.compile(r"base_model\.model\.(?P<module>.+?)\.lora_(?:embedding_)?(?P<side>[AB])(\.weight)?")
_LAYER = re.compile(r"(?:model\.)?layers\.(\d+)\.(.+)")


class _Pair(NamedTuple):
    """The two small matrices of a module, the first of which is applied first."""

    module: str  # "model.layers.0.self_attn.q_proj"
    a: StoredTensor  # (rank, inputs)
    b: StoredTensor  # (outputs, rank)


@contextmanager
def open_adapter(folder: Path, base: Path | None) -> Iterator[tuple[dict[str, Any], list[Output]]]:
    """The keys and tensors of the adapter's GGUF; ConvertError if it cannot be converted."""
    config = Settings(read_json(folder / ADAPTER_CONFIG), ADAPTER_CONFIG)
    _check_kind(config)
    base_config = read_json(_base_folder(folder, config, base) / "config.json")
    architecture = find_family(base_config).__name__
    if architecture not in _FAMILIES:
        raise ConvertError(f"adapters of {architecture} cannot be converted; those of {', '.join(_FAMILIES)} can")
    sizes = read_sizes(Settings(base_config), head_dim=_FAMILIES[architecture] or None)
    metadata = {
        "general.architecture": architecture,
        "general.type": "adapter",
        "general.name": folder.resolve().name,
        "adapter.type": "lora",
        "adapter.lora.alpha": config.number("lora_alpha"),
    }
    with ExitStack() as stack:
        tensors = open_tensors([folder / ADAPTER_WEIGHTS], stack)
        pairs = _pairs(tensors)
        yield metadata, [output for pair in pairs for output in _outputs(pair, config, sizes, architecture)]


def _check_kind(config: Settings) -> None:
    if config.text("peft_type", "LORA") != "LORA":
        raise config.wrong("peft_type", f"is {config.text('peft_type')}; only LORA adapters can be converted")
    if config.flag("use_dora", False):
        raise config.wrong("use_dora", "is true; merge a DoRA adapter into its model, and convert that")
    if config.number("lora_alpha") == 0:
        raise config.wrong("lora_alpha", "is 0, which makes an adapter that does nothing")
    if config.values.get("modules_to_save"):
        raise config.wrong(
            "modules_to_save", "holds whole matrices; merge the adapter into its model, and convert that"
        )


def _base_folder(folder: Path, config: Settings, base: Path | None) -> Path:
    named = config.values.get("base_model_name_or_path")
    candidates = [base] if base is not None else [folder, *([Path(named)] if isinstance(named, str) else [])]
    for candidate in candidates:
        if (candidate / "config.json").is_file():
            return candidate
    raise ConvertError(
        f"the adapter is of the model {named!r}, whose config.json is needed: give its directory, "
        f"or put the file into {folder.name}"
    )


def _pairs(tensors: Mapping[str, StoredTensor]) -> list[_Pair]:
    sides: dict[str, dict[str, StoredTensor]] = {}
    for name, tensor in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise ConvertError(
                f"{ADAPTER_WEIGHTS}: {name!r} is no matrix of a LoRA; merge the adapter into its model, "
                "and convert that"
            )
        sides.setdefault(match["module"], {})[match["side"]] = tensor
    if not sides:
        raise ConvertError(f"{ADAPTER_WEIGHTS} is empty")
    for module, found in sides.items():
        if len(found) != 2:
            raise ConvertError(f"{ADAPTER_WEIGHTS}: {module} has only lora_{next(iter(found))} of the two matrices")
    return [_Pair(module, found["A"], found["B"]) for module, found in sides.items()]


def _outputs(pair: _Pair, config: Settings, sizes: Sizes, architecture: str) -> Iterator[Output]:
    name, (n_out, n_in), n_heads = _target(pair.module, sizes, architecture)
    rank = pair.a.shape[0] if pair.a.shape else 0
    if pair.a.shape != (rank, n_in) or pair.b.shape != (n_out, rank) or rank == 0:
        raise ConvertError(
            f"{ADAPTER_WEIGHTS}: {pair.module} has matrices of shape {list(pair.a.shape)} and {list(pair.b.shape)}, "
            f"which do not make {[n_out, n_in]}: the adapter is of another model"
        )
    a: Rows = pair.a
    b: Rows = pair.b
    if architecture == "llama" and n_heads:
        b = Reordered(b, interleaved(n_heads, n_out))
    left_over = _scale(pair.module, config, rank) / (config.number("lora_alpha") / rank)
    if left_over != 1:
        b = Affine(b, scale=left_over)
    # Of embeddings llama.cpp looks up rows of A, as it does of the embeddings themselves.
    yield Output(f"{name}.weight.lora_a", Transposed(a) if name == "token_embd" else a)
    yield Output(f"{name}.weight.lora_b", b)


def _target(module: str, sizes: Sizes, architecture: str) -> tuple[str, tuple[int, int], int]:
    """The adapted tensor's name, its shape as outputs and inputs, and how many rotary heads it puts out."""
    if module in ("lm_head", "model.lm_head"):
        return "output", (sizes.n_vocab, sizes.n_embd), 0
    if module.removeprefix("model.") == "embed_tokens":
        # An embedding is a matrix applied to one-hot vectors, so inputs are tokens.
        return "token_embd", (sizes.n_embd, sizes.n_vocab), 0
    match = _LAYER.fullmatch(module)
    known = ATTENTION if architecture == "qwen3moe" else _MODULES
    if match is None or match[2] not in known or int(match[1]) >= sizes.n_layers:
        raise ConvertError(
            f"{ADAPTER_WEIGHTS}: {module} is no module that can be adapted in {architecture} ({', '.join(known)})"
        )
    return f"blk.{int(match[1])}.{known[match[2]]}", sizes.of_module(match[2]), rotary_heads(sizes, match[2])


def _scale(module: str, config: Settings, rank: int) -> float:
    """What peft multiplies B·A with."""
    alpha = config.number("lora_alpha")
    for pattern, value in config.group("alpha_pattern").values.items():
        # peft takes the keys as patterns too; a stranger's pattern may take for ever.
        if not re.fullmatch(r"[\w.]+", pattern):
            raise config.wrong("alpha_pattern", f"has {pattern!r}; only names of modules can be converted")
        if f".{module}".endswith(f".{pattern}"):
            alpha = Settings({"alpha_pattern": value}, ADAPTER_CONFIG).number("alpha_pattern")
            break
    return alpha / (math.sqrt(rank) if config.flag("use_rslora", False) else rank)
