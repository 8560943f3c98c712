"""A model of the store, read and ready to be served."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from power import prompt
from power.gguf.facts import Facts
from power.messages import Message, ToolCall
from power.store.digest import blob_path
from power.store.manifest import MAX_JSON, Layer, Manifest, ManifestError, ModelConfig, decode_json
from power.store.names import Name

# What a file's own template shows; where another template serves, that one says it.
BY_TEMPLATE = ("tools", "thinking")


class StoredModel(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model without loading it."""

    name: Name
    path: Path  # of the GGUF
    digest: str  # sha256 of the manifest file, 64 hex digits
    size: int  # bytes of all its blobs
    modified_at: datetime  # aware, local time
    facts: Facts
    config: ModelConfig
    template: str | None = None  # a Go template, from the Modelfile
    system: str = ""
    params: dict[str, Any] = {}  # option name to JSON value
    messages: tuple[Message, ...] = ()  # go before those of every conversation
    licenses: tuple[str, ...] = ()
    adapters: tuple[Path, ...] = ()
    projectors: tuple[Path, ...] = ()
    draft: Path | None = None  # a smaller model that guesses what this one will say
    draft_head: Path | None = None  # in its place, one that stands on this model's states: kept, and not used
    parent: str = ""  # the model it was made from
    go_template: bool | None = None  # the operator's word on which template serves

    @property
    def family(self) -> str:
        return self.config.model_family or self.facts.architecture

    @property
    def families(self) -> tuple[str, ...]:
        return self.config.model_families or (self.family,)

    @property
    def format(self) -> str:
        return self.config.model_format or "gguf"

    @property
    def parameter_size(self) -> str:
        return self.config.model_type or self.facts.parameter_size

    @property
    def quantization_level(self) -> str:
        said = self.config.file_type
        return self.facts.quantization if said in ("", "unknown") else said

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What may be asked of it, by its config, its file, the template that serves it and its projectors."""
        of_template = prompt.capabilities(self)
        found = [*(self.config.capabilities or ()), *of_template]
        found += (name for name in self.facts.capabilities if name not in BY_TEMPLATE)
        if self.projectors:
            found.append("vision")
        return tuple(dict.fromkeys(found))


class _StoredCall(msgspec.Struct, frozen=True):
    name: str
    arguments: dict[str, Any] = {}


class _StoredToolCall(msgspec.Struct, frozen=True):
    function: _StoredCall
    id: str = ""


class _StoredMessage(msgspec.Struct, frozen=True):
    """An entry of the messages layer, as Ollama's JSON writes it."""

    role: str
    content: str = ""
    thinking: str = ""
    tool_calls: tuple[_StoredToolCall, ...] = ()

    def message(self) -> Message:
        calls = tuple(ToolCall(name=c.function.name, arguments=c.function.arguments, id=c.id) for c in self.tool_calls)
        return Message(role=self.role, content=self.content, thinking=self.thinking, tool_calls=calls)


class Layers:
    """The blobs of one manifest, read by kind.

    Every method raises ManifestError where a blob is missing or broken.
    """

    def __init__(self, models_dir: Path, manifest: Manifest) -> None:
        self._models_dir = models_dir
        self._manifest = manifest

    def paths(self, *kinds: str) -> tuple[Path, ...]:
        return tuple(self._path(layer) for layer in self._manifest.of_kind(*kinds))

    def texts(self, *kinds: str) -> tuple[str, ...]:
        return tuple(self._read(layer).decode("utf-8", "replace") for layer in self._manifest.of_kind(*kinds))

    def last_text(self, *kinds: str) -> str | None:
        return next(reversed(self.texts(*kinds)), None)

    def config(self) -> ModelConfig:
        return decode_json(self._read(self._manifest.config), ModelConfig, "the config blob")

    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for layer in self._manifest.of_kind("params"):
            params |= decode_json(self._read(layer), dict[str, Any], "the params layer")
        return params

    def messages(self) -> tuple[Message, ...]:
        layers = self._manifest.of_kind("messages")
        stored = [decode_json(self._read(layer), tuple[_StoredMessage, ...], "the messages layer") for layer in layers]
        return tuple(entry.message() for entries in stored for entry in entries)

    def _path(self, layer: Layer) -> Path:
        path = blob_path(self._models_dir, layer.digest)
        if not path.is_file():
            raise ManifestError(f"its {layer.kind} blob {layer.digest[:19]}… is missing")
        return path

    def _read(self, layer: Layer) -> bytes:
        with self._path(layer).open("rb") as file:
            data = file.read(MAX_JSON + 1)
        if len(data) > MAX_JSON:
            raise ManifestError(f"its {layer.kind} blob has more than {MAX_JSON} bytes")
        return data


def read_model(
    name: Name, manifest: Manifest, digest: str, modified_at: datetime, models_dir: Path, facts: Callable[[Path], Facts]
) -> StoredModel:
    """Raises ManifestError, GGUFError or OSError."""
    layers = Layers(models_dir, manifest)
    config = layers.config()
    paths, drafts = layers.paths("model"), layers.paths("draft")
    if not paths:
        raise ManifestError("it has no model layer" + (", its model is remote" if config.remote_model else ""))
    draft = drafts[0] if drafts else None
    is_head = draft is not None and not facts(draft).stands_alone
    return StoredModel(
        name=name,
        path=paths[0],
        digest=digest,
        size=manifest.size,
        modified_at=modified_at,
        facts=facts(paths[0]),
        config=config,
        template=layers.last_text("template", "prompt"),
        system=layers.last_text("system") or "",
        params=layers.params(),
        messages=layers.messages(),
        licenses=layers.texts("license"),
        adapters=layers.paths("adapter"),
        projectors=layers.paths("projector"),
        draft=None if is_head else draft,
        draft_head=draft if is_head else None,
        parent=manifest.of_kind("model")[0].source,
    )
