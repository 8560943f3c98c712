"""Push, delete, pull back: against a real registry, and against the fake one that other tests rely on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from power.errors import BadRequest, RegistryError, StoreError
from power.store import Progress, Store, pull
from tests.store.conftest import Shelf
from tests.store.moving import pulled, pushed
from tests.store.registries import CountingProxy, docker_registry, fake_registry
from tests.worker.models import write_model


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(params=["docker-registry", "fake"])
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "docker-registry":
        yield request.getfixturevalue("real")
        return
    with fake_registry() as server:
        yield server.host


def contents(models_dir: Path) -> dict[str, bytes]:
    paths = [path for folder in ("blobs", "manifests") for path in (models_dir / folder).rglob("*")]
    return {str(path.relative_to(models_dir)): path.read_bytes() for path in paths if path.is_file()}


async def test_what_is_pushed_and_deleted_comes_back_byte_for_byte(
    store: Store, shelf: Shelf, host: str, tmp_path: Path
) -> None:
    draft = write_model(tmp_path / "draft.gguf").read_bytes()
    shelf.model(f"{host}/team/model/v1", ("system", "Be brief."), ("params", {"stop": ["x"]}), ("draft", draft))
    before = contents(shelf.models_dir)

    await pushed(store, f"{host}/team/model:v1")
    store.delete(f"{host}/team/model:v1")
    assert contents(shelf.models_dir) == {}
    events = await pulled(store, f"{host}/team/model:v1")

    assert contents(shelf.models_dir) == before
    model = store.find(f"{host}/team/model:v1")
    assert model.system == "Be brief."
    assert model.draft is not None
    assert model.draft.read_bytes() == draft
    assert events[0].status == "pulling manifest"
    assert [event.status for event in events][-3:] == ["verifying sha256 digest", "writing manifest", "success"]


async def test_every_layer_and_then_the_config_report_until_they_are_there(
    store: Store, shelf: Shelf, host: str
) -> None:
    path = shelf.model(f"{host}/team/reported/v1", ("system", "Be brief."))
    manifest = json.loads(path.read_bytes())
    blobs = [*manifest["layers"], manifest["config"]]

    up = await pushed(store, f"{host}/team/reported:v1")
    store.delete(f"{host}/team/reported:v1")
    down = await pulled(store, f"{host}/team/reported:v1")

    for word, events in (("pushing", up), ("pulling", down)):
        last = {event.digest: event for event in events if event.digest}
        assert list(last) == [blob["digest"] for blob in blobs]
        for blob in blobs:
            done = Progress(f"{word} {blob['digest'][7:19]}", blob["digest"], blob["size"], blob["size"])
            assert last[blob["digest"]] == done
    assert [event.status for event in up if not event.digest] == ["retrieving manifest", "pushing manifest", "success"]


async def test_a_second_pull_downloads_nothing_but_the_manifest(store: Store, shelf: Shelf, host: str) -> None:
    with CountingProxy(host) as proxy:
        size = len(shelf.model(f"{proxy.host}/team/twice/v1").read_bytes())
        await pushed(store, f"{proxy.host}/team/twice:v1")
        store.delete(f"{proxy.host}/team/twice:v1")
        await pulled(store, f"{proxy.host}/team/twice:v1")
        first, proxy.n_bytes = proxy.n_bytes, 0

        events = await pulled(store, f"{proxy.host}/team/twice:v1")

    assert first > len(shelf.packaged.read_bytes())
    assert proxy.n_bytes < size + 2000
    assert [event.completed for event in events if event.digest] == [event.total for event in events if event.digest]


async def test_a_second_push_sends_nothing(store: Store, shelf: Shelf) -> None:
    with fake_registry() as server:
        shelf.model(f"{server.host}/team/again/v1")
        await pushed(store, f"{server.host}/team/again:v1")
        server.seen.clear()

        await pushed(store, f"{server.host}/team/again:v1")

        assert server.requests("PATCH", "") + server.requests("POST", "") == []


async def test_a_push_may_go_elsewhere(store: Store, shelf: Shelf, host: str) -> None:
    shelf.model("registry.ollama.ai/library/mine/latest", ("system", "Be brief."))

    await pushed(store, "mine", destination=f"http://{host}")
    await pushed(store, "mine", destination=f"{host}/other/name:v2")
    await pulled(store, f"{host}/library/mine")
    await pulled(store, f"{host}/other/name:v2")

    assert store.find(f"{host}/library/mine").digest == store.find("mine").digest
    assert store.find(f"{host}/other/name:v2").digest == store.find("mine").digest


async def test_a_layer_taken_from_another_model_is_mounted(store: Store, shelf: Shelf, real: str) -> None:
    with CountingProxy(real) as proxy:
        path = shelf.model(f"{proxy.host}/team/base/v1", ("license", "x" * 50_000))
        await pushed(store, f"{proxy.host}/team/base:v1")
        manifest = json.loads(path.read_bytes())
        for layer in manifest["layers"]:
            layer["from"] = f"{proxy.host}/team/base:v1"
        shelf.manifest(f"{proxy.host}/team/derived/v1", json.dumps(manifest).encode())
        proxy.n_sent = 0

        await pushed(store, f"{proxy.host}/team/derived:v1")

    assert proxy.n_sent < 50_000


async def test_a_model_that_the_registry_does_not_have(store: Store, host: str) -> None:
    with pytest.raises(RegistryError, match=r"^pull model manifest: file does not exist$"):
        await pulled(store, f"{host}/team/nothing:v1")


async def test_a_model_that_is_not_here_cannot_be_pushed(store: Store, host: str) -> None:
    with pytest.raises(StoreError, match=r"^open manifests/.*/team/nothing/v1: no such file or directory$"):
        await pushed(store, f"{host}/team/nothing:v1")


@pytest.mark.parametrize("name", ["http://127.0.0.1:1/team/model:v1", "http://127.0.0.1:1/x.gguf"])
async def test_plain_http_is_for_those_who_ask_for_it(store: Store, name: str) -> None:
    with pytest.raises(BadRequest, match=r"^insecure protocol http$"):
        async with pull(store, name):
            pass


@pytest.mark.parametrize("name", ["", "a b", "../x", "ftp://host/a/b:c", "http://[/x.gguf", "https://host/.gguf"])
async def test_an_invalid_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(BadRequest, match=r"^invalid model name$"):
        async with pull(store, name, insecure=True):
            pass


async def test_a_pulled_name_keeps_the_spelling_that_is_there(store: Store, shelf: Shelf) -> None:
    with fake_registry() as server:
        path = shelf.model(f"{server.host}/Team/Model/v1")
        await pushed(store, f"{server.host}/team/model:v1")
        assert list(server.manifests) == ["team/model:v1"]
        server.manifests["Team/Model:v1"] = server.manifests["team/model:v1"]
        path.write_bytes(path.read_bytes() + b"\n")

        await pulled(store, f"{server.host}/team/model:v1")

        assert hashlib.sha256(path.read_bytes()).hexdigest() == store.find(f"{server.host}/team/model:v1").digest
        assert not path.read_bytes().endswith(b"\n")
