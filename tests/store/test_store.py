"""Finding and listing models in a store laid out by Ollama."""

import logging
from pathlib import Path
from typing import Any

import pytest

from power.config import Config
from power.errors import BadRequest, LoadFailed, ModelNotFound
from power.messages import Message
from power.store import open_store
from power.store.model import StoredModel, read_model
from power.store.names import Name
from tests.store.conftest import Shelf

LIBRARY = "registry.ollama.ai/library"


def test_a_model_is_found_with_all_its_layers(shelf: Shelf) -> None:
    shelf.model(
        f"{LIBRARY}/llama3/8b",
        ("template", "{{ .Prompt }}"),
        ("system", "Be brief."),
        ("params", {"stop": ["<end>"], "temperature": 0.5}),
        ("messages", [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]),
        ("license", "MIT"),
        ("license", "Apache"),
        ("projector", "not really one"),
        model_family="llama",
        model_type="8.0B",
        file_type="Q4_0",
    )

    model = shelf.open().find("llama3:8b")

    assert str(model.name) == "llama3:8b"
    assert model.path.read_bytes() == shelf.packaged.read_bytes()
    assert (model.template, model.system) == ("{{ .Prompt }}", "Be brief.")
    assert model.params == {"stop": ["<end>"], "temperature": 0.5}
    assert model.messages == (Message(role="user", content="hi"), Message(role="assistant", content="hello"))
    assert model.licenses == ("MIT", "Apache")
    assert len(model.projectors) == 1
    assert (model.family, model.parameter_size, model.quantization_level) == ("llama", "8.0B", "Q4_0")
    assert model.capabilities == ("completion", "vision")
    assert model.size > len(shelf.packaged.read_bytes())
    assert model.modified_at.timestamp() == 1e9
    assert model.modified_at.tzinfo is not None


def test_what_the_config_does_not_say_comes_from_the_file(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/bare/latest", file_type="unknown")

    model = shelf.open().find("bare")

    assert (model.family, model.families, model.parameter_size) == ("llama", ("llama",), "608")
    assert model.quantization_level == "F32"


def test_a_name_is_found_whatever_its_case_and_keeps_its_own(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/Llama3/Q4_K_M")

    assert str(shelf.open().find("LLAMA3:q4_k_m").name) == "Llama3:Q4_K_M"


def test_of_two_names_that_differ_in_case_the_exact_one_is_found(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/abc/latest", ("system", "lower"))
    shelf.model(f"{LIBRARY}/ABC/latest", ("system", "upper"))

    store = shelf.open()

    assert store.find("abc").system == "lower"
    assert store.find("ABC").system == "upper"


def test_a_model_that_is_not_there_is_not_found(shelf: Shelf) -> None:
    store = shelf.open()

    with pytest.raises(ModelNotFound, match="model 'nope' not found"):
        store.find("nope")
    with pytest.raises(BadRequest, match="invalid model name"):
        store.find("../../etc/passwd")


def test_the_list_is_newest_first_and_has_tiny(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/old/latest", modified=1e8)
    shelf.model("hf.co/org/new/Q8_0", modified=4e9)

    names = [str(model.name) for model in shelf.open().list()]

    assert names == ["hf.co/org/new:Q8_0", "tiny:latest", "old:latest"]


@pytest.mark.parametrize("data", [b"", b"not json", b"[]", b'{"config": 1}', b"\xff", b"[" * 10**5])
def test_a_broken_manifest_is_named_by_find_and_left_out_of_the_list(
    shelf: Shelf, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.manifest(f"{LIBRARY}/broken/latest", data)
    store = shelf.open()

    with pytest.raises(LoadFailed, match="model 'broken:latest' cannot be read: the manifest is broken"):
        store.find("broken")
    with caplog.at_level(logging.WARNING):
        names = [str(model.name) for model in store.list()]
    assert names == ["tiny:latest"]
    assert "broken:latest" in caplog.text


def test_a_missing_blob_is_named(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/torn/latest")
    next(path for path in shelf.models_dir.glob("blobs/*") if path.stat().st_size > 1000).unlink()

    with pytest.raises(LoadFailed, match=r"its model blob sha256:.* is missing"):
        shelf.open().find("torn")


def test_a_digest_that_is_a_path_is_refused(shelf: Shelf) -> None:
    path = shelf.model(f"{LIBRARY}/evil/latest")
    digest = next(path for path in shelf.models_dir.glob("blobs/*")).name.replace("-", ":")
    path.write_text(path.read_text().replace(digest, "sha256:../../../../etc/passwd"))

    with pytest.raises(LoadFailed, match="invalid digest"):
        shelf.open().find("evil")


def test_a_broken_gguf_is_named(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/junk/latest")
    blob = next(path for path in shelf.models_dir.glob("blobs/*") if path.stat().st_size > 1000)
    blob.write_bytes(b"junk" * 100)

    with pytest.raises(LoadFailed, match="not a GGUF file"):
        shelf.open().find("junk")


def test_other_files_among_the_manifests_are_passed_over(shelf: Shelf) -> None:
    shelf.manifest(f"{LIBRARY}/.DS_Store/latest", b"x")
    shelf.manifest(f"{LIBRARY}/shallow", b"x")
    shelf.manifest(f"{LIBRARY}/deep/er/latest", b"x")
    (shelf.models_dir / "manifests" / LIBRARY / "dir" / "latest").mkdir(parents=True)

    assert [str(model.name) for model in shelf.open().list()] == ["tiny:latest"]


def test_the_facts_are_read_again_when_the_file_changes(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/changing/latest")
    store = shelf.open()
    model = store.find("changing")
    assert store.find("changing").facts is model.facts

    model.path.write_bytes(model.path.read_bytes().replace(b"small", b"other"))

    assert store.find("changing").facts.name == "other"


@pytest.mark.parametrize("replaced", [True, False])
def test_what_happens_to_a_manifest_while_it_is_read_is_not_overlooked(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    path = shelf.model(f"{LIBRARY}/mine/latest", ("system", "before"))
    store = shelf.open()

    def meanwhile(*args: Any) -> StoredModel:
        model = read_model(*args)
        path.unlink()
        if replaced:
            shelf.model(f"{LIBRARY}/mine/latest", ("system", "afterwards"))
        return model

    monkeypatch.setattr("power.store.store.read_model", meanwhile)
    found = store.find("mine")

    assert found.system == "before"
    assert store.remembered("mine") is None


def test_a_model_that_is_deleted_while_it_is_copied_is_not_found(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shelf.model(f"{LIBRARY}/mine/latest")
    store = shelf.open()
    stored_as = store.manifests.stored_as

    def meanwhile(wanted: Name) -> Name | None:
        name = stored_as(wanted)
        path.unlink(missing_ok=True)
        return name

    monkeypatch.setattr(store.manifests, "stored_as", meanwhile)

    with pytest.raises(ModelNotFound):
        store.copy("mine", "yours")


async def test_the_store_is_opened_where_the_config_says(tmp_path: Path, shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/here/latest")

    async with open_store(Config(data_dir=tmp_path, models_dir=shelf.models_dir)) as store:
        assert str(store.find("here").name) == "here:latest"
