"""How an embedding model makes one embedding of a text's, as sentence-transformers says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from power.gguf.convert.documents import parse_json, read_bytes, read_json
from power.gguf.convert.errors import ConvertError

# enum llama_pooling_type, include/llama.h
_POOLING = {"mean": 1, "cls": 2, "lasttoken": 3}


def pooling_type(folder: Path) -> int | None:
    """How sentence-transformers makes one embedding of a text's, as llama.cpp numbers it; None if nothing says so.

    Raises:
        ConvertError: in a way that llama.cpp does not know.
    """
    if not (folder / "modules.json").exists():
        return None
    config = next((read_json(path / "config.json") for path in _pooling_folders(folder)), None)
    if config is None:
        return None
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "lasttoken": "pooling_mode_lasttoken"}
    chosen = [mode for mode, key in modes.items() if config.get(key) is True or config.get("pooling_mode") == mode]
    others = [
        key
        for key, value in config.items()
        if value is True and key.startswith("pooling_mode_") and key not in modes.values()
    ]
    if len(chosen) != 1 or others:
        raise ConvertError(
            f"the pooling is {chosen + others or config.get('pooling_mode')}; llama.cpp knows one of {', '.join(modes)}"
        )
    return _POOLING[chosen[0]]


def _pooling_folders(folder: Path) -> Iterator[Path]:
    modules = parse_json(read_bytes(folder / "modules.json"), "modules.json")
    for module in modules if isinstance(modules, list) else []:
        path = module.get("path") if isinstance(module, dict) else None
        if isinstance(path, str) and str(module.get("type")).endswith("Pooling"):
            if "/" in path or "\\" in path or path in ("", ".", ".."):
                raise ConvertError(f"modules.json names {path!r}, which is no folder of the checkpoint's own")
            yield folder / path
