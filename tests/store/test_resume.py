"""A pull that breaks off goes on where it was: after a hang-up, after `kill -9`, and after Ollama."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from power.config import Config
from power.store import Progress, Store, open_store, parts, pull
from power.store.limits import Limits
from power.store.parts import Part, frontier, load, plan, save
from tests.store.conftest import Shelf
from tests.store.moving import QUICK, pulled, pushed
from tests.store.registries import CountingProxy, FakeRegistry, add_model, docker_registry
from tests.support import wait_until

PART = 2**18
DATA = random.Random(1).randbytes(20 * PART + 5)
SLOW = msgspec.structs.replace(QUICK, part_bytes=PART, n_connections=4)

PULL = """
import sys, trio
from pathlib import Path
from power.config import Config
from power.store import open_store, pull
from power.store.limits import Limits
async def main(data_dir, name, part_bytes):
    async with open_store(Config(data_dir=Path(data_dir))) as store:
        limits = Limits(part_bytes=int(part_bytes), n_connections=4, record_every=0.02)
        async with pull(store, name, insecure=True, limits=limits) as events:
            async for event in events:
                if event.completed:
                    print("on its way", flush=True)
trio.run(main, *sys.argv[1:])
"""


def finished_bytes(blob: Path) -> int:
    """Bytes of the parts of a blob that are finished, by their records."""
    records = [json.loads(path.read_bytes()) for path in parts.record_paths(blob)]
    return sum(record["Size"] for record in records if record["Size"] == record["Completed"])


async def test_a_pull_that_is_killed_goes_on_with_the_parts_that_are_not_finished(
    store: Store, shelf: Shelf, tmp_path: Path
) -> None:
    rng = random.Random(2)
    with docker_registry(tmp_path / "registry") as host, CountingProxy(host) as proxy:
        shelf.model(f"{proxy.host}/team/large/v1", ("license", DATA.decode("latin-1")))
        large = next(path for path in shelf.models_dir.glob("blobs/*") if path.stat().st_size > len(DATA))
        await pushed(store, f"{proxy.host}/team/large:v1")
        proxy.pause = 0.03
        command = [sys.executable, "-c", PULL, str(tmp_path / "other"), f"{proxy.host}/team/large:v1", str(PART)]
        coming = tmp_path / "other/models/blobs" / large.name
        finished = [0]
        for _ in range(3):
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            await trio.to_thread.run_sync(process.stdout.readline)
            await wait_until(lambda: finished_bytes(coming) > finished[-1])
            await trio.sleep(rng.uniform(0, 0.1))
            process.kill()
            process.communicate(timeout=60)
            finished.append(finished_bytes(coming))
        await wait_until(lambda: not proxy.n_open)  # what was on its way to the killed one
        proxy.n_bytes, proxy.pause = 0, 0

        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)

    assert finished == sorted(finished)
    assert 0 < finished[-1] < large.stat().st_size
    assert proxy.n_bytes < large.stat().st_size - finished[-1] + shelf.packaged.stat().st_size + 50_000
    other = tmp_path / "other/models"
    assert {path.name: path.read_bytes() for path in other.glob("blobs/sha256-*")} == {
        path.name: path.read_bytes() for path in shelf.models_dir.glob("blobs/*")
    }


@pytest.fixture
def name(fake: FakeRegistry) -> str:
    return add_model(fake, DATA)


def blob_of(store: Store) -> Path:
    return store.blobs.path(f"sha256:{hashlib.sha256(DATA).hexdigest()}")


async def test_hanging_up_keeps_what_came(store: Store, shelf: Shelf, fake: FakeRegistry, name: str) -> None:
    with CountingProxy(fake.host) as proxy:
        proxy.pause = 0.02
        slow = name.replace(fake.host, proxy.host)
        async with pull(store, slow, insecure=True, limits=SLOW) as events:
            async for event in events:
                if event.completed > 3 * PART:
                    break
        assert store.transfers is not None
        await wait_until(
            lambda: (
                not (load(blob_of(store), len(DATA)) is None or list(shelf.models_dir.glob("locks/*")) or proxy.n_open)
            )
        )
        missing = parts.missing(blob_of(store), len(DATA))
        proxy.n_bytes, proxy.pause = 0, 0

        await pulled(store, slow, SLOW)

    assert len(DATA) - missing >= 3 * PART
    assert proxy.n_bytes < missing + 20_000
    assert blob_of(store).read_bytes() == DATA


async def test_ollamas_download_is_resumed(store: Store, fake: FakeRegistry, name: str) -> None:
    blob = blob_of(store)
    blob.parent.mkdir(parents=True)
    half = len(DATA) // 2
    (blob.parent / f"{blob.name}-partial").write_bytes(DATA[: half + 1000] + bytes(len(DATA) - half - 1000))
    for n, (offset, size, completed) in enumerate([(0, half, half), (half, len(DATA) - half, 1000)]):
        record = f'{{"N":{n},"Offset":{offset},"Size":{size},"Completed":{completed}}}\n'
        (blob.parent / f"{blob.name}-partial-{n}").write_text(record)

    await pulled(store, name)

    ranges = [request[2].get("Range") for request in fake.requests("GET", blob.name.removeprefix("sha256-"))]
    assert ranges == [f"bytes={half + 1000}-{len(DATA) - 1}"]
    assert blob.read_bytes() == DATA
    assert list(blob.parent.glob("*partial*")) == []


@given(st.integers(1, 10**12), st.integers(1, 10**9), st.integers(1, 300))
def test_the_parts_make_the_whole(size: int, part_bytes: int, max_parts: int) -> None:
    made = plan(size, Limits(part_bytes=part_bytes, max_parts=max_parts))

    assert len(made) <= max_parts
    assert [part.offset for part in made] == [0, *(part.end for part in made[:-1])]
    assert made[-1].end == size
    assert all(part.size > 0 for part in made)
    assert frontier(made) == 0


@settings(max_examples=25)  # each writes, with fsync
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=9), st.text(max_size=9))
def test_what_is_recorded_is_read_again_as_ollama_would_write_it(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int]], version: str
) -> None:
    blob = tmp_path_factory.mktemp("blobs") / f"sha256-{'0' * 64}"
    total, offset = sum(size for size, _ in sizes), 0
    parts.partial_path(blob).write_bytes(bytes(total))
    for n, (size, completed) in enumerate(sizes):
        part = Part(n, offset, size, min(size, completed))
        save(blob, part, part.completed, version)
        offset += size

    found = load(blob, total, version)

    assert found is not None
    assert [(part.size, part.completed) for part in found] == [(size, min(size, done)) for size, done in sizes]
    assert frontier(found) <= total - parts.missing(blob, total) or version
    assert load(blob, total + 1, version) is None
    assert load(blob, total, f"{version}x") is None
    record = json.loads(parts.record_path(blob, 0).read_bytes())
    assert list(record)[:4] == ["N", "Offset", "Size", "Completed"]
    parts.discard(blob)
    assert list(blob.parent.iterdir()) == []


@pytest.mark.parametrize(
    "records",
    [
        ["{}"],
        [""],
        ["[]"],
        ['{"N":0,"Offset":0,"Size":100,"Completed":101}'],
        ['{"N":0,"Offset":0,"Size":99,"Completed":1}'],
        ['{"N":0,"Offset":1,"Size":100,"Completed":1}'],
        ['{"N":0,"Offset":0,"Size":100,"Completed":-1}'],
        ['{"N":0,"Offset":0,"Size":60,"Completed":1}', '{"N":1,"Offset":50,"Size":50,"Completed":1}'],
        ['{"N":0,"Offset":0,"Size":50,"Completed":1}', '{"N":0,"Offset":50,"Size":50,"Completed":1}'],
        ['{"N":0,"Offset":0,"Size":100,"Completed":1e400}'],
        ['{"N":0,"Offset":0,"Size":1' + "0" * 5000],
    ],
)
def test_records_that_make_no_sense_are_no_parts(tmp_path: Path, records: list[str]) -> None:
    blob = tmp_path / f"sha256-{'0' * 64}"
    parts.partial_path(blob).write_bytes(bytes(100))
    for n, record in enumerate(records):
        parts.record_path(blob, n).write_text(record)

    assert load(blob, 100) is None
    assert parts.missing(blob, 100) == 100


# Sharing


async def collect(store: Store, name: str, into: list[Progress]) -> None:
    async with pull(store, name, insecure=True, limits=SLOW) as events:
        async for event in events:
            into.append(event)


async def test_two_who_pull_the_same_model_share_one_download(store: Store, fake: FakeRegistry, name: str) -> None:
    first, second = list[Progress](), list[Progress]()
    with CountingProxy(fake.host) as proxy:
        proxy.pause = 0.005
        slow = name.replace(fake.host, proxy.host)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, store, slow, first)
            await wait_until(lambda: len(first) > 2)
            nursery.start_soon(collect, store, slow.replace("team", "TEAM"), second)

    assert proxy.n_bytes < len(DATA) + 30_000
    assert [events[0].status for events in (first, second)] == ["pulling manifest"] * 2
    assert [events[-1].status for events in (first, second)] == ["success"] * 2


async def test_one_of_two_may_leave_and_the_other_gets_it(store: Store, fake: FakeRegistry, name: str) -> None:
    stayed, left = list[Progress](), list[Progress]()
    with CountingProxy(fake.host) as proxy:
        proxy.pause = 0.005
        slow = name.replace(fake.host, proxy.host)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, store, slow, stayed)
            async with trio.open_nursery() as mine:
                mine.start_soon(collect, store, slow, left)
                await wait_until(lambda: len(left) > 2)
                mine.cancel_scope.cancel()

    assert left[-1].status != "success"
    assert stayed[-1].status == "success"
    assert blob_of(store).read_bytes() == DATA


async def test_two_stores_that_pull_the_same_blob_download_it_once(
    store: Store, shelf: Shelf, fake: FakeRegistry, name: str
) -> None:
    """As two processes would: their locks are those of the files."""
    fake.manifests["team/other:v1"] = fake.manifests["team/model:v1"]
    ours, theirs = list[Progress](), list[Progress]()
    with CountingProxy(fake.host) as proxy:
        proxy.pause = 0.3
        slow = name.replace(fake.host, proxy.host)
        config = Config(data_dir=shelf.models_dir.parent, models_dir=shelf.models_dir)
        async with open_store(config) as other, trio.open_nursery() as nursery:
            nursery.start_soon(collect, store, slow, ours)
            await wait_until(lambda: len(ours) > 2)
            nursery.start_soon(collect, other, slow.replace("model", "other"), theirs)
            await wait_until(lambda: any(0 < event.completed < event.total for event in theirs))
            proxy.pause = 0

    assert proxy.n_bytes < len(DATA) + 30_000
    assert [events[-1].status for events in (ours, theirs)] == ["success"] * 2


async def test_everybody_who_follows_hears_of_the_failure(store: Store, fake: FakeRegistry, name: str) -> None:
    errors = list[str]()

    async def fail() -> None:
        try:
            await collect(store, name, [])
        except Exception as error:
            errors.append(str(error))

    def refuse(request: object) -> bool:
        time.sleep(0.05)
        return False

    fake.manifests.clear()
    fake.fault = refuse
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(fail)

    assert errors == ["pull model manifest: file does not exist"] * 3
    assert len(fake.seen) == 1
    assert store.transfers is not None
    assert len(store.transfers) == 0
