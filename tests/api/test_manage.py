"""Models made, moved and removed through the server, by the `ollama` client and by hand."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
import trio

from power.api.requests import BODY_BUFFER, Body
from power.config import Config
from power.gguf import open_gguf
from tests.store.registries import CountingProxy, add_model, docker_registry, fake_registry
from tests.support import PATIENCE, TINY, children
from tests.worker.adapters import write_adapter
from tests.worker.models import write_model

from .conftest import running

ABSENT = f"sha256:{'0' * 64}"
LAYER = "application/vnd.ollama.image."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("managed")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with running(Config(port=0, data_dir=folder, num_thread=1, context_length=128)) as url:
        yield url


@pytest.fixture(scope="module")
def client(ollama_client: ollama.Client) -> ollama.Client:
    return ollama_client


@pytest.fixture(scope="module")
def gguf(folder: Path) -> Path:
    return write_model(folder / "m.gguf")


@pytest.fixture(scope="module")
def base(client: ollama.Client, gguf: Path) -> str:
    """A model of random weights, by its name."""
    client.create("base", files={"m.gguf": client.create_blob(gguf)})
    return "base"


def names(client: ollama.Client) -> set[str]:
    return {model.model or "" for model in client.list().models}


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def answer(client: ollama.Client, model: str) -> str:
    options = {"temperature": 0, "num_predict": 8}
    return client.generate(model, "the other thing", raw=True, options=options).response or ""


def test_a_model_is_made_of_an_uploaded_file_shown_copied_and_deleted(client: ollama.Client, gguf: Path) -> None:
    digest = client.create_blob(gguf)
    events = [
        event.status
        for event in client.create(
            "mine", files={"m.gguf": digest}, system="Be brief.", parameters={"top_k": 3}, stream=True
        )
    ]
    shown = client.show("mine")
    client.copy("mine", "Ours/theirs:v2")
    copied = names(client)
    client.delete("MINE")

    assert (events[0], events[-2:]) == ("parsing GGUF", ["writing manifest", "success"])
    assert shown.parameters == "top_k                          3"
    assert "SYSTEM Be brief." in (shown.modelfile or "")
    assert {"mine:latest", "Ours/theirs:v2"} <= copied
    assert "mine:latest" not in names(client)
    client.delete("ours/theirs:V2")


def test_without_a_stream_the_last_word_is_the_answer(client: ollama.Client, base: str) -> None:
    assert (
        client.create("child", from_=base, license=["MIT"], messages=[{"role": "user", "content": "hi"}]).status
        == "success"
    )
    assert client.show("child").license == "MIT"
    client.delete("child")


def test_a_model_that_was_made_answers_as_the_one_it_is_of(client: ollama.Client, base: str) -> None:
    client.create("child", from_=base)

    assert answer(client, "child") == answer(client, base)
    client.delete("child")


def test_an_adapter_changes_the_answers_of_its_model_alone(
    client: ollama.Client, base: str, folder: Path, gguf: Path
) -> None:
    adapter = client.create_blob(write_adapter(folder / "adapter.gguf", gguf, folder / "merged.gguf"))
    client.create("adapted", from_=base, adapters={"adapter.gguf": adapter})
    client.create("merged", files={"merged.gguf": client.create_blob(folder / "merged.gguf")})

    adapted = answer(client, "adapted")

    assert adapted == answer(client, "merged")
    assert adapted != answer(client, base)
    assert "ADAPTER " in (client.show("adapted").modelfile or "")


def test_a_draft_model_changes_nothing_that_is_said(
    http: httpx.Client, client: ollama.Client, base: str, folder: Path, gguf: Path
) -> None:
    from power.store.modelfile import read_modelfile

    digest = client.create_blob(gguf)
    http.post("/api/create", json={"model": "drafted", "from": base, "draft_files": {"d.gguf": digest}}).read()
    text = f"FROM {base}\nDRAFT @{digest}"
    http.post("/api/create", json={"model": "drafted-too", "modelfile": text}).read()

    assert answer(client, "drafted") == answer(client, "drafted-too") == answer(client, base)
    for name in ("drafted", "drafted-too"):
        [draft] = read_modelfile(client.show(name).modelfile or "").values("draft")
        assert Path(draft).read_bytes() == gguf.read_bytes()
    assert http.post("/api/show", json={"model": "drafted"}).json()["memory"]["draft"] > 0


def test_a_draft_model_of_another_vocabulary_is_told_at_the_first_request(
    http: httpx.Client, client: ollama.Client, folder: Path, gguf: Path
) -> None:
    digest, files = client.create_blob(gguf), {"m.gguf": client.create_blob(TINY)}
    http.post("/api/create", json={"model": "mixed", "files": files, "draft_files": {"d.gguf": digest}}).read()

    response = http.post("/api/generate", json={"model": "mixed", "prompt": "hi", "stream": False})

    assert response.status_code == 500
    assert "has another vocabulary than" in response.json()["error"]


def test_the_modelfile_that_show_prints_says_what_was_said(client: ollama.Client, base: str) -> None:
    from power.store.modelfile import read_modelfile

    system, stop = 'two\nlines and a "quote"', " end "
    client.create("quoted", from_=base, system=system, parameters={"stop": [stop]}, template=" {{ .Prompt }}\n")

    read = read_modelfile(client.show("quoted").modelfile or "")

    assert read.values("system") == [system]
    assert read.values("template") == [" {{ .Prompt }}\n"]
    assert read.values("parameter") == [stop]
    assert Path(read.values("from")[0]).name.startswith("sha256-")


def test_a_model_is_quantised_on_the_way(http: httpx.Client, client: ollama.Client, base: str, folder: Path) -> None:
    events = lines(http.post("/api/create", json={"model": "small", "from": base, "quantize": "q8_0"}))

    [*_, last] = [event for event in events if event["status"] == "quantizing F32 model to Q8_0"]
    assert last == {"status": last["status"], "digest": "0" * 19, "total": last["total"], "completed": last["total"]}
    details = client.show("small").details
    assert details is not None
    assert details.quantization_level == "Q8_0"
    assert answer(client, "small")


def test_the_older_modelfile_field_still_works(http: httpx.Client, client: ollama.Client, gguf: Path) -> None:
    digest = client.create_blob(gguf)
    text = f'FROM @{digest}\nSYSTEM """Be\nbrief."""\nPARAMETER stop a\nPARAMETER stop b\nMESSAGE user hi'

    response = http.post("/api/create", json={"name": "old", "modelfile": text, "stream": False})

    assert response.json() == {"status": "success"}
    assert client.show("old").parameters == f'{"stop":<30} "a"\n{"stop":<30} "b"'


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({}, 400, "invalid model name"),
        ({"model": "a/b/c/d:e"}, 400, "invalid model name"),
        ({"model": "x"}, 400, "neither 'from' or 'files' was specified"),
        ({"model": "x", "from": "a b"}, 400, "invalid model name"),
        ({"model": "x", "files": {"../m": ABSENT}}, 400, "file path must be relative"),
        ({"model": "x", "files": {"m": "sha256:zz"}}, 400, "invalid digest format"),
        ({"model": "x", "files": {"m": ABSENT}}, 400, f'blob "{ABSENT}" not found'),
        ({"model": "x", "files": {}, "from": ""}, 400, "neither 'from' or 'files' was specified"),
        ({"model": "x", "from": "tiny", "quantize": "Q9"}, 400, "unsupported quantization type Q9"),
        (
            {"model": "x", "from": "tiny", "quantize": "Q4_0"},
            400,
            "quantization is only supported for F16, BF16 and F32",
        ),
        ({"model": "x", "from": "tiny", "remote_host": "h"}, 400, "remote models are not supported"),
        ({"model": "x", "from": "tiny", "draft_files": {"../m": ABSENT}}, 400, "file path must be relative"),
        ({"model": "x", "from": "tiny", "draft_files": {"m": ABSENT}}, 400, f'blob "{ABSENT}" not found'),
        ({"model": "x", "from": "tiny", "draft_quantize": "Q4_0"}, 400, "a draft is not quantized"),
        ({"model": "x", "from": "tiny", "parameters": {"top_k": []}}, 400, 'option "top_k" must be of type integer'),
        ({"model": "x", "from": 1}, 400, 'invalid "from": expected str, got int'),
        ({"model": "x", "modelfile": "FRUM tiny"}, 400, "(line 1, column 1): command must be one of"),
        ({"model": "x", "modelfile": "FROM tiny\nADAPTER /etc/passwd"}, 400, "a Modelfile in a request names models"),
        ({"model": "x", "modelfile": "FROM /etc/passwd"}, 400, "invalid model name"),
        ({"model": "x", "modelfile": "FROM ./m.gguf"}, 400, "invalid model name"),
    ],
)
def test_a_creation_that_cannot_be_is_refused(
    http: httpx.Client, body: dict[str, Any], status: int, error: str
) -> None:
    response = http.post("/api/create", json=body)

    assert response.status_code == status
    assert response.json()["error"].startswith(error)


def test_what_fails_after_the_first_word_is_a_line(
    http: httpx.Client, client: ollama.Client, folder: Path, gguf: Path
) -> None:
    (folder / "short.gguf").write_bytes(gguf.read_bytes()[:-4096])
    digest = client.create_blob(folder / "short.gguf")

    events = lines(http.post("/api/create", json={"model": "x", "files": {"m.gguf": digest}}))

    assert events[0] == {"status": "parsing GGUF"}
    assert list(events[-1]) == ["error"]
    assert "reaches to byte" in events[-1]["error"]
    assert "x:latest" not in names(client)


def test_blobs_are_put_looked_for_read_and_removed(http: httpx.Client) -> None:
    data = b"some bytes" * 300_000
    path = f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}"

    before = http.head(path).status_code
    first, again = http.post(path, content=data), http.post(path, content=data)
    head, got = http.head(path), http.get(path)
    gone = http.delete(path)

    assert (before, first.status_code, again.status_code, head.status_code) == (404, 201, 200, 200)
    assert (first.content, head.headers["Content-Length"]) == (b"", str(len(data)))
    assert got.content == data
    assert (gone.status_code, http.head(path).status_code) == (200, 404)


async def test_what_nobody_reads_yet_waits_in_the_client() -> None:
    body = Body(None, None)
    body.append(bytes(2 * BODY_BUFFER))

    with trio.move_on_after(0.05) as scope:
        await body.wait_room()
    assert scope.cancelled_caught

    await anext(body)
    with trio.fail_after(PATIENCE):
        await body.wait_room()


def test_a_blob_that_is_not_what_it_says_is_not_kept(http: httpx.Client, folder: Path) -> None:
    before = sorted((folder / "models" / "blobs").iterdir())

    response = http.post(f"/api/blobs/{ABSENT}", content=b"x")

    assert response.status_code == 400
    assert response.json()["error"] == (
        f'digest mismatch, expected "{ABSENT}", got "sha256:{hashlib.sha256(b"x").hexdigest()}"'
    )
    assert sorted((folder / "models" / "blobs").iterdir()) == before


def test_a_blob_in_use_stays(http: httpx.Client, client: ollama.Client, base: str) -> None:
    digest = Path(open_path(client, base)).name.replace("-", ":")

    assert http.delete(f"/api/blobs/{digest}").status_code == 400
    assert http.head(f"/api/blobs/{digest}").status_code == 200


def open_path(client: ollama.Client, model: str) -> str:
    from power.store.modelfile import read_modelfile

    return read_modelfile(client.show(model).modelfile or "").values("from")[0]


@pytest.mark.parametrize(
    "digest", ["x", "sha256:", "sha256:..%2f..%2fetc", "sha256:" + "g" * 64, "md5:" + "0" * 32, "sha256:" + "0" * 63]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_what_is_no_digest_is_no_path_either(http: httpx.Client, method: str, digest: str) -> None:
    response = http.request(method, f"/api/blobs/{digest}")

    assert response.status_code in (400, 404)  # 404: a slash makes it another route


def test_a_path_that_is_no_digest_is_told(http: httpx.Client) -> None:
    assert http.get("/api/blobs/sha256:1").json()["error"].startswith("invalid digest format")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/api/copy", {"source": "none", "destination": "b"}, 404, 'model "none" not found'),
        ("POST", "/api/copy", {"source": "a b", "destination": "b"}, 400, 'source "a b" is invalid'),
        ("POST", "/api/copy", {"source": "tiny", "destination": "../b"}, 400, 'destination "../b" is invalid'),
        ("POST", "/api/copy", {}, 400, 'source "" is invalid'),
        ("DELETE", "/api/delete", {"model": "none"}, 404, "model 'none' not found"),
        ("DELETE", "/api/delete", {"name": "a b"}, 400, 'name "a b" is invalid'),
        ("DELETE", "/api/delete", {}, 400, "model is required"),
        ("POST", "/api/pull", {}, 400, "invalid model name"),
        ("POST", "/api/pull", {"model": "../x"}, 400, "invalid model name"),
        ("POST", "/api/pull", {"model": "http://127.0.0.1/a/b"}, 400, "insecure protocol http"),
        ("POST", "/api/push", {}, 400, "model is required"),
        ("POST", "/api/signout", None, 401, "you are not currently signed in"),
        ("DELETE", "/api/user/keys/AAAA", None, 401, "you are not currently signed in"),
    ],
)
def test_errors_have_ollama_s_words(
    http: httpx.Client, method: str, path: str, body: dict[str, Any] | None, status: int, error: str
) -> None:
    response = http.request(method, path, json=body)

    assert (response.status_code, response.json()["error"]) == (status, error)


BAD_NAMES = [
    *(
        "..",
        "../x",
        "/etc/passwd",
        "a/../b",
        "a/b/c/d/e",
        "a:b/c",
        ".hidden",
        "a/.b:c",
        "a\\b",
        "..\\a",
        "a\0b",
        "a b",
        "x:..",
        "é",
    ),
    *(
        "%2e%2e/x",
        "-x",
        "a" * 81,
        "a" * 10_000,
        "h" * 351 + "/n/m:t",
        "x:" + "t" * 81,
        "http://",
        "a//b",
        ":",
        "/",
        "~/x",
        "x:",
    ),
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name[:12]))
def test_a_name_that_is_none_never_becomes_a_path(http: httpx.Client, folder: Path, name: str) -> None:
    before = sorted(folder.rglob("*"))
    asked = [
        http.post("/api/create", json={"model": name, "from": "tiny"}),
        http.post("/api/create", json={"model": "x", "from": name}),
        http.post("/api/copy", json={"source": "tiny", "destination": name}),
        http.post("/api/copy", json={"source": name, "destination": "x"}),
        http.request("DELETE", "/api/delete", json={"model": name}),
        http.post("/api/pull", json={"model": name}),
        http.post("/api/push", json={"model": name}),
        http.post("/api/show", json={"model": name}),
    ]

    assert [response.status_code for response in asked] == [400] * len(asked)
    assert sorted(folder.rglob("*")) == before


def test_who_asks_for_his_account_learns_where_to_sign_in(http: httpx.Client, folder: Path) -> None:
    response = http.post("/api/me")

    assert response.status_code == 401
    assert response.json()["error"] == "unauthorized"
    assert response.json()["signin_url"].startswith("https://ollama.com/connect?name=")
    assert (folder / "id_ed25519").stat().st_mode & 0o777 == 0o600


def test_a_model_goes_to_a_registry_and_comes_back_the_same(client: ollama.Client, base: str, tmp_path: Path) -> None:
    with docker_registry(tmp_path) as host:
        name = f"{host}/team/mine:v1"
        client.create(name, from_=base, system="Be brief.")
        digest = {model.model: model.digest for model in client.list().models}[name]
        pushed = [event.status for event in client.push(name, insecure=True, stream=True)]
        client.delete(name)
        pulled = [event.status for event in client.pull(name, insecure=True, stream=True)]

        assert client.push(name, insecure=True).status == client.pull(name, insecure=True).status == "success"

    assert {model.model: model.digest for model in client.list().models}[name] == digest
    assert (pushed[0], pushed[-1]) == ("retrieving manifest", "success")
    assert (pulled[0], pulled[-1]) == ("pulling manifest", "success")


def test_who_hangs_up_ends_his_pull_and_the_next_goes_on_there(url: str, folder: Path) -> None:
    data = random.Random(3).randbytes(2**24 + 5)  # two parts
    with fake_registry() as fake, CountingProxy(fake.host) as proxy:
        name = add_model(fake, data).replace(fake.host, proxy.host)
        proxy.pause = 0.02
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            with client.stream("POST", "/api/pull", json={"model": name, "insecure": True}) as response:
                next(line for line in response.iter_lines() if json.loads(line).get("completed", 0) > 2**20)
            deadline = time.monotonic() + PATIENCE
            while proxy.n_open or list((folder / "models" / "locks").iterdir()):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            n_before, proxy.n_bytes, proxy.pause = proxy.n_bytes, 0, 0
            done = client.post("/api/pull", json={"model": name, "insecure": True, "stream": False}).json()

    assert done == {"status": "success"}
    assert n_before < len(data)
    assert proxy.n_bytes < len(data) - 2**20 + 100_000


def test_nobody_learns_which_files_this_machine_has(http: httpx.Client, folder: Path) -> None:
    """CVE-2024-39719 and CVE-2024-39722: what is there and what is not have the same answer."""

    def errors(path: str) -> list[str]:
        return [
            http.post(route, json=body).json()["error"].replace(path, "PATH")
            for route, body in (
                ("/api/create", {"model": "x", "from": path}),
                ("/api/create", {"model": "x", "modelfile": f"FROM {path}"}),
                ("/api/create", {"model": "x", "modelfile": f"FROM tiny\nADAPTER {path}"}),
                ("/api/create", {"model": "x", "files": {path: ABSENT}}),
                ("/api/push", {"model": path}),
                ("/api/show", {"model": path}),
            )
        ]

    (folder / "there.gguf").touch()

    assert errors(str(folder / "there.gguf")) == errors(str(folder / "gone.gguf"))
    assert errors("/etc/passwd") == errors("/etc/passwt")


def test_a_base_is_pulled_where_it_is_missing(http: httpx.Client, client: ollama.Client) -> None:
    response = http.post("/api/create", json={"model": "x", "from": "127.0.0.1:1/team/none", "stream": False})

    assert response.status_code == 500
    assert response.json()["error"].startswith("pull model manifest: ")


def test_a_store_that_ollama_wrote_is_listed_shown_and_run(gguf: Path, tmp_path: Path) -> None:
    """Laid out by hand, after the wire reference, §3.1."""
    data = gguf.read_bytes()
    layers = [
        ("model", data),
        ("template", b"{{ .System }} {{ .Prompt }}"),
        ("system", b"Be brief."),
        ("params", b'{"num_predict": 4, "stop": ["<end>"], "temperature": 0}'),
        ("license", b"MIT"),
        ("messages", b'[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]'),
    ]
    config = (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"0.1M",'
        b'"file_type":"F32","architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    )
    blobs = tmp_path / "blobs"
    blobs.mkdir()

    def blob(media_type: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / f"sha256-{digest}").write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": blob("application/vnd.docker.container.image.v1+json", config),
        "layers": [blob(LAYER + kind, content) for kind, content in layers],
    }
    path = tmp_path / "manifests/registry.ollama.ai/library/theirs/7b"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest))

    with running(Config(port=0, data_dir=tmp_path, models_dir=tmp_path, num_thread=1)) as url:
        with ollama.Client(host=url, timeout=60, trust_env=False) as client:
            listed = client.list().models
            shown = client.show("THEIRS:7b")
            generated = client.generate("theirs:7b", "hello")

    [theirs] = [model for model in listed if model.model == "theirs:7b"]
    assert theirs.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert theirs.size == sum(len(content) for _, content in layers) + len(config)
    assert shown.license == "MIT"
    assert 'stop                           "<end>"' in (shown.parameters or "")
    assert generated.done_reason == "length"
    assert generated.eval_count == 4


def test_a_creation_whose_client_leaves_is_given_up(url: str, client: ollama.Client, folder: Path) -> None:
    large = write_model(folder / "large.gguf", n_embd=768, n_layer=4)
    client.create("large", files={"m.gguf": client.create_blob(large)})
    body = {"model": "gone", "from": "large", "quantize": "Q4_K_M"}
    with (
        httpx.Client(base_url=url, timeout=60, trust_env=False) as hasty,
        hasty.stream("POST", "/api/create", json=body) as response,
    ):
        next(response.iter_lines())

    deadline = time.monotonic() + PATIENCE
    while (folder / "models" / ".creating").exists() or any("quantize" in command for command in children().values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "gone:latest" not in names(client)
    client.delete("large")


def test_a_made_file_is_what_it_was(client: ollama.Client, base: str, gguf: Path) -> None:
    assert list(open_gguf(open_path(client, base)).tensors) == list(open_gguf(gguf).tensors)
