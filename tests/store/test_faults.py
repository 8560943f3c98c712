"""What a pull and a push do when the other side, the line or the disk is at fault."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import msgspec
import pytest
import trio

from power.errors import RegistryError, StoreError
from power.store import Store
from tests.store.conftest import Shelf
from tests.store.moving import QUICK, pulled, pushed
from tests.store.registries import FakeRegistry, Handler, add_model

DATA = random.Random(0).randbytes(10_500)  # eleven parts
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
BLOB = DIGEST.replace(":", "-")


@pytest.fixture
def name(fake: FakeRegistry) -> str:
    return add_model(fake, DATA)


def is_blob(request: Handler) -> bool:
    return request.command == "GET" and DIGEST in request.path


def times(
    n: int, fault: Callable[[Handler], object], at: Callable[[Handler], bool] = is_blob
) -> Callable[[Handler], bool]:
    """The fault, for the first n requests that are `at`."""
    left = [n]

    def once(request: Handler) -> bool:
        if not at(request) or left[0] <= 0:
            return False
        left[0] -= 1
        fault(request)
        return True

    return once


def leftovers(store: Store) -> list[str]:
    return sorted(path.name for path in store.blobs.folder.glob("*") if "partial" in path.name or path.name[0] == ".")


def is_whole(store: Store) -> bool:
    return store.blobs.path(DIGEST).read_bytes() == DATA


def stall(request: Handler) -> None:
    """Send a little, and then nothing."""
    request.send_response(206)
    request.send_header("Content-Length", "1000")
    start = int(request.headers["Range"].removeprefix("bytes=").partition("-")[0])
    request.send_header("Content-Range", f"bytes {start}-{start + 999}/{len(DATA)}")
    request.end_headers()
    request.wfile.write(DATA[start : start + 300])
    time.sleep(1)


def truncate(request: Handler) -> None:
    """Announce the whole range, and hang up after some of it."""
    start = int(request.headers["Range"].removeprefix("bytes=").partition("-")[0])
    end = min(start + 1000, len(DATA))
    request.send_response(206)
    request.send_header("Content-Length", str(end - start))
    request.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(DATA)}")
    request.end_headers()
    request.wfile.write(DATA[start : start + 100])
    request.close_connection = True


def hang_up(request: Handler) -> None:
    request.close_connection = True


@pytest.mark.parametrize(
    "fault",
    [
        hang_up,
        truncate,
        lambda request: request.answer(500, b"oh no"),
        lambda request: request.answer(503, Retry_After="0"),
        lambda request: request.answer(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
        lambda request: request.answer(408),
    ],
)
async def test_what_may_pass_is_tried_again(
    store: Store, fake: FakeRegistry, name: str, fault: Callable[[Handler], object]
) -> None:
    fake.fault = times(5, fault)

    await pulled(store, name)

    assert is_whole(store)
    assert leftovers(store) == []


async def test_a_part_that_stalls_is_asked_for_again_from_where_it_stalled(
    store: Store, fake: FakeRegistry, name: str
) -> None:
    fake.fault = times(1, stall, at=lambda request: "bytes=2000-" in request.headers.get("Range", ""))

    await pulled(store, name, msgspec.structs.replace(QUICK, stall=0.2))

    assert is_whole(store)
    assert [r[2]["Range"] for r in fake.requests("GET", DIGEST) if "2999" in r[2]["Range"]][-1] == "bytes=2300-2999"


@pytest.mark.parametrize("fault", [hang_up, lambda request: request.answer(500, b"oh no")])
async def test_what_does_not_pass_ends_the_pull_and_leaves_what_came(
    store: Store, fake: FakeRegistry, name: str, fault: Callable[[Handler], object]
) -> None:
    fake.fault = times(10**6, fault, at=lambda request: "bytes=5000-" in request.headers.get("Range", ""))

    with pytest.raises(RegistryError, match=r"max retries exceeded|bytes too early"):
        await pulled(store, name, msgspec.structs.replace(QUICK, n_connections=1, attempts=3))

    fake.fault = None
    fake.seen.clear()
    await pulled(store, name)
    assert is_whole(store)
    assert all("bytes=0-" not in request[2]["Range"] for request in fake.requests("GET", DIGEST))


async def test_a_busy_registry_is_asked_again_for_the_manifest(store: Store, fake: FakeRegistry, name: str) -> None:
    fake.fault = times(3, lambda request: request.answer(429), at=lambda request: "manifests" in request.path)

    await pulled(store, name)

    assert is_whole(store)


@pytest.mark.parametrize(("status", "said"), [(400, "400: what it says"), (403, "403: what it says"), (410, "410")])
async def test_what_the_registry_refuses_is_not_asked_for_again(
    store: Store, fake: FakeRegistry, name: str, status: int, said: str
) -> None:
    fake.fault = times(10**6, lambda request: request.answer(status, b"what it says"), at=lambda request: True)

    with pytest.raises(RegistryError, match=f"^pull model manifest: {said}"):
        await pulled(store, name)
    assert len(fake.seen) == 1


async def test_bytes_that_are_not_what_the_digest_says_are_thrown_away(
    store: Store, fake: FakeRegistry, name: str
) -> None:
    fake.blobs[DIGEST] = DATA[:-1] + b"!"

    with pytest.raises(RegistryError, match=f"^digest mismatch, file must be downloaded again: want {DIGEST}, got"):
        await pulled(store, name)
    assert leftovers(store) == []
    assert not store.has_blob(DIGEST)
    assert list(store.manifests.names()) == []


@pytest.mark.parametrize("served", [DATA + b"more", DATA[:-1], b""])
@pytest.mark.parametrize("has_ranges", [True, False])
async def test_a_blob_of_another_length_is_refused(
    store: Store, fake: FakeRegistry, name: str, served: bytes, has_ranges: bool
) -> None:
    fake.blobs[DIGEST] = served
    fake.has_ranges = has_ranges

    with pytest.raises(RegistryError):
        await pulled(store, name, msgspec.structs.replace(QUICK, attempts=2))
    assert not store.has_blob(DIGEST)


async def test_a_host_without_ranges_serves_too(store: Store, fake: FakeRegistry, name: str) -> None:
    fake.has_ranges = False

    await pulled(store, name)

    assert is_whole(store)


async def test_a_compressed_answer_is_refused(store: Store, fake: FakeRegistry, name: str) -> None:
    for at in (is_blob, lambda request: "manifests" in request.path):
        fake.fault = times(10**6, lambda request: request.answer(200, DATA, Content_Encoding="gzip"), at=at)

        with pytest.raises(RegistryError, match=r"compressed"):
            await pulled(store, name)


async def test_an_endless_manifest_is_cut_off(store: Store, fake: FakeRegistry, name: str) -> None:
    fake.manifests["team/model:v1"] = b" " * (2**22 + 1)

    with pytest.raises(RegistryError, match=r"more than 4194304 bytes"):
        await pulled(store, name)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "sha256:../../../../etc/passwd"},
        {"digest": ""},
        {"size": -1},
        {"size": 2**63},
        {"size": "many"},
        {"digest": DIGEST[:-1]},
    ],
)
async def test_a_manifest_that_makes_no_sense_is_refused_before_anything_is_fetched(
    store: Store, fake: FakeRegistry, name: str, change: dict[str, object]
) -> None:
    manifest = json.loads(fake.manifests["team/model:v1"])
    manifest["layers"][0] |= change
    fake.manifests["team/model:v1"] = json.dumps(manifest).encode()

    with pytest.raises((RegistryError, StoreError)):
        await pulled(store, name)
    assert not fake.requests("GET", "blobs")
    assert list(store.blobs.folder.glob("*")) == []


async def test_a_pull_that_would_not_fit_is_refused_before_it_begins(
    store: Store, fake: FakeRegistry, name: str
) -> None:
    with patch.object(shutil, "disk_usage", return_value=SimpleNamespace(free=10_000)):
        with pytest.raises(StoreError, match=r"not enough space on the disk .* needs 10502 more bytes, 10000 are free"):
            await pulled(store, name)
    assert not fake.requests("GET", "blobs")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("call", ["pwritev", "fdatasync", "replace", "ftruncate"])
async def test_a_disk_that_takes_no_more_loses_nothing_and_says_so(
    store: Store, fake: FakeRegistry, name: str, shelf: Shelf, call: str, code: int
) -> None:
    shelf.model("registry.ollama.ai/library/other/latest")
    with patch.object(os, call, side_effect=OSError(code, os.strerror(code))):
        with pytest.raises(StoreError, match=r"cannot download a blob in the store at .*: (no space|the disk)"):
            await pulled(store, name)
    assert list(map(str, store.manifests.names())) == ["other:latest"]

    await pulled(store, name)

    assert is_whole(store)
    assert store.find("other")


async def test_parts_that_lie_are_noticed_and_fetched_again(store: Store, fake: FakeRegistry, name: str) -> None:
    partial = store.blobs.folder / f"{BLOB}-partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(len(DATA)))
    record = {"N": 0, "Offset": 0, "Size": len(DATA), "Completed": 5000}
    (store.blobs.folder / f"{BLOB}-partial-0").write_text(json.dumps(record))

    await pulled(store, name)

    assert is_whole(store)
    assert leftovers(store) == []


@pytest.mark.parametrize("status", [500, 429, 416])
async def test_a_push_goes_on_after_a_part_failed(store: Store, shelf: Shelf, fake: FakeRegistry, status: int) -> None:
    path = shelf.model(f"{fake.host}/team/up/v1")

    def refuse(request: Handler) -> None:
        request.body()
        request.answer(status)

    fake.fault = times(2, refuse, at=lambda request: request.command == "PATCH")

    if status == 416:
        with pytest.raises(RegistryError, match=r"416"):
            await pushed(store, f"{fake.host}/team/up:v1")
    else:
        await pushed(store, f"{fake.host}/team/up:v1")
        assert fake.manifests["team/up:v1"] == path.read_bytes()


async def test_a_push_goes_on_where_the_session_stands(store: Store, shelf: Shelf, fake: FakeRegistry) -> None:
    shelf.model(f"{fake.host}/team/up/v1")
    size = shelf.packaged.stat().st_size

    def take_half(request: Handler) -> None:
        session = request.path.rpartition("/")[2]
        fake.uploads[session] += request.rfile.read(size // 2)
        request.close_connection = True

    fake.fault = times(1, take_half, at=lambda request: request.command == "PATCH")

    await pushed(store, f"{fake.host}/team/up:v1")

    patches = [request[2]["Content-Range"] for request in fake.requests("PATCH", "")]
    assert patches[:2] == [f"0-{size - 1}", f"{size // 2}-{size - 1}"]


async def test_a_push_may_be_sent_elsewhere_part_by_part(store: Store, shelf: Shelf, fake: FakeRegistry) -> None:
    path = shelf.model(f"{fake.host}/team/up/v1")

    def elsewhere(request: Handler) -> bool:
        if request.command == "PUT" and request.path.startswith("/bucket/"):
            fake.uploads[request.path.rpartition("/")[2]] += request.body()
            request.answer(200)
        elif request.command == "PATCH":
            request.body()
            request.answer(307, Location=f"/bucket/{request.path.rpartition('/')[2]}")
        else:
            return False
        return True

    fake.fault = elsewhere

    await pushed(store, f"{fake.host}/team/up:v1")

    assert fake.manifests["team/up:v1"] == path.read_bytes()
    assert set(fake.blobs) == {f"sha256:{path.name[7:]}" for path in shelf.models_dir.glob("blobs/*")}


async def test_who_speaks_plain_http_alone_is_told_apart(store: Store, fake: FakeRegistry, name: str) -> None:
    with pytest.raises(RegistryError, match=r"it does not speak HTTPS; plain HTTP is for those who say insecure"):
        await pulled(store, name, insecure=False)


async def test_nobody_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"^pull model manifest: cannot reach 127.0.0.1:1: "):
        await pulled(store, "127.0.0.1:1/team/model:v1")


# A disk with room for so much, as near as a process can have one without being root: the kernel takes no more.
CRAMPED = """
import resource, sys, trio
from pathlib import Path
from power.config import Config
from power.errors import StoreError
from power.store import open_store, pull
async def main(data_dir, name):
    async with open_store(Config(data_dir=Path(data_dir))) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        try:
            async with pull(store, name, insecure=True) as events:
                async for event in events:
                    pass
        except StoreError as error:
            print(error)
trio.run(main, *sys.argv[1:])
"""


async def test_what_the_kernel_does_not_take_is_told_and_nothing_is_lost(
    store: Store, shelf: Shelf, fake: FakeRegistry, name: str
) -> None:
    shelf.model("registry.ollama.ai/library/other/latest")
    command = [sys.executable, "-c", CRAMPED, str(shelf.models_dir.parent), name]

    done = await trio.run_process(command, capture_stdout=True)

    assert b"cannot download a blob in the store at " in done.stdout
    assert b"File too large" in done.stdout
    assert list(map(str, store.manifests.names())) == ["other:latest"]
    await pulled(store, name)
    assert is_whole(store)
