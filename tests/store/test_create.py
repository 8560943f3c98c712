"""Models are made of files and of other models: whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from power.config import Config
from power.errors import BadRequest, ModelNotFound, StoreError
from power.gguf import open_gguf, plan_split, write_gguf, write_split
from power.messages import Message
from power.store import Name, Progress, Store, StoredModel, open_store, parse_name
from power.store.create import create
from power.store.create_request import CreateRequest, check_files, check_request
from power.store.create_templates import TEMPLATES
from power.store.create_workspace import FOLDER
from power.store.manifest import Manifest, decode_json
from power.store.transfers import Report
from tests.gguf.convert.test_adapters import Adapted
from tests.worker.models import write_model

Make = Callable[..., Awaitable[list[str]]]
ABSENT = f"sha256:{'0' * 64}"


@pytest.fixture(scope="session")
def model_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("gguf") / "m.gguf", n_embd=256, n_layer=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(Config(data_dir=tmp_path)) as store:
        yield store


@pytest.fixture
def make(store: Store) -> Make:
    """`await make("name", files=…)`: the statuses on the way."""

    async def make(name: str, *, pull: Any = no_pull, **fields: Any) -> list[str]:
        events: list[Progress] = []
        await create(store, CreateRequest(name=parse_name(name), **fields), events.append, pull=pull, n_threads=1)
        return [event.status for event in events]

    return make


async def no_pull(name: Name, report: Report) -> None:
    raise ModelNotFound(str(name))


def upload(store: Store, *paths: Path) -> dict[str, str]:
    return {path.name: store.add_file(path)[0] for path in paths}


def upload_folder(store: Store, folder: Path, prefix: str = "") -> dict[str, str]:
    return {prefix + str(path.relative_to(folder)): store.add_file(path)[0] for path in folder.rglob("*.*")}


def manifest_of(store: Store, model: StoredModel) -> Manifest:
    return decode_json(store.manifests.read(model.name), Manifest, "it")


def blobs(store: Store) -> set[str]:
    return {path.name for path in store.blobs.folder.iterdir()}


async def test_a_gguf_becomes_a_model_with_all_that_was_said_of_it(store: Store, make: Make, model_gguf: Path) -> None:
    files = upload(store, model_gguf)

    statuses = await make(
        "Mine:v1",
        files=files,
        template="{{ .Prompt }}",
        system="Be brief.",
        licenses=("MIT", "and more"),
        parameters={"temperature": 0.5, "stop": "END"},
        messages=(Message(role="user", content="hi"),),
        renderer="r",
        parser="p",
        requires="0.1.0",
        info={"base_name": "base"},
    )

    model = store.find("mine:v1")
    assert str(model.name) == "Mine:v1"
    assert model.path.read_bytes() == model_gguf.read_bytes()
    assert (model.template, model.system, model.licenses) == ("{{ .Prompt }}", "Be brief.", ("MIT", "and more"))
    assert model.params == {"temperature": 0.5, "stop": ["END"]}
    assert model.messages == (Message(role="user", content="hi"),)
    assert (model.config.renderer, model.config.parser, model.config.requires) == ("r", "p", "0.1.0")
    assert (model.config.base_name, model.family, model.config.file_type) == ("base", "llama", "F32")
    assert statuses[0] == "parsing GGUF"
    assert statuses[1] == f"creating new layer {files['m.gguf']}"
    assert statuses[-2:] == ["writing manifest", "success"]


async def test_a_base_s_layers_are_shared_and_what_is_said_goes_over_them(
    store: Store, make: Make, model_gguf: Path
) -> None:
    parameters = {"top_k": 1, "top_p": 0.5}
    await make(
        "base", files=upload(store, model_gguf), system="old", licenses=("a",), parameters=parameters, parser="p"
    )

    statuses = await make("child", base="base", system="new", licenses=("b",), parameters={"top_k": 2})

    child, base = store.find("child"), store.find("base")
    assert child.path == base.path
    assert (child.system, child.licenses, child.params) == ("new", ("a", "b"), {"top_k": 2, "top_p": 0.5})
    assert (child.config.parser, child.parent) == ("p", "base:latest")
    assert any(status.startswith("using existing layer sha256:") for status in statuses)


async def test_a_base_that_is_not_there_is_pulled_first(store: Store, make: Make, model_gguf: Path) -> None:
    async def pull(name: Name, report: Report) -> None:
        report(Progress("pulling manifest"))
        await make(name.full, files=upload(store, model_gguf))

    statuses = await make("child", base="ns/base:v2", pull=pull)

    assert statuses[0] == "pulling manifest"
    assert store.find("child").parent == "ns/base:v2"


async def test_a_base_that_is_nowhere_leaves_nothing(store: Store, make: Make) -> None:
    with pytest.raises(ModelNotFound):
        await make("child", base="nowhere")

    assert not (store.models_dir / "manifests").exists()


async def test_the_embedded_model_is_a_base_like_any_other(store: Store, make: Make) -> None:
    await make("pirate", base="tiny", system="Arr.")

    assert store.find("pirate").system == "Arr."
    assert store.find("pirate").config.power_embedded == ""


async def test_a_replaced_model_s_own_layers_go(store: Store, make: Make, model_gguf: Path) -> None:
    files = upload(store, model_gguf)
    await make("mine", files=files, system="old")
    before = {layer.digest for layer in manifest_of(store, store.find("mine")).layers}

    await make("mine", base="mine", system="new")

    after = {layer.digest for layer in manifest_of(store, store.find("mine")).layers}
    assert before - after
    assert not any(store.has_blob(digest) for digest in before - after)
    assert all(map(store.has_blob, after))


async def test_shards_become_one_file(store: Store, make: Make, model_gguf: Path, tmp_path: Path) -> None:
    shards = plan_split(open_gguf(model_gguf), tmp_path / "big", max_tensors=5)
    write_split(shards)

    statuses = await make("whole", files=upload(store, *(shard.path for shard in shards)))

    found, wanted = open_gguf(store.find("whole").path), open_gguf(model_gguf)
    assert len(shards) > 1
    assert {n: found.tensor_bytes(n).tobytes() for n in found.tensors} == {
        n: wanted.tensor_bytes(n).tobytes() for n in wanted.tensors
    }
    assert "merging model" in statuses


async def test_a_missing_shard_is_told(store: Store, make: Make, model_gguf: Path, tmp_path: Path) -> None:
    shards = plan_split(open_gguf(model_gguf), tmp_path / "big", max_tensors=5)
    write_split(shards)

    with pytest.raises(BadRequest, match="big-00001-of-0000"):
        await make("whole", files=upload(store, *(shard.path for shard in shards[1:])))


async def test_a_projector_and_an_adapter_get_layers_of_their_own(
    store: Store, make: Make, model_gguf: Path, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "p.gguf", {"general.architecture": "clip", "general.type": "mmproj"})
    write_gguf(tmp_path / "a.gguf", {"general.architecture": "llama", "general.type": "adapter"})
    files = upload(store, model_gguf, tmp_path / "p.gguf")

    await make("seeing", files=files, adapters=upload(store, tmp_path / "a.gguf"))

    model = store.find("seeing")
    assert [layer.kind for layer in manifest_of(store, model).layers] == ["model", "projector", "adapter"]
    assert model.families == ("llama", "clip")
    assert "vision" in model.capabilities
    assert model.adapters[0].read_bytes() == (tmp_path / "a.gguf").read_bytes()


async def test_a_draft_gets_a_layer_that_children_and_copies_keep(
    store: Store, make: Make, model_gguf: Path, tmp_path: Path
) -> None:
    small = write_model(tmp_path / "small.gguf")
    await make("big", files=upload(store, model_gguf), draft_files=upload(store, small))
    await make("child", base="big", system="Be brief.")
    store.copy("child", "copy")

    for name in ("big", "child", "copy"):
        model = store.find(name)
        assert model.path.read_bytes() == model_gguf.read_bytes()
        assert model.draft is not None
        assert model.draft.read_bytes() == small.read_bytes()

    await make("child", base="big", draft_files=upload(store, write_model(tmp_path / "smaller.gguf", n_layer=1)))
    draft = store.find("child").draft
    assert draft is not None
    assert draft.read_bytes() == (tmp_path / "smaller.gguf").read_bytes()


async def test_what_cannot_draft_is_no_draft(store: Store, make: Make, model_gguf: Path, tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", {"general.architecture": "llama", "general.type": "adapter"})
    gguf = open_gguf(model_gguf)
    head = gguf.metadata.encoded() | {"general.architecture": "eagle3"}
    write_gguf(tmp_path / "h.gguf", head, map(gguf.source, gguf.tensors))
    write_model(tmp_path / "m.gguf")

    for names, match in ((["a"], "generates text"), (["h"], "not a head"), (["m", "h"], "one model")):
        draft_files = upload(store, *(tmp_path / f"{name}.gguf" for name in names))
        with pytest.raises(BadRequest, match=match) as caught:
            await make("x", files=upload(store, model_gguf), draft_files=draft_files)
        assert caught.value.field == "draft_files"


async def test_a_checkpoint_and_its_adapter_are_converted(store: Store, make: Make, tmp_path: Path) -> None:
    adapted = Adapted(tmp_path, "llama", scale=2)
    adapted.write()

    statuses = await make(
        "converted",
        # Clients send paths below whatever they like.
        files=upload_folder(store, adapted.model, "some/where/"),
        adapters=upload_folder(store, adapted.adapter),
    )

    model = store.find("converted")
    assert (model.family, model.quantization_level) == ("llama", "F16")
    assert len(model.adapters) == 1
    assert {"converting model", "converting adapter"} <= set(statuses)


async def test_an_adapter_cannot_have_a_folder_of_the_server_s_read(
    store: Store, make: Make, model_gguf: Path, tmp_path: Path
) -> None:
    adapted = Adapted(tmp_path, "llama", scale=2)
    adapted.write()  # it names the folder of its model, which is here, but was not sent

    with pytest.raises(BadRequest) as caught:
        await make("converted", files=upload(store, model_gguf), adapters=upload_folder(store, adapted.adapter))

    assert "config.json" in caught.value.message


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
async def test_a_gguf_without_a_template_gets_one_by_its_markers(
    store: Store, make: Make, tmp_path: Path, template: Any
) -> None:
    tokens = ["<unk>", *template.markers]
    metadata: dict[str, Any] = {"general.architecture": "llama", "tokenizer.ggml.tokens": tokens}
    gguf = open_gguf(write_model(tmp_path / "m.gguf"))
    write_gguf(tmp_path / "t.gguf", gguf.metadata.encoded() | metadata, map(gguf.source, gguf.tensors))

    statuses = await make("t", files=upload(store, tmp_path / "t.gguf"))

    assert f"using autodetected template {template.name}" in statuses
    assert store.find("t").template == template.text
    assert store.find("t").params == {"stop": list(template.stop)}


async def test_a_gguf_with_a_template_keeps_it(store: Store, make: Make) -> None:
    tiny = store.find("tiny")

    statuses = await make("t", files={"m.gguf": f"sha256:{tiny.path.name.removeprefix('sha256-')}"})

    assert store.find("t").template is None
    assert not any("autodetected" in status for status in statuses)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "neither 'from' or 'files' was specified"),
        ({"files": {"a.gguf": "sha256:12"}}, "invalid digest format"),
        ({"files": {"a": ABSENT, "a/b": ABSENT}}, "'a' is both a file and a folder"),
        ({"files": {"é" * 200: ABSENT}}, "a file's name is too long"),
        ({"files": {"a.gguf": ABSENT}}, f'blob "{ABSENT}" not found'),
        ({"base": "tiny", "adapters": {"a.gguf": ABSENT}}, f'blob "{ABSENT}" not found'),
        ({"base": "tiny", "quantize": "Q4_K_M", "imatrix": ABSENT}, "quantization is only supported for"),
        ({"base": "tiny", "quantize": "q9"}, "unsupported quantization type q9 - supported types are F32, F16, Q4_0"),
        ({"base": "tiny", "quantize": "Q4_0"}, "quantization is only supported for F16, BF16 and F32 models"),
        (
            {"base": "tiny", "info": {"context_length": -1}},
            'info field "context_length" must be a non-negative integer',
        ),
        ({"base": "tiny", "info": {"base_name": 1}}, 'info field "base_name" must be a string'),
        ({"base": "tiny", "parameters": {"top_k": "x"}}, 'option "top_k" must be of type integer'),
        ({"base": "tiny", "messages": (Message(role="robot"),)}, 'invalid role "robot"'),
        ({"base": "tiny", "template": "{{ .Prompt"}, "template error: template: :1"),
        ({"base": "../etc"}, "invalid model name"),
    ],
)
async def test_what_cannot_be_made_is_refused(make: Make, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        await make("mine", **fields)

    assert caught.value.message.startswith(message)


async def test_files_that_are_no_model_are_refused(store: Store, make: Make, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello there")
    (tmp_path / "text").write_text("hello there")
    write_gguf(tmp_path / "a.gguf", {"general.architecture": "llama", "general.type": "adapter"})

    for name, message in [("text.gguf", "not in GGUF format"), ("text", "unknown type"), ("a.gguf", "no model")]:
        with pytest.raises(BadRequest, match=message):
            await make("mine", files=upload(store, tmp_path / name))
    assert not list(store.manifests.names())


async def test_a_tensor_that_reaches_beyond_its_file_is_never_read(
    store: Store, make: Make, model_gguf: Path, tmp_path: Path
) -> None:
    # CVE-2026-7482: what lay beyond came out of the quantised file.
    (tmp_path / "short.gguf").write_bytes(model_gguf.read_bytes()[:-4096])

    with pytest.raises(BadRequest, match="reaches to byte"):
        await make("mine", files=upload(store, tmp_path / "short.gguf"), quantize="Q4_0")

    assert not (store.models_dir / FOLDER).exists()


async def test_a_model_is_quantised(store: Store, make: Make, model_gguf: Path) -> None:
    events: list[Progress] = []
    request = CreateRequest(name=parse_name("small"), files=upload(store, model_gguf), quantize="q4_k")

    await create(store, request, events.append, pull=no_pull, n_threads=1)

    model = store.find("small")
    progress = [event for event in events if event.status == "quantizing F32 model to Q4_K_M"]
    assert model.quantization_level == model.facts.quantization == "Q4_K_M"
    assert model.path.stat().st_size < model_gguf.stat().st_size / 4
    assert [event.completed for event in progress] == sorted(event.completed for event in progress)
    assert progress[-1].completed == progress[-1].total > 0
    assert "validating GGUF model" in [event.status for event in events]


async def test_a_type_that_wants_an_imatrix_gets_it(store: Store, make: Make, model_gguf: Path, tmp_path: Path) -> None:
    await make("large", files=upload(store, model_gguf))
    digest = upload(store, write_imatrix(tmp_path / "imatrix.gguf", model_gguf))["imatrix.gguf"]

    with pytest.raises(BadRequest, match="requires an imatrix"):
        await make("small", base="large", quantize="Q2_K_S")
    await make("small", base="large", quantize="Q2_K_S", imatrix=digest)

    assert store.find("small").quantization_level == "Q2_K_S"


async def test_who_cancels_a_creation_finds_nothing_of_it(store: Store, tmp_path: Path) -> None:
    large = write_model(tmp_path / "large.gguf", n_embd=768, n_layer=4)
    request = CreateRequest(name=parse_name("small"), files=upload(store, large), quantize="Q4_K_M")
    before = blobs(store)

    with trio.CancelScope() as scope:

        def report(progress: Progress) -> None:
            if progress.completed:
                scope.cancel()

        await create(store, request, report, pull=no_pull, n_threads=1)

    assert scope.cancelled_caught
    assert not list(store.manifests.names())
    assert not (store.models_dir / FOLDER).exists()
    assert blobs(store) == before


async def test_what_a_dead_creator_left_goes_with_the_next(store: Store, make: Make) -> None:
    left = store.models_dir / FOLDER / "left"
    left.mkdir(parents=True)
    (left / "half.gguf").write_text("half")

    await make("mine", base="tiny")

    assert not left.exists()


async def test_a_layer_that_vanishes_meanwhile_is_told(store: Store, make: Make, model_gguf: Path) -> None:
    files = upload(store, model_gguf)

    def vanish(progress: Progress) -> None:
        if progress.status.startswith("creating new layer"):
            store.blobs.path(files["m.gguf"]).unlink(missing_ok=True)

    with pytest.raises(BadRequest, match="was removed meanwhile"):
        await create(store, CreateRequest(name=parse_name("mine"), files=files), vanish, pull=no_pull)

    assert not list(store.manifests.names())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
async def test_a_disk_that_takes_no_more_loses_nothing_and_says_so(
    store: Store, make: Make, tmp_path: Path, call: str, code: int
) -> None:
    adapted = Adapted(tmp_path, "llama", scale=2)
    files = upload_folder(store, adapted.model)
    await make("mine", files=files)
    before = sorted(store.models_dir.rglob("*"))

    with patch.object(os, call, side_effect=OSError(code, os.strerror(code))):
        with pytest.raises(StoreError, match=r"no space left on the disk|the disk is read-only"):
            await make("mine", files=files, system="new")

    assert sorted(store.models_dir.rglob("*")) == before
    assert store.find("mine").system == ""


BAD_PATHS = [
    "../a",
    "/a",
    "a/../b",
    ".",
    "a/./b",
    "",
    "a//b",
    "a/",
    "a\\b",
    "..\\a",
    "c:/a",
    "a\0b",
    "a\nb",
    "a" * 2000,
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_file_s_path_stays_below_its_folder(path: str) -> None:
    with pytest.raises(BadRequest, match="file path must be relative"):
        check_files({path: ABSENT}, "files")


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["..", ".", "a", "/", "\\", "\0", "~", "%2e", "é", "\ud800"])).map("".join)
)
def test_whatever_path_is_taken_leads_below_the_folder(path: str) -> None:
    if refusal_of(path) is None:
        root = Path("/some/root")

        assert (root / path).resolve().is_relative_to(root)
        assert ".." not in path.split("/")


def refusal_of(path: str) -> BadRequest | None:
    try:
        check_files({path: ABSENT}, "files")
    except BadRequest as error:
        return error
    return None


def test_words_get_their_usual_spelling() -> None:
    request = CreateRequest(name=parse_name("a"), base="b", quantize="q4_k", parameters={"stop": "x", "seed": None})

    checked = check_request(request)

    assert (checked.quantize, checked.parameters) == ("Q4_K_M", {"stop": ["x"]})


def write_imatrix(path: Path, model: Path) -> Path:
    """Every input of every matrix as important as the next."""
    import numpy as np

    from power.gguf import array_source

    tensors = []
    for info in open_gguf(model).tensors.values():
        if len(info.shape) == 2:
            tensors.append(array_source(f"{info.name}.in_sum2", np.ones((1, info.shape[0]), np.float32)))
            tensors.append(array_source(f"{info.name}.counts", np.ones((1, 1), np.float32)))
    write_gguf(path, {"general.type": "imatrix"}, tensors)
    return path
