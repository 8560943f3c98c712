"""Manifests and config blobs: what a model in the store is made of.

A manifest lists layers, each a blob of one media type; its config blob says
what kind of model they make.  Both are JSON, read as Ollama writes them.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."  # + "model", "template", …

MAX_JSON = 2**22  # bytes of a manifest, config or other text layer; ours, they have a few thousand

T = TypeVar("T")


class ManifestError(Exception):
    """A manifest or what it points to is not as it should be."""


class Layer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"media_type": "mediaType"}):
    """One blob and what it is for."""

    media_type: str
    digest: str
    size: int  # bytes
    source: str = msgspec.field(default="", name="from")  # the model it was taken from
    name: str = ""

    @property
    def kind(self) -> str:
        """The media type without what all of them begin with: "model", "params", …"""
        return self.media_type.removeprefix(LAYER_TYPE)


class Manifest(
    msgspec.Struct, frozen=True, kw_only=True, rename={"schema_version": "schemaVersion", "media_type": "mediaType"}
):
    """The file `manifests/<host>/<namespace>/<model>/<tag>`."""

    schema_version: int = 2
    media_type: str = MANIFEST_TYPE
    config: Layer
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return self.config.size + sum(layer.size for layer in self.layers)

    def of_kind(self, *kinds: str) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.kind in kinds)


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The config blob. Sizes and types here are the words people see ("3.2B", "Q4_K_M")."""

    model_format: str = ""
    model_family: str = ""
    model_families: tuple[str, ...] | None = None
    model_type: str = ""
    file_type: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    capabilities: tuple[str, ...] | None = None
    context_length: int = 0
    embedding_length: int = 0
    base_name: str = ""
    architecture: str = ""
    os: str = ""
    # Ours; Ollama passes over it. What Power itself brought along, see tiny.py.
    power_embedded: str = ""


def decode_json(data: bytes, kind: type[T], what: str) -> T:
    """JSON as `kind`, with other fields passed over; ManifestError with `what` and where."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ManifestError(f"{what} is broken: {error}") from error
