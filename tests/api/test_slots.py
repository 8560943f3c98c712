"""`/props` and `/slots` in llama-server's shapes; a slot's sequence saved, restored and erased."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from power.api.slots import is_file_name
from power.config import Config

from ..conftest import Serve
from ..support import TINY, add_model
from .conftest import running
from .test_progress import busy

FRANCE = "What is the capital of France? The weather"
GERMANY = "What is the capital of Germany? The weather"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    home = tmp_path_factory.mktemp("slots")
    return Config(port=0, data_dir=home, num_thread=1, context_length=256, slots_dir=home / "saved")


@pytest.fixture(scope="module")
def url(config: Config) -> Iterator[str]:
    with running(config) as url:
        yield url


def complete(http: httpx.Client, prompt: str, **fields: Any) -> dict[str, Any]:
    """The answer to an untemplated prompt, as /v1/completions gives it."""
    tokens = http.post("/tokenize", json={"model": "tiny", "content": prompt}).json()["tokens"]
    body = {"model": "tiny", "prompt": tokens, "temperature": 0, "max_tokens": 24} | fields
    reply = http.post("/v1/completions", json=body)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def computed(reply: dict[str, Any]) -> int:
    """Tokens of the prompt that were not in the cache."""
    return int(reply["usage"]["prompt_tokens"] - reply["usage"]["prompt_tokens_details"]["cached_tokens"])


def act(http: httpx.Client, slot: int | str, action: str, **body: Any) -> httpx.Response:
    return http.post(f"/slots/{slot}", params={"action": action}, json={"model": "tiny"} | body)


def unload(http: httpx.Client) -> None:
    """End all models' processes, and with them all that they have in memory."""
    for model in http.get("/api/ps").json()["models"]:
        http.post("/api/generate", json={"model": model["name"], "keep_alive": 0})
    while http.get("/api/ps").json()["models"]:
        pass


def test_a_saved_slot_is_there_again_after_the_process_ended(http: httpx.Client, config: Config) -> None:
    first = complete(http, FRANCE, id_slot=1)
    saved = act(http, 1, "save", filename="slot1.bin").json()
    unload(http)
    restored = act(http, 0, "restore", filename="slot1.bin").json()
    again = complete(http, FRANCE, id_slot=0)
    other = complete(http, GERMANY, id_slot=0)

    n_tokens = first["usage"]["total_tokens"]
    assert n_tokens - 2 <= saved["n_saved"] <= n_tokens  # the last token is told, and never computed
    assert restored["n_restored"] == saved["n_saved"]
    assert (saved["id_slot"], restored["id_slot"]) == (1, 0)
    assert saved["n_written"] == restored["n_read"] == (config.data_dir / "saved" / "slot1.bin").stat().st_size
    assert saved["timings"]["save_ms"] > 0
    assert restored["timings"]["restore_ms"] > 0
    assert again["choices"][0]["text"] == first["choices"][0]["text"]
    assert computed(again) == 1
    assert 1 < computed(other) < other["usage"]["prompt_tokens"]


def test_a_restored_sequence_goes_on_as_if_it_had_never_gone(http: httpx.Client) -> None:
    whole = complete(http, FRANCE, max_tokens=40)["choices"][0]["text"]
    unload(http)
    begun = complete(http, FRANCE, max_tokens=20, id_slot=2)["choices"][0]["text"]
    act(http, 2, "save", filename="half.bin")
    unload(http)
    act(http, 2, "restore", filename="half.bin")
    rest = complete(http, FRANCE + begun, max_tokens=20)

    assert begun + rest["choices"][0]["text"] == whole
    assert computed(rest) < 8


def test_restoring_what_is_there_changes_nothing(http: httpx.Client) -> None:
    first = complete(http, FRANCE, id_slot=0)
    saved = act(http, 0, "save", filename="twice.bin").json()
    for _ in range(3):
        complete(http, GERMANY)
        assert act(http, 3, "restore", filename="twice.bin").json()["n_restored"] == saved["n_saved"]

    again = complete(http, FRANCE)
    assert again["choices"][0]["text"] == first["choices"][0]["text"]
    assert computed(again) == 1


def test_an_erased_slot_is_computed_again(http: httpx.Client) -> None:
    unload(http)
    first = complete(http, FRANCE, id_slot=1)
    erased = act(http, 1, "erase").json()
    again = complete(http, FRANCE, id_slot=1)

    assert erased["id_slot"] == 1
    assert erased["n_erased"] > first["usage"]["prompt_tokens"]
    assert computed(again) == computed(first) == first["usage"]["prompt_tokens"]
    assert again["choices"] == first["choices"]


def test_erasing_keeps_what_others_have_a_part_in(http: httpx.Client) -> None:
    unload(http)
    complete(http, FRANCE, id_slot=0)
    complete(http, GERMANY, id_slot=1)
    act(http, 1, "erase")

    assert computed(complete(http, FRANCE)) == 1


def test_nothing_is_saved_of_a_slot_that_has_done_nothing(http: httpx.Client) -> None:
    unload(http)
    assert act(http, 3, "save", filename="empty.bin").json()["n_saved"] == 0
    assert act(http, 3, "restore", filename="empty.bin").json()["n_restored"] == 0
    assert act(http, 3, "erase").json()["n_erased"] == 0


@pytest.mark.parametrize(
    ("slot", "action", "body", "field"),
    [
        ("4", "save", {"filename": "a"}, "id_slot"),
        ("-1", "save", {"filename": "a"}, "id_slot"),
        ("one", "save", {"filename": "a"}, "id_slot"),
        ("0", "keep", {"filename": "a"}, "action"),
        ("0", "save", {}, "filename"),
        ("0", "save", {"filename": ""}, "filename"),
        ("0", "save", {"filename": "../a"}, "filename"),
        ("0", "save", {"filename": "a/b"}, "filename"),
        ("0", "save", {"filename": 5}, "filename"),
        ("0", "restore", {"filename": "nowhere.bin"}, "file"),
        ("0", "restore", {"filename": "damaged.bin"}, "damaged"),
        ("0", "restore", {"filename": "strange.bin"}, "no saved slot"),
    ],
)
def test_what_cannot_be_done_is_refused(
    http: httpx.Client, config: Config, slot: str, action: str, body: dict[str, Any], field: str
) -> None:
    complete(http, FRANCE, id_slot=0)
    act(http, 0, "save", filename="good.bin")
    folder = config.data_dir / "saved"
    data = bytearray((folder / "good.bin").read_bytes())
    data[-1] ^= 1
    (folder / "damaged.bin").write_bytes(data)
    (folder / "strange.bin").write_bytes(b"GGUF" * 100)

    reply = act(http, slot, action, **body)

    assert reply.status_code == 400, reply.text
    assert field in reply.json()["error"] or field == "id_slot"
    assert computed(complete(http, FRANCE)) == 1  # and the model goes on


def test_a_file_of_another_model_is_refused(http: httpx.Client, config: Config, tmp_path: Path) -> None:
    complete(http, FRANCE, id_slot=0)
    act(http, 0, "save", filename="tiny.bin")
    other = tmp_path / "other.gguf"
    other.write_bytes(TINY.read_bytes() + b"\0" * 32)
    add_model(config.models_dir, "other", other)
    reply = act(http, 0, "restore", model="other", filename="tiny.bin")

    assert reply.status_code == 400
    assert "another model" in reply.json()["error"]
    unload(http)


@pytest.mark.parametrize("name", ["a", "slot 1.bin", "ü.bin", "a" * 255])
def test_a_plain_name_is_a_file_name(name: str) -> None:
    assert is_file_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a..b",
        "a/b",
        "a\\b",
        "/etc/x",
        "a:b",
        "a\0",
        "a\n",
        " a",
        "a ",
        "a.",
        ".a",
        "a" * 256,
        "．．",
        "\ud800",
    ],
)
def test_what_is_more_than_a_name_is_none(name: str) -> None:
    assert not is_file_name(name)


def test_slots_tell_what_they_did(http: httpx.Client) -> None:
    reply = complete(http, FRANCE, id_slot=2, max_tokens=5, grammar="root ::= [a-z]{100}")
    slots = http.get("/slots", params={"model": "tiny"}).json()

    assert [slot["id"] for slot in slots] == [0, 1, 2, 3]
    assert all(slot["n_ctx"] == 256 and not slot["is_processing"] for slot in slots)
    did = slots[2]
    assert did["n_prompt_tokens"] == reply["usage"]["prompt_tokens"]
    assert did["n_prompt_tokens_cache"] == reply["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert did["n_prompt_tokens_processed"] == computed(reply)
    assert did["params"]["temperature"] == 0
    assert did["params"]["n_predict"] == 5
    assert did["next_token"] == [{"has_next_token": False, "n_remain": 0, "n_decoded": 5}]
    assert FRANCE not in str(slots)
    assert http.get("/slots", params={"fail_on_no_slot": 1, "model": "tiny"}).status_code == 200


def test_looking_loads_nothing(http: httpx.Client) -> None:
    unload(http)

    assert http.get("/slots").json() == []
    assert http.get("/slots", params={"model": "tiny"}).json() == []
    assert http.get("/props", params={"model": "tiny"}).json()["is_sleeping"]
    assert http.get("/props").json()["role"] == "router"
    assert http.get("/api/ps").json()["models"] == []
    assert http.get("/slots", params={"model": "nobody"}).status_code == 404
    assert http.get("/props", params={"model": "nobody"}).status_code == 404


def test_props_describe_the_model_in_memory(http: httpx.Client) -> None:
    complete(http, FRANCE)
    props = http.get("/props").json()
    shown = http.post("/api/show", json={"model": "tiny"}).json()

    assert props == http.get("/props", params={"model": "tiny"}).json()
    assert props["total_slots"] == 4
    assert props["default_generation_settings"]["n_ctx"] == 256
    assert props["default_generation_settings"]["params"]["top_k"] == 40
    assert props["chat_template"] == shown["template"]
    assert props["model_alias"] == "tiny:latest"
    assert props["modalities"] == {"vision": False, "video": False, "audio": False}
    assert not props["is_sleeping"]
    assert http.post("/props", json={}).status_code == 501


async def test_slots_are_only_saved_where_that_is_allowed(serving: Serve) -> None:
    async with serving(show_slots=False) as client:
        look = await client.get("/slots")
        save = await client.post("/slots/0?action=save", json={"model": "tiny", "filename": "a"})

    assert look.status_code == save.status_code == 501
    assert "slots_dir" in save.json()["error"]


async def test_a_busy_slot_is_shown_busy(serving: Serve, endless: Path) -> None:
    async with serving({"m": endless}, num_parallel=1) as client, busy(client):
        [slot] = (await client.get("/slots")).json()
        full = await client.get("/slots?fail_on_no_slot=1")

    assert slot["is_processing"]
    assert slot["next_token"][0]["has_next_token"]
    assert full.status_code == 503
