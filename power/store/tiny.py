"""`tiny`, the model that is in every store without a pull.

Its GGUF comes with the package.  When it is first asked for, it is written into
the store as Ollama would have pulled it: a model blob, a config blob and the
manifest `registry.ollama.ai/library/tiny/latest`, in that order, so that the
manifest never points to what is not there.

The config blob is marked `power_embedded`.  A manifest of that name whose
config has the mark and which has nothing but the model is ours, and replaced
when a newer Power brings another file; any other was made by somebody else, and
stays.  The blobs of a replaced one are left to pruning: another name may share them.

A store that cannot be written to serves the packaged file from its own place.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from functools import cached_property
from io import BytesIO
from pathlib import Path

import msgspec

from power.gguf.facts import Facts, read_facts
from power.store.digest import blob_path, digest_of, digest_of_file
from power.store.files import write_whole
from power.store.manifest import CONFIG_TYPE, LAYER_TYPE, MAX_JSON, Layer, Manifest, ModelConfig, decode_json
from power.store.model import StoredModel
from power.store.names import Name, parse_name

log = logging.getLogger(__name__)

PACKAGED = Path(__file__).parents[1] / "data" / "tiny.gguf"
NAME = parse_name("tiny")


class Tiny:
    """The packaged model, and how it gets into the store at `models_dir`."""

    def __init__(self, models_dir: Path, packaged: Path = PACKAGED) -> None:
        self.name: Name = NAME
        self._models_dir = models_dir
        self._packaged = packaged

    @property
    def is_packaged(self) -> bool:
        """False in a checkout where it has not been trained yet."""
        return self._packaged.is_file()

    @property
    def manifest_path(self) -> Path:
        return self._models_dir.joinpath("manifests", *NAME.parts)

    def is_ours(self, data: bytes) -> bool:
        """Whether these bytes of the manifest were written by Power, of this version or another.

        Raises:
            ManifestError: they are no manifest.
            OSError, BadRequest: the config blob cannot be read.
        """
        manifest = decode_json(data, Manifest, "the manifest")
        if [layer.kind for layer in manifest.layers] != ["model"] or manifest.config.size > MAX_JSON:
            return False
        blob = blob_path(self._models_dir, manifest.config.digest).read_bytes()
        return decode_json(blob, ModelConfig, "the config blob").power_embedded == NAME.model

    def is_current(self, data: bytes) -> bool:
        """Whether these are the bytes of the manifest that belongs to the packaged file, its blobs in place."""
        return data == self._manifest_bytes and all(
            _size(blob_path(self._models_dir, layer.digest)) == layer.size
            for layer in (self._manifest.config, *self._manifest.layers)
        )

    @property
    def digests(self) -> list[str]:
        """Of the blobs that `write` writes."""
        return [layer.digest for layer in (self._manifest.config, *self._manifest.layers)]

    def write(self) -> None:
        """Write the packaged model into the store; OSError if that cannot be."""
        with self._packaged.open("rb") as file:
            write_whole(blob_path(self._models_dir, self._manifest.layers[0].digest), file)
        write_whole(blob_path(self._models_dir, self._manifest.config.digest), BytesIO(self._config_bytes))
        write_whole(self.manifest_path, BytesIO(self._manifest_bytes))
        log.info("wrote the embedded model %s into the store at %s", NAME, self._models_dir)

    def in_place(self) -> StoredModel:
        """The model as it is in the package, whether or not it is in the store."""
        return StoredModel(
            name=NAME,
            path=self._packaged,
            digest=digest_of(self._manifest_bytes).removeprefix("sha256:"),
            size=self._manifest.size,
            modified_at=datetime.fromtimestamp(self._packaged.stat().st_mtime).astimezone(),
            facts=self._facts,
            config=self._config,
        )

    @cached_property
    def _facts(self) -> Facts:
        return read_facts(self._packaged)

    @cached_property
    def _config(self) -> ModelConfig:
        return ModelConfig(
            model_format="gguf",
            model_family=self._facts.architecture,
            model_families=(self._facts.architecture,),
            model_type=self._facts.parameter_size,
            file_type=self._facts.quantization,
            architecture="amd64",  # what Ollama writes everywhere
            os="linux",
            power_embedded=NAME.model,
        )

    @cached_property
    def _config_bytes(self) -> bytes:
        return msgspec.json.encode(self._config)

    @cached_property
    def _manifest(self) -> Manifest:
        with self._packaged.open("rb") as file:
            digest, size = digest_of_file(file), os.fstat(file.fileno()).st_size
        config = Layer(media_type=CONFIG_TYPE, digest=digest_of(self._config_bytes), size=len(self._config_bytes))
        return Manifest(config=config, layers=(Layer(media_type=LAYER_TYPE + "model", digest=digest, size=size),))

    @cached_property
    def _manifest_bytes(self) -> bytes:
        return msgspec.json.encode(self._manifest)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
