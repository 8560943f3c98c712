"""The architectures that can be converted, by the class that config.json names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from power.gguf.convert.bert import bert, nomic_bert
from power.gguf.convert.errors import ConvertError
from power.gguf.convert.gemma import gemma2, gemma3
from power.gguf.convert.llama import llama, mixtral
from power.gguf.convert.phi import phi3
from power.gguf.convert.qwen import qwen2, qwen3, qwen3moe
from power.gguf.convert.settings import Settings
from power.gguf.convert.weights import Model, Weights

Family = Callable[[Settings, Weights], Model]

FAMILIES: dict[str, Family] = {
    "LlamaForCausalLM": llama,
    "LlamaModel": llama,
    "MistralForCausalLM": llama,
    "MistralModel": llama,
    "MixtralForCausalLM": mixtral,
    "Qwen2ForCausalLM": qwen2,
    "Qwen2Model": qwen2,
    "Qwen3ForCausalLM": qwen3,
    "Qwen3Model": qwen3,
    "Qwen3MoeForCausalLM": qwen3moe,
    "Gemma2ForCausalLM": gemma2,
    "Gemma3ForCausalLM": gemma3,
    "Gemma3ForConditionalGeneration": gemma3,
    "Phi3ForCausalLM": phi3,
    "BertModel": bert,
    "BertForMaskedLM": bert,
    "NomicBertModel": nomic_bert,
}


def find_family(config: Mapping[str, Any]) -> Family:
    """How to convert a checkpoint of this configuration.

    Raises:
        ConvertError: it is of an architecture we do not know, or quantised.
    """
    names = config.get("architectures")
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise ConvertError(f"config.json names no architecture: architectures is {names!r}")
    if names[0] not in FAMILIES:
        raise ConvertError(
            f"the architecture {names[0]} is not known; those that can be converted: {', '.join(FAMILIES)}"
        )
    if config.get("quantization_config"):
        raise ConvertError("the checkpoint is quantised already (quantization_config); convert the original one")
    return FAMILIES[names[0]]
