"""`tiny` is in every store, and in Ollama's layout once it was asked for."""

import hashlib
import json
import logging
import threading
from pathlib import Path
from unittest.mock import patch

import pytest

from power.store import Store, StoredModel
from tests.gguf.files import write_small
from tests.store.conftest import Shelf

MANIFEST = "registry.ollama.ai/library/tiny/latest"


def test_tiny_is_listed_without_being_written(shelf: Shelf) -> None:
    models = shelf.open().list()

    assert [str(model.name) for model in models] == ["tiny:latest"]
    assert not shelf.models_dir.exists()


def test_the_first_find_writes_it_in_ollamas_layout(shelf: Shelf) -> None:
    listed = shelf.open().list()[0]

    model = shelf.open().find("tiny")

    data = (shelf.models_dir / "manifests" / MANIFEST).read_bytes()
    manifest = json.loads(data)
    assert manifest["schemaVersion"] == 2
    assert [layer["mediaType"] for layer in manifest["layers"]] == ["application/vnd.ollama.image.model"]
    for layer in (manifest["config"], *manifest["layers"]):
        blob = (shelf.models_dir / "blobs" / layer["digest"].replace(":", "-")).read_bytes()
        assert len(blob) == layer["size"]
        assert hashlib.sha256(blob).hexdigest() == layer["digest"].removeprefix("sha256:")
    assert model.path.parent == shelf.models_dir / "blobs"
    assert model.digest == listed.digest == hashlib.sha256(data).hexdigest()
    assert not list(shelf.models_dir.rglob(".*"))


def test_a_second_find_writes_nothing(shelf: Shelf) -> None:
    shelf.open().find("tiny")

    with patch("power.store.tiny.write_whole", side_effect=AssertionError):
        assert str(shelf.open().find("TINY:Latest").name) == "tiny:latest"


def test_a_newer_package_replaces_what_we_wrote(shelf: Shelf, tmp_path: Path) -> None:
    old = shelf.open().find("tiny")
    newer = write_small(tmp_path / "newer.gguf", extra={"general.version": "2"})

    new = Store(shelf.models_dir, newer).find("tiny")

    assert new.digest != old.digest
    assert new.path.read_bytes() == newer.read_bytes()


def test_a_blob_that_is_gone_comes_back(shelf: Shelf) -> None:
    shelf.open().find("tiny").path.unlink()

    assert shelf.open().find("tiny").path.read_bytes() == shelf.packaged.read_bytes()


@pytest.mark.parametrize("layers", [[], [("system", "You are a pirate.")]])
def test_somebody_elses_tiny_stays(shelf: Shelf, layers: list[tuple[str, str]]) -> None:
    path = shelf.model(MANIFEST, *layers)
    before = path.read_bytes()

    model = shelf.open().find("tiny")

    assert path.read_bytes() == before
    assert model.system == "".join(text for _, text in layers)
    assert [str(model.name) for model in shelf.open().list()] == ["tiny:latest"]


def test_ours_with_a_system_text_is_somebody_elses(shelf: Shelf) -> None:
    path = shelf.model(MANIFEST, ("system", "You are a pirate."), power_embedded="tiny")
    before = path.read_bytes()

    shelf.open().find("tiny")

    assert path.read_bytes() == before


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_a_store_that_cannot_be_written_serves_the_packaged_file(
    shelf: Shelf, error: OSError, caplog: pytest.LogCaptureFixture
) -> None:
    store = shelf.open()

    with patch("power.store.files.tempfile.mkstemp", side_effect=error), caplog.at_level(logging.WARNING):
        models = [store.find("tiny"), store.find("tiny")]

    assert [model.path for model in models] == [shelf.packaged] * 2
    assert caplog.text.count("served from the package") == 1
    assert str(error.strerror) in caplog.text


def test_a_directory_that_cannot_be_made_serves_the_packaged_file(shelf: Shelf) -> None:
    shelf.models_dir.write_text("a file where the store should be: not even root can write below it")

    assert shelf.open().find("tiny").path == shelf.packaged


def test_a_write_that_fails_leaves_nothing_behind(shelf: Shelf) -> None:
    with patch("power.store.files.os.fsync", side_effect=OSError(28, "No space left on device")):
        shelf.open().find("tiny")

    assert [path for path in shelf.models_dir.rglob("*") if path.is_file()] == []


def test_many_threads_write_it_once(shelf: Shelf) -> None:
    store, found = shelf.open(), list[StoredModel]()
    threads = [threading.Thread(target=lambda: found.append(store.find("tiny"))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len({model.digest for model in found}) == 1
    assert len(found) == 8
    assert len(list(shelf.models_dir.rglob("blobs/*"))) == 2
