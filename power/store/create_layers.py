"""The layers and the config of a model that is being made.

What the request says goes over what the base model had: a template, a system
message and messages replace the base's, parameters are merged key by key,
licenses are added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from power.gguf import Facts
from power.messages import Message
from power.store.create_files import Part
from power.store.create_request import CreateRequest
from power.store.create_templates import Template
from power.store.manifest import CONFIG_TYPE, LAYER_TYPE, Layer, Manifest, ModelConfig
from power.store.store import Store
from power.store.transfers import Progress, Report

# The order of layers in a manifest; a reader may rely on licenses coming in theirs.
_ORDER = ("model", "projector", "adapter", "draft", "template", "prompt", "system", "params", "messages", "license")


class Base(NamedTuple):
    """The model to start from."""

    name: str  # for people, and for the layers' `from`
    layers: tuple[Layer, ...]
    config: ModelConfig
    params: dict[str, Any]

    def without(self, *kinds: str) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.kind not in kinds)


NO_BASE = Base("", (), ModelConfig(), {})


class Assembly:
    """Collects layers, storing what is new; blocks, in a thread."""

    def __init__(self, store: Store, base: Base, say: Report) -> None:
        self._store = store
        self._say = say
        self._base = base
        self.layers: list[Layer] = []

    def inherit(self, *replaced: str) -> None:
        """The base's layers but for those kinds."""
        for layer in self._base.without(*replaced):
            self._say(Progress(status=f"using existing layer {layer.digest}"))
            self.layers.append(msgspec.structs.replace(layer, source=layer.source or self._base.name))

    def add_part(self, part: Part) -> None:
        digest, size = self._store.add_file(part.path) if not part.digest else (part.digest, part.path.stat().st_size)
        self._add(part.role, digest, size)

    def add_text(self, kind: str, text: str) -> None:
        self._add(kind, *self._store.add_bytes(text.encode()))

    def add_json(self, kind: str, value: Any) -> None:
        self._add(kind, *self._store.add_bytes(msgspec.json.encode(value)))

    def _add(self, kind: str, digest: str, size: int) -> None:
        self._say(Progress(status=f"creating new layer {digest}"))
        self.layers.append(Layer(media_type=LAYER_TYPE + kind, digest=digest, size=size))

    def manifest(self, config: ModelConfig) -> Manifest:
        digest, size = self._store.add_bytes(msgspec.json.encode(config))
        self._say(Progress(status=f"creating new layer {digest}"))
        layers = sorted(self.layers, key=lambda layer: _rank(layer.kind))
        return Manifest(config=Layer(media_type=CONFIG_TYPE, digest=digest, size=size), layers=tuple(layers))


def assemble(
    store: Store, request: CreateRequest, base: Base, parts: Sequence[Part], found: Template | None, say: Report
) -> Manifest:
    """The manifest of the model; its new blobs are in the store, for nobody yet to see.

    Raises:
        StoreError: the disk does not take it.
    """
    assembly = Assembly(store, base, say)
    params = base.params | ({"stop": list(found.stop)} if found else {}) | request.parameters
    assembly.inherit(*_replaced(request, parts, params != base.params))
    for part in parts:
        assembly.add_part(part)
    if found:
        say(Progress(status=f"using autodetected template {found.name}"))
    for kind, text in (("template", request.template or (found and found.text)), ("system", request.system)):
        if text:
            assembly.add_text(kind, text)
    if params != base.params:
        assembly.add_json("params", params)
    if request.messages:
        assembly.add_json("messages", [_stored(message) for message in request.messages])
    for text in request.licenses:
        assembly.add_text("license", text)
    return assembly.manifest(config_of(request, base.config, parts))


def config_of(request: CreateRequest, base: ModelConfig, parts: Iterable[Part]) -> ModelConfig:
    """What kind of model it is: by the base, then the files, then what the request says."""
    config = msgspec.structs.replace(base, architecture="amd64", os="linux", power_embedded="")
    for part in parts:
        if part.role == "model":
            config = _described(config, part.facts)
    if any(part.role == "projector" for part in parts) and "clip" not in (config.model_families or ()):
        config = msgspec.structs.replace(config, model_families=(*(config.model_families or ()), "clip"))
    given = {
        "renderer": request.renderer,
        "parser": request.parser,
        "requires": request.requires,
        "capabilities": tuple(request.info["capabilities"]) if "capabilities" in request.info else None,
        "model_family": request.info.get("model_family"),
        "base_name": request.info.get("base_name"),
        "file_type": request.info.get("quantization_level"),
        "model_type": request.info.get("parameter_size"),
        "context_length": request.info.get("context_length"),
        "embedding_length": request.info.get("embedding_length"),
    }
    return msgspec.structs.replace(config, **{key: value for key, value in given.items() if value is not None})


def _described(config: ModelConfig, facts: Facts) -> ModelConfig:
    return msgspec.structs.replace(
        config,
        model_format="gguf",
        model_family=facts.architecture,
        model_families=(facts.architecture,),
        model_type=facts.parameter_size,
        file_type=facts.quantization,
        context_length=facts.n_ctx_train,
        embedding_length=facts.embedding_length,
    )


def _replaced(request: CreateRequest, parts: Iterable[Part], has_params: bool) -> list[str]:
    """The kinds of layers that the base's are dropped of."""
    kinds = [part.role for part in parts if part.role != "adapter"]
    said = {
        "template": request.template is not None,
        "prompt": request.template is not None,
        "system": request.system is not None,
        "params": has_params,
        "messages": bool(request.messages),
    }
    return [*kinds, *(kind for kind, is_said in said.items() if is_said)]


def _stored(message: Message) -> dict[str, Any]:
    """A message as Ollama's messages layer has it."""
    entry: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        entry["thinking"] = message.thinking
    if message.tool_calls:
        entry["tool_calls"] = [
            {"function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls
        ]
    return entry


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
