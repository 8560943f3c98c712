"""Copy, delete and prune; and that nothing somebody needs is ever removed, by whichever process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import patch

import pytest
import trio

from power.config import Config
from power.errors import BadRequest, BlobNotFound, ModelNotFound, StoreError
from power.store import Store, open_store
from power.store.locks import Locks
from tests.store.conftest import Shelf
from tests.support import wait_until

LIBRARY = "registry.ollama.ai/library"
OLD = time.time() - 2 * 3600


def blobs(shelf: Shelf) -> set[str]:
    return {path.name for path in (shelf.models_dir / "blobs").glob("*")}


def age(*paths: Path, to: float = OLD) -> None:
    for path in paths:
        os.utime(path, (to, to), follow_symlinks=False)


def test_a_copy_is_the_same_model_under_another_name(shelf: Shelf) -> None:
    path = shelf.model(f"{LIBRARY}/one/v1", ("system", "Be brief."))
    store = shelf.open()

    store.copy("one:v1", "me/two:v2")

    assert (shelf.models_dir / "manifests/registry.ollama.ai/me/two/v2").read_bytes() == path.read_bytes()
    assert store.find("me/two:v2").system == "Be brief."
    assert store.find("one:v1").digest == store.find("me/two:v2").digest


def test_a_copy_over_a_model_keeps_its_spelling_and_removes_what_only_it_used(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/one/v1")
    needed = blobs(shelf)
    shelf.model(f"{LIBRARY}/Two/Latest", ("system", "only here"))
    store = shelf.open()

    store.copy("one:v1", "two")

    assert [str(name) for name in store.manifests.names()] == ["Two:Latest", "one:v1"]
    assert blobs(shelf) == needed


def test_with_noprune_a_replaced_model_leaves_its_blobs(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/one/v1")
    shelf.model(f"{LIBRARY}/two/latest", ("system", "only here"))
    before = blobs(shelf)

    Store(shelf.models_dir, shelf.packaged, noprune=True).copy("one:v1", "two")

    assert blobs(shelf) == before


def test_the_embedded_model_can_be_copied(shelf: Shelf) -> None:
    store = shelf.open()

    store.copy("tiny", "mine")

    assert store.find("mine").path.read_bytes() == shelf.packaged.read_bytes()


def test_a_copy_says_which_name_is_wrong(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/one/v1")
    store = shelf.open()

    with pytest.raises(BadRequest, match=r'^source "a b" is invalid$'):
        store.copy("a b", "two")
    with pytest.raises(BadRequest, match=r'^destination "\.\./two" is invalid$'):
        store.copy("one:v1", "../two")
    with pytest.raises(ModelNotFound):
        store.copy("nothing", "two")


def test_a_deleted_model_takes_its_own_blobs_and_folders_along(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/kept/latest", ("system", "shared"))
    kept = blobs(shelf)
    shelf.model("host.example:5000/me/gone/v1", ("system", "shared"), ("license", "only here"))
    store = shelf.open()

    store.delete("host.example:5000/ME/gone:V1")

    assert blobs(shelf) == kept
    assert [path.name for path in (shelf.models_dir / "manifests").iterdir()] == ["registry.ollama.ai"]
    with pytest.raises(ModelNotFound):
        store.find("host.example:5000/me/gone:v1")
    with pytest.raises(ModelNotFound):
        store.delete("host.example:5000/me/gone:v1")
    with pytest.raises(BadRequest, match=r'^name "\.\." is invalid$'):
        store.delete("..")


def test_a_broken_model_can_be_deleted(shelf: Shelf) -> None:
    shelf.manifest(f"{LIBRARY}/broken/latest", b"not json")

    shelf.open().delete("broken")

    assert list(shelf.open().manifests.names()) == []


def test_while_a_manifest_is_broken_no_blob_is_removed(shelf: Shelf) -> None:
    shelf.manifest(f"{LIBRARY}/broken/latest", b"not json")
    shelf.model(f"{LIBRARY}/gone/latest")
    before = blobs(shelf)
    age(*(shelf.models_dir / "blobs").glob("*"))

    shelf.open().delete("gone")
    shelf.open().prune()

    assert blobs(shelf) == before


def test_pruning_removes_old_blobs_without_a_model_and_what_dead_writers_left(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/kept/latest")
    kept = blobs(shelf)
    folder = shelf.models_dir / "blobs"
    young = {shelf.blob(b"young")["digest"].replace(":", "-"), f"sha256-{'a' * 64}-partial", ".power-young"}
    for name in young - blobs(shelf):
        (folder / name).write_bytes(b"")
    week = f"sha256-{'b' * 64}-partial"
    (folder / week).write_bytes(b"")
    shelf.blob(b"old")
    for name in (".power-old", "sha256-tmp123", f"sha256-{'c' * 64}-partial-0", "sha256:" + "d" * 64, "link"):
        (folder / name).write_bytes(b"")
    (folder / "link").unlink()
    (folder / "link").symlink_to(shelf.packaged)
    (folder / "folder").mkdir()
    age(*(path for path in folder.iterdir() if path.name not in young))
    age(folder / f"sha256-{'c' * 64}-partial-0", to=time.time() - 8 * 24 * 3600)
    (shelf.models_dir / "manifests" / "empty" / "folder").mkdir(parents=True)

    n_removed = shelf.open().prune()

    assert n_removed == 6
    assert blobs(shelf) == kept | young | {week, "folder"}
    assert shelf.packaged.is_file()
    assert [path.name for path in (shelf.models_dir / "manifests").iterdir()] == ["registry.ollama.ai"]


def test_what_somebody_holds_is_not_removed(shelf: Shelf) -> None:
    digest = shelf.blob(b"about to be used")["digest"]
    age(*(shelf.models_dir / "blobs").glob("*"))
    store = shelf.open()

    with shelf.open().hold([digest]):
        store.prune()
        with pytest.raises(BadRequest, match="in use"):
            store.delete_blob(digest)
        assert store.has_blob(digest)
    store.delete_blob(digest)

    with pytest.raises(BlobNotFound, match=f'^blob "{digest}" not found$'):
        store.open_blob(digest)
    assert list((shelf.models_dir / "locks").iterdir()) == []


def test_a_blob_that_was_used_is_young_again(shelf: Shelf) -> None:
    digest = shelf.blob(b"used again")["digest"]
    age(*(shelf.models_dir / "blobs").glob("*"))

    assert shelf.open().has_blob(digest)
    shelf.open().prune()

    assert blobs(shelf) == {digest.replace(":", "-")}


async def test_opening_prunes_if_asked_to(shelf: Shelf) -> None:
    shelf.blob(b"old")
    age(*(shelf.models_dir / "blobs").glob("*"))
    config = Config(data_dir=shelf.models_dir.parent, models_dir=shelf.models_dir)

    async with open_store(config, prune=True, noprune=True):
        await trio.sleep(0.05)
    assert blobs(shelf)
    async with open_store(config, prune=True):
        await wait_until(lambda: not blobs(shelf))


async def test_blobs_with_names_of_ollamas_first_years_get_todays(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/one/v1")
    folder = shelf.models_dir / "blobs"
    before = blobs(shelf)
    for name in before:
        (folder / name).rename(folder / name.replace("-", ":"))
    (folder / "sha256:else").write_bytes(b"")

    async with open_store(Config(data_dir=shelf.models_dir.parent, models_dir=shelf.models_dir)) as store:
        assert store.find("one:v1")

    assert blobs(shelf) == before | {"sha256:else"}


# Blobs


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def test_a_blob_is_stored_once_and_only_if_it_is_what_it_should_be(store: Store, shelf: Shelf) -> None:
    digest = f"sha256:{hashlib.sha256(b'hello').hexdigest()}"

    with pytest.raises(BadRequest, match=f'^digest mismatch, expected "{digest}", got "sha256:'):
        await store.put_blob(pieces(b"help"), digest)
    assert blobs(shelf) == set()
    assert await store.put_blob(pieces(b"hel", b"", b"lo"), digest)
    assert not await store.put_blob(pieces(), digest.replace(":", "-"))

    with store.open_blob(digest) as file:
        assert file.read() == b"hello"
    assert blobs(shelf) == {digest.replace(":", "-")}


async def test_a_blob_that_breaks_off_leaves_nothing(store: Store, shelf: Shelf) -> None:
    digest = f"sha256:{'0' * 64}"
    with trio.move_on_after(0.1):

        class Slow:
            def __aiter__(self) -> Slow:
                return self

            async def __anext__(self) -> bytes:
                await trio.sleep(0.01)
                return bytes(10**6)

        await store.put_blob(Slow(), digest)

    assert blobs(shelf) == set()


def test_a_file_becomes_a_blob_without_a_second_copy(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"some model")

    digest, size = shelf.open().add_file(file)

    blob = shelf.open().blobs.path(digest)
    assert (blob.read_bytes(), size) == (b"some model", 10)
    assert blob.stat().st_nlink == 2 or blob.stat().st_ino != file.stat().st_ino
    assert shelf.open().add_file(file) == (digest, size)
    assert blobs(shelf) == {blob.name}


def test_a_file_is_copied_where_nothing_else_works(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"some model")

    with patch("power.store.files.os.link", side_effect=OSError(18, "Invalid cross-device link")):
        digest, _ = shelf.open().add_file(file)

    assert shelf.open().blobs.path(digest).read_bytes() == b"some model"
    assert file.stat().st_nlink == 1


def test_only_regular_files_become_blobs(shelf: Shelf, tmp_path: Path) -> None:
    """CVE-2024-39721."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), tmp_path / "nothing"):
        with pytest.raises(BadRequest, match="cannot read"):
            shelf.open().add_file(path)
    assert blobs(shelf) == set()


def test_a_full_disk_is_named_and_nothing_is_lost(shelf: Shelf) -> None:
    shelf.model(f"{LIBRARY}/one/v1")
    before = blobs(shelf)
    store = shelf.open()

    for call in ("fsync", "replace"):
        with patch(f"power.store.files.os.{call}", side_effect=OSError(28, "No space left on device")):
            with pytest.raises(StoreError, match=r"cannot .* in the store at .*: no space left on the disk"):
                store.add_bytes(b"new")
            with pytest.raises(StoreError, match="no space left on the disk"):
                store.copy("one:v1", "two")

    assert blobs(shelf) == before
    assert [str(name) for name in store.manifests.names()] == ["one:v1"]


# Locks


def test_a_model_that_is_removed_while_all_are_listed_is_passed_over(shelf: Shelf) -> None:
    for name in ("one", "two", "three"):
        shelf.model(f"{LIBRARY}/{name}/latest")
    store = shelf.open()

    listed = store.manifests.names()
    found = [next(listed)]
    store.delete("two")
    found += listed

    assert [name.model for name in found] == ["one", "three"]


def test_a_lock_that_is_kept_is_waited_for_and_then_complained_about(tmp_path: Path) -> None:
    locks = Locks(tmp_path, patience=0.05)

    with locks.exclusive("manifests"):
        with pytest.raises(StoreError, match="keeps the store's lock"), locks.shared(["manifests"]):
            pass
    with locks.shared(["a", "b"]), locks.shared(["a"]), locks.try_exclusive(["a", "b", "c"]) as ours:
        assert ours == ["c"]


KILLED = """
import sys, time
from pathlib import Path
from power.store.locks import Locks
with Locks(Path(sys.argv[1])).exclusive("manifests"):
    print("have it", flush=True)
    time.sleep(60)
"""


def test_a_lock_of_a_process_that_is_killed_is_free(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"have it\n"
    process.kill()
    process.communicate(timeout=60)

    with Locks(tmp_path, patience=1).exclusive("manifests"):
        pass


# Creates models, copies them, deletes them and prunes, as fast as it can, among others that do the same.
CROWD = """
import random, sys, time
from pathlib import Path
from power.errors import LoadFailed, ModelNotFound
from power.store import Store, parse_name
from power.store.manifest import CONFIG_TYPE, LAYER_TYPE, Layer, Manifest
import msgspec, power.store.pruning as pruning
pruning.GRACE = -1.0
models_dir, packaged, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
rng, store = random.Random(seed), Store(models_dir, packaged)
def create(name):
    texts = [b"{}", rng.choice([b"a", b"b", b"c"])]
    digests = ["sha256:" + __import__("hashlib").sha256(t).hexdigest() for t in (*texts, packaged.read_bytes())]
    with store.hold(digests):
        config, system = [store.add_bytes(text) for text in texts]
        model = store.add_file(packaged)
        layers = (Layer(media_type=LAYER_TYPE + "model", digest=model[0], size=model[1]),
                  Layer(media_type=LAYER_TYPE + "system", digest=system[0], size=system[1]))
        manifest = Manifest(config=Layer(media_type=CONFIG_TYPE, digest=config[0], size=config[1]), layers=layers)
        store.write_manifest(parse_name(name), msgspec.json.encode(manifest))
end, n_found = time.monotonic() + 1.2, 0
while time.monotonic() < end:
    name = rng.choice("xyz")
    match rng.randrange(6):
        case 0 | 1: create(name)
        case 2: store.prune()
        case _:
            try:
                match rng.randrange(3):
                    case 0: store.delete(name)
                    case 1: store.copy(name, rng.choice("xyz"))
                    case 2: store.find(name); n_found += 1
            except ModelNotFound: pass
            except LoadFailed as error:
                # Deleted between two looks of ours. What must never be is a model that stays broken.
                for _ in range(20):
                    try: store.find(name)
                    except ModelNotFound: break
                    except LoadFailed: time.sleep(0.1)
                    else: break
                else: raise
print(n_found)
"""


def test_a_crowd_of_processes_creates_copies_deletes_and_prunes_and_no_model_breaks(shelf: Shelf) -> None:
    command = [sys.executable, "-c", CROWD, str(shelf.models_dir), str(shelf.packaged)]
    crowd = [
        subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for seed in range(3)
    ]

    results = [process.communicate(timeout=60) for process in crowd]

    assert [process.returncode for process in crowd] == [0, 0, 0], results
    store = shelf.open()
    for name in store.manifests.names():
        assert store.find(name.full)
    assert not [path for path in shelf.models_dir.rglob(".power-*") if path.is_file()]
