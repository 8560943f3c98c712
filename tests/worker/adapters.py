"""A LoRA adapter of the models in `models.py`, and the same thing merged into the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from power.gguf import array_source, open_gguf, write_gguf

RANK, ALPHA = 4, 8.0


def write_adapter(path: Path, model: Path, merged: Path) -> Path:
    """An adapter of every attention output; `merged` gets the model with it at scale 1."""
    base = open_gguf(model)
    rng = np.random.default_rng(3)
    tensors, changed = [], {}
    for name in (name for name in base.tensors if name.endswith("attn_output.weight")):
        n_out, n_in = base.tensors[name].array_shape
        a = rng.normal(0, 0.5, (RANK, n_in)).astype(np.float32)
        b = rng.normal(0, 0.5, (n_out, RANK)).astype(np.float32)
        tensors += [array_source(f"{name}.lora_a", a), array_source(f"{name}.lora_b", b)]
        changed[name] = base.tensor(name) + ALPHA / RANK * b @ a
    metadata: dict[str, str | float] = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": ALPHA,
    }
    write_gguf(path, metadata, tensors)
    write_gguf(
        merged,
        base.metadata.encoded(),
        [array_source(name, changed[name]) if name in changed else base.source(name) for name in base.tensors],
    )
    return path
