"""Models from a GGUF's URL, from Hugging Face, and well-known ones when the default registry fails."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.errors import BadRequest, RegistryError
from power.store import Store, parse_name
from power.store.sources import KNOWN, FileSource, Source, file_name, known_source, source_of
from tests.store.conftest import Shelf
from tests.store.moving import QUICK, pulled
from tests.store.registries import CountingProxy, FakeRegistry, Handler


def serve_file(fake: FakeRegistry, data: bytes, **headers: str) -> None:
    def fault(request: Handler) -> bool:
        if not request.path.startswith("/files/"):
            return False
        if headers:
            request.answer(302, b"", Location=request.path.replace("/files/", "/moved/"), **headers)
        else:
            request.send(data)
        return True

    fake.fault = lambda request: fault(request) or (request.path.startswith("/moved/") and request.send(data))


async def test_a_file_becomes_a_model_named_after_it(store: Store, shelf: Shelf, fake: FakeRegistry) -> None:
    data = shelf.packaged.read_bytes()
    serve_file(fake, data)

    events = await pulled(store, f"http://{fake.host}/files/some-model.Q4_K_M.gguf?download=true")

    model = store.find("some-model:q4_k_m")
    assert model.path.read_bytes() == data
    assert (str(model.name), model.family) == ("some-model:Q4_K_M", "llama")
    assert events[-1].status == "success"
    assert not list(store.blobs.folder.glob("*partial*"))


async def test_a_file_is_pulled_once(store: Store, shelf: Shelf, fake: FakeRegistry) -> None:
    data = shelf.packaged.read_bytes()
    serve_file(fake, data, X_Linked_Etag=f'"{hashlib.sha256(data).hexdigest()}"')
    with CountingProxy(fake.host) as proxy:
        await pulled(store, f"http://{proxy.host}/files/some-model.gguf")
        proxy.n_bytes = 0

        await pulled(store, f"http://{proxy.host}/files/some-model.gguf")

        assert proxy.n_bytes < 2000 < len(data)
    assert store.find("some-model")


async def test_a_file_that_is_not_what_its_host_says_is_thrown_away(
    store: Store, shelf: Shelf, fake: FakeRegistry
) -> None:
    serve_file(fake, shelf.packaged.read_bytes(), X_Linked_Etag=f'"{"0" * 64}"')

    with pytest.raises(RegistryError, match="digest mismatch"):
        await pulled(store, f"http://{fake.host}/files/some-model.gguf")
    assert list(store.blobs.folder.glob("*")) == []


@pytest.mark.parametrize("data", [b"<html>not here</html>" * 100, b"GGUF" + bytes(5000), b""])
async def test_a_file_that_is_no_model_is_thrown_away(store: Store, fake: FakeRegistry, data: bytes) -> None:
    serve_file(fake, data)

    with pytest.raises(RegistryError):
        await pulled(store, f"http://{fake.host}/files/some-model.gguf")
    assert list(store.blobs.folder.glob("*")) == []
    assert list(store.manifests.names()) == []


async def test_parts_of_one_version_are_not_completed_with_another(
    store: Store, shelf: Shelf, fake: FakeRegistry
) -> None:
    data = shelf.packaged.read_bytes()
    serve_file(fake, b"x" * len(data))
    ask = fake.fault
    assert ask is not None
    fake.fault = lambda r: r.answer(404) if "bytes=3000" in r.headers.get("Range", "") else ask(r)
    with pytest.raises(RegistryError, match="does not exist"):
        await pulled(store, f"http://{fake.host}/files/some-model.gguf")
    assert list(store.blobs.folder.glob("*-partial-*"))

    serve_file(fake, data)
    await pulled(store, f"http://{fake.host}/files/some-model.gguf")

    assert store.find("some-model").path.read_bytes() == data


async def test_a_host_without_ranges_serves_files_too(store: Store, shelf: Shelf, fake: FakeRegistry) -> None:
    fake.has_ranges = False
    serve_file(fake, shelf.packaged.read_bytes())

    await pulled(store, f"http://{fake.host}/files/some-model.gguf")

    assert store.find("some-model")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://hf.co/a/b/resolve/main/llama-2-7b.Q4_K_M.gguf", "llama-2-7b:Q4_K_M"),
        ("https://example.org/Qwen3-0.6B-f16.gguf", "Qwen3-0.6B:f16"),
        ("https://example.org/x%20y-IQ2_XXS.GGUF?a=b.gguf#c", "x-y:IQ2_XXS"),
        ("https://example.org/model.gguf", "model:latest"),
        ("https://example.org/phi-3-mini-4k.gguf", "phi-3-mini-4k:latest"),
        ("https://example.org/..%2F..%2Fetc.gguf", "etc:latest"),
    ],
)
def test_what_a_file_is_quantised_to_becomes_the_tag(url: str, name: str) -> None:
    assert str(file_name(url)) == name


@given(st.text())
def test_any_url_names_a_model_or_none(text: str) -> None:
    try:
        source = source_of(f"https://host/{text}.gguf")
    except BadRequest:
        return

    assert isinstance(source, FileSource | Source)
    assert parse_name(source.name.full) == source.name


def test_hugging_face_is_a_registry_like_another() -> None:
    source = source_of("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M")

    assert isinstance(source, Source)
    assert source.base == "https://hf.co"
    assert source.repository == "bartowski/Llama-3.2-3B-Instruct-GGUF"
    assert source.name.tag == "Q4_K_M"


def test_every_well_known_model_has_a_valid_place() -> None:
    known = json.loads(KNOWN.read_text())
    assert list(known)
    for name in known:
        source = known_source(parse_name(name))
        assert source is not None
        assert source.base == "https://hf.co"
        assert source.name.tag != "latest"
        assert str(parse_name(name)) == name
    assert known_source(parse_name("hf.co/library/llama3.2:3b")) is None
    assert known_source(parse_name("unheard-of")) is None


async def test_a_well_known_model_comes_from_elsewhere_when_the_registry_fails(
    store: Store, shelf: Shelf, fake: FakeRegistry, tmp_path: Path
) -> None:
    path = shelf.model("registry.ollama.ai/library/llama3.2/3b", ("system", "From elsewhere."))
    fake.manifests["bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M"] = path.read_bytes()
    fake.blobs = {p.name.replace("-", ":"): p.read_bytes() for p in shelf.models_dir.glob("blobs/*")}
    store.delete("llama3.2:3b")
    elsewhere = Source(name=parse_name(f"{fake.host}/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M"), scheme="http")
    nowhere = Source(name=parse_name("llama3.2:3b"), scheme="http")

    with (
        patch("power.store.pulling.source_of", return_value=nowhere),
        patch.object(Source, "base", property(lambda s: f"http://{fake.host if s is elsewhere else '127.0.0.1:1'}")),
        patch("power.store.pulling.known_source", return_value=elsewhere),
    ):
        await pulled(store, "llama3.2:3b", QUICK)

    assert store.find("llama3.2:3b").system == "From elsewhere."
