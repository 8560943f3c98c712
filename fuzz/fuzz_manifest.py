# Invariant: any bytes are a manifest with true digests and possible sizes, or are refused for what they are not.
"""Mutates a manifest, a config, a record of a download's part and a registry's challenge."""

import random
import tempfile
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import mutate

from power.errors import RegistryError
from power.store import blob_path
from power.store.auth import parse_challenge
from power.store.manifest import CONFIG_TYPE, LAYER_TYPE, Layer, Manifest, ManifestError, ModelConfig, decode_json
from power.store.manifests import digests_in
from power.store.parts import load, partial_path, record_path
from power.store.pulling import blobs_of
from power.store.registry import retry_after

MANIFEST = msgspec.json.encode(
    Manifest(
        config=Layer(media_type=CONFIG_TYPE, digest=f"sha256:{'a' * 64}", size=400),
        layers=(
            Layer(media_type=LAYER_TYPE + "model", digest=f"sha256:{'b' * 64}", size=2**33, source="library/x"),
            Layer(media_type=LAYER_TYPE + "params", digest=f"sha256:{'c' * 64}", size=20, name="p"),
        ),
    )
)
CONFIG = msgspec.json.encode(ModelConfig(model_format="gguf", model_families=("llama",), model_type="3.2B"))
RECORD = b'{"N":0,"Offset":0,"Size":100,"Completed":50,"Version":"x"}'
CHALLENGE = b'Bearer realm="https://host:5000/token?a=b",service="here",scope="repository:a/b:pull,push c"'
DATE = b"Wed, 21 Oct 2026 07:28:00 GMT"
MODELS = Path("/models")


def check(rng: random.Random) -> None:
    manifest(mutate.mutate(MANIFEST, rng))
    challenge(mutate.mutate(CHALLENGE, rng).decode("latin-1"))
    record(mutate.mutate(RECORD, rng))
    assert (retry_after(mutate.mutate(DATE, rng).decode("latin-1")) or 0) >= 0
    with suppress(ManifestError):
        decode_json(mutate.mutate(CONFIG, rng), ModelConfig, "the config")


def manifest(data: bytes) -> None:
    try:
        for layer in blobs_of(data):
            assert blob_path(MODELS, layer.digest).parent == MODELS / "blobs"
            assert layer.size >= 0
        for digest in digests_in(data):
            assert blob_path(MODELS, f"sha256:{digest}").parent == MODELS / "blobs"
    except (RegistryError, ManifestError):
        pass


def challenge(header: str) -> None:
    found = parse_challenge(header)
    if found is not None:
        try:
            found.check("https://host:5000")
        except RegistryError:
            return
        url = httpx.URL(found.url(0, "n"))
        assert (url.scheme, url.host, url.port) == ("https", "host", 5000)


def record(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        blob = Path(folder) / f"sha256-{'0' * 64}"
        partial_path(blob).write_bytes(bytes(100))
        record_path(blob, 0).write_bytes(data)
        found = load(blob, 100, "x")
    if found is not None:
        (part,) = found
        assert (part.offset, part.size) == (0, 100)
        assert 0 <= part.completed <= 100


if __name__ == "__main__":
    mutate.run(check)
