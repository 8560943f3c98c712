"""`power gguf show`: what a file says, as tables or as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from power.cli.gguf_edit import plain
from power.cli.gguf_files import open_file
from power.cli.tables import section
from power.gguf import GGUF, Facts, Field, ValueType, facts_of
from power.gguf.memory import human_size

FEW = 3  # items of an array that the table shows
SHORT = 80  # characters of a value that it shows
MAX_JSON_ITEMS = 1024  # of an array; a vocabulary has a quarter of a million
FIELDS = {
    "architecture": "architecture",
    "name": "name",
    "parameters": "n_params",
    "quantization": "quantization",
    "context length": "n_ctx_train",
    "embedding length": "embedding_length",
    "layers": "n_layers",
    "heads": "n_heads",
    "KV heads": "n_heads_kv",
    "tokenizer": "tokenizer",
}


def show_file(file: str, *, tensors: bool, as_json: bool) -> None:
    gguf = open_file(file)
    facts = facts_of(gguf)
    if as_json:
        json.dump(as_object(gguf, facts), sys.stdout, ensure_ascii=False, indent=2)
        print()
        return
    print(overview(gguf, facts, tensors=tensors), end="")


def overview(gguf: GGUF, facts: Facts, *, tensors: bool) -> str:
    every = [(t.name, t.type.name, _dims(t.shape), human_size(t.n_bytes)) for t in gguf.tensors.values()]
    return "".join(
        [
            section("File", _file(gguf)),
            section("Model", list(_model(facts))),
            section("Capabilities", list(_capabilities(facts))),
            section("Metadata", [(key, *_described(gguf, key)) for key in gguf.metadata]),
            section("Tensors", every if tensors else list(_by_type(gguf))),
        ]
    )


def as_object(gguf: GGUF, facts: Facts) -> dict[str, Any]:
    """Everything, as JSON can say it."""
    return {
        "path": str(gguf.path),
        "files": [str(file.path) for file in gguf.files],
        "size": gguf.size,
        "version": gguf.version,
        "byte_order": "big" if gguf.big_endian else "little",
        "alignment": gguf.alignment,
        "facts": {name: getattr(facts, name) for name in facts.__struct_fields__ if name != "evidence"},
        "evidence": {e.fact: {"source": e.source, "text": e.text} for e in facts.evidence},
        "metadata": {key: _json_value(gguf, key) for key in gguf.metadata},
        "tensors": [
            {"name": t.name, "type": t.type.name, "shape": t.shape, "file": t.part, "start": t.start, "size": t.n_bytes}
            for t in gguf.tensors.values()
        ],
    }


def _file(gguf: GGUF) -> list[tuple[str, str]]:
    return [
        ("path", str(gguf.path)),
        ("size", human_size(gguf.size) + (f" in {len(gguf.files)} files" if len(gguf.files) > 1 else "")),
        ("format", f"GGUF {gguf.version}, {'big' if gguf.big_endian else 'little'}-endian"),
        ("alignment", str(gguf.alignment)),
    ]


def _model(facts: Facts) -> Iterator[tuple[str, str, str]]:
    yield "kind", facts.kind, ""
    for title, field in FIELDS.items():
        value = facts.parameter_size if field == "n_params" else getattr(facts, field)
        if value:
            evidence = facts.why(field)
            yield title, str(value), evidence.source if evidence else ""


def _capabilities(facts: Facts) -> Iterator[tuple[str, str]]:
    for name in facts.capabilities:
        yield name, str(facts.why(name) or "")


def _by_type(gguf: GGUF) -> Iterator[tuple[str, str, str]]:
    counts = Counter(info.type.name for info in gguf.tensors.values())
    for name, count in counts.most_common():
        size = sum(info.n_bytes for info in gguf.tensors.values() if info.type.name == name)
        yield name, f"{count} tensors", human_size(size)


def _described(gguf: GGUF, key: str) -> tuple[str, str]:
    """The type of a value and the value, short."""
    field = gguf.metadata.field(key)
    if field.item_type is None:
        return field.type.name.lower(), _short(_text(gguf.metadata[key], field.type))
    few = ", ".join(_short(_text(item, field.item_type), 20) for item in plain(_first(gguf, key, field)))
    return f"{field.item_type.name.lower()}[{field.n_items}]", f"[{few}{', …' if field.n_items > FEW else ''}]"


def _text(value: Any, kind: ValueType) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.7g}" if kind is ValueType.FLOAT32 else str(value)  # what a float32 can say


def _first(gguf: GGUF, key: str, field: Field) -> Any:
    """The first items of an array; of strings, not all the others are decoded for it."""
    if field.item_type is not None and field.item_type.name == "STRING":
        return [gguf.metadata.string_at(key, index) for index in range(min(FEW, field.n_items))]
    value: Any = gguf.metadata[key]
    return value[:FEW]


def _json_value(gguf: GGUF, key: str) -> Any:
    field = gguf.metadata.field(key)
    if field.n_items > MAX_JSON_ITEMS and field.item_type is not None:
        return {"type": f"{field.item_type.name.lower()}[{field.n_items}]", "first": plain(_first(gguf, key, field))}
    return plain(gguf.metadata[key])


def _short(text: str, n_chars: int = SHORT) -> str:
    line = " ".join(text.split()) if "\n" in text else text
    return line if len(line) <= n_chars else line[: n_chars - 1] + "…"


def _dims(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
