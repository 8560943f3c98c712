"""What `power show` and `/show` say about a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from power.cli.tables import section
from power.client import Shown

SHORT = 2  # lines of a text that the overview shows
FEW = 3  # items of a list that the metadata show


def overview(shown: Shown, *, verbose: bool = False) -> str:
    """All sections; `verbose` adds metadata and tensors."""
    sections = [
        section("Model", _model(shown)),
        section("Capabilities", [(capability,) for capability in shown.capabilities]),
        section("Memory", _memory(shown.memory)),
        section("Projector", _projector(shown.projector_info)),
        section("Parameters", [_parameter(line) for line in shown.parameters.splitlines() if line.strip()]),
    ]
    if verbose:
        sections += [
            section("Metadata", [(key, _brief(value)) for key, value in sorted(shown.model_info.items())]),
            section("Tensors", [(t.name, t.type, f"[{' '.join(map(str, t.shape))}]") for t in shown.tensors]),
        ]
    sections += [section("System", _head(shown.system)), section("License", _head(shown.license))]
    return "".join(sections)


def part(shown: Shown, what: str) -> str:
    """One part, as it is written in the model: "license", "modelfile", "parameters", "system" or "template"."""
    text = str(getattr(shown, what))
    return text + "\n" if text and not text.endswith("\n") else text


def _model(shown: Shown) -> list[tuple[str, str]]:
    info = shown.model_info
    architecture = str(info.get("general.architecture") or shown.details.family)
    rows = [
        ("architecture", architecture),
        ("parameters", shown.details.parameter_size),
        ("context length", info.get(f"{architecture}.context_length")),
        ("embedding length", info.get(f"{architecture}.embedding_length")),
        ("quantization", shown.details.quantization_level),
        ("requires", shown.requires),
    ]
    return [(name, str(value)) for name, value in rows if value]


def _parameter(line: str) -> tuple[str, str]:
    name, _, value = line.strip().partition(" ")
    return name, value.strip()


def _projector(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    kind = "vision" if info.get("clip.has_vision_encoder") else "audio"
    rows = [
        ("architecture", info.get("general.architecture")),
        ("parameters", info.get("general.parameter_count")),
        ("embedding length", info.get(f"clip.{kind}.embedding_length")),
        ("dimensions", info.get(f"clip.{kind}.projection_dim")),
    ]
    return [(name, str(value)) for name, value in rows if value]


def _memory(memory: Mapping[str, Any]) -> list[tuple[str, str]]:
    """For the context that a request gets which asks for none; a server that is not Power says nothing."""
    if not memory:
        return []
    from power.gguf.memory import human_size

    context = f"KV cache of {memory['num_parallel']} × {memory['context_length']} tokens"
    sizes = [
        ("weights", memory["weights"]),
        (context, memory["kv"]),
        ("states", memory["state"]),
        ("projector", memory["projector"]),
        ("draft model", memory.get("draft", 0)),  # which Powers of before do not say
        ("computing", memory["compute"] + memory["output"]),
        ("total", memory["total"]),
    ]
    return [(name, human_size(size)) for name, size in sizes if size]


def _brief(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    more = f" ...+{len(value) - FEW} more" if len(value) > FEW else ""
    return f"[{' '.join(map(str, value[:FEW]))}{more}]"


def _head(text: str) -> list[tuple[str]]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [(line,) for line in lines[:SHORT] + ["..."] * (len(lines) > SHORT)]
