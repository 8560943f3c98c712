"""Pull a GGUF file by its URL, and make a model of it.

Nobody says its hash beforehand (Hugging Face does, in a header), so the parts
are kept under the hash of the URL, with the file's version (its ETag) beside
them: parts of one version are never completed with another's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import trio

from power.errors import RegistryError
from power.gguf import GGUFError
from power.gguf.facts import Facts, read_facts
from power.store.blob_pull import alone, tell
from power.store.digest import digest_of
from power.store.download import DigestMismatch, Download
from power.store.files import explained
from power.store.limits import Limits
from power.store.locks import hold
from power.store.manifest import CONFIG_TYPE, LAYER_TYPE, Layer, Manifest, ModelConfig
from power.store.network import Network, open_network
from power.store.parts import partial_path
from power.store.registry import check_status, patiently
from power.store.sources import FileSource
from power.store.space import check_space
from power.store.store import Store
from power.store.transfers import Progress, Report

_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


class RemoteFile(msgspec.Struct, frozen=True):
    """What its host says of a file."""

    size: int  # bytes
    version: str  # a strong ETag, or "" if it has none
    digest: str  # "sha256:…", or "" if it does not say
    has_ranges: bool


async def pull_file(store: Store, source: FileSource, insecure: bool, limits: Limits, report: Report) -> None:
    """Have the model `source.name` in the store when this returns; raises like a pull."""
    report(Progress("pulling manifest"))
    parts_of_url = urlsplit(source.url)
    home = f"{parts_of_url.scheme}://{parts_of_url.netloc.rpartition('@')[2]}"
    async with open_network(home, insecure=insecure, limits=limits) as network, AsyncExitStack() as held:
        remote = await patiently(lambda: look(network, source.url), limits)
        digest = await _fetch(store, network, source.url, remote, limits, report, held)
        report(Progress("verifying sha256 digest"))
        report(Progress("writing manifest"))
        await trio.to_thread.run_sync(_write_model, store, source, digest, remote.size)
    report(Progress("success"))


async def look(network: Network, url: str) -> RemoteFile:
    """Ask for the file's first byte, and learn the rest from the headers."""
    async with network.open("GET", url, {"Range": "bytes=0-0"}) as response:
        await check_status(response, 200, 206)
    has_ranges = response.status_code == 206
    said = response.headers.get("Content-Range", "").rpartition("/")[2]
    size = said if has_ranges else response.headers.get("Content-Length", "")
    if not size.isdecimal():
        raise RegistryError(f"{response.url.host} does not say how large the file is")
    linked = [_SHA256.fullmatch(hop.headers.get("X-Linked-Etag", "")) for hop in (*response.history, response)]
    digest = next((f"sha256:{match[1]}" for match in linked if match), "")
    etag = response.headers.get("ETag", "")
    return RemoteFile(int(size), "" if etag.startswith("W/") else etag[:200], digest, has_ranges)


async def _fetch(
    store: Store,
    network: Network,
    url: str,
    remote: RemoteFile,
    limits: Limits,
    report: Report,
    held: AsyncExitStack,
) -> str:
    """Have the file among the blobs, held, when this returns; its digest."""
    key = remote.digest or digest_of(url.encode())
    how_far = partial(tell, report, key, remote.size)
    await held.enter_async_context(hold(store.locks, [key]))
    await trio.to_thread.run_sync(check_space, store, [Layer(media_type="", digest=key, size=remote.size)])
    with explained("download a file", store.models_dir):
        async with alone(key, remote.size, store.blobs, store.locks, how_far) as is_needed:
            if not is_needed:
                return key
            if not remote.has_ranges:
                limits = msgspec.structs.replace(limits, max_parts=1, part_bytes=max(1, remote.size), n_connections=1)
            # Without a version nobody knows whether old parts fit: none do.
            version = remote.version or secrets.token_hex(8)
            path = store.blobs.path(key)
            download = Download(partial(_open_range, network, url, remote), path, remote.size, limits, version)
            got = await download.run(how_far)
            try:
                await trio.to_thread.run_sync(_check, partial_path(path), remote.digest, got)
            except RegistryError:
                await download.discard()
                raise
            await held.enter_async_context(hold(store.locks, [got]))
            await download.keep(store.blobs.path(got))
    how_far(remote.size)
    return got


@asynccontextmanager
async def _open_range(
    network: Network, url: str, remote: RemoteFile, start: int, end: int | None
) -> AsyncIterator[httpx.Response]:
    headers = {} if end is None or not remote.has_ranges else {"Range": f"bytes={start}-{end - 1}"}
    if headers and remote.version:
        headers["If-Range"] = remote.version
    async with network.open("GET", url, headers) as response:
        await check_status(response, 200, 206)
        if headers and response.status_code == 200 and start:
            raise RegistryError(f"{url} changed while it was downloaded")
        yield response


def _check(path: Path, wanted: str, got: str) -> None:
    """Is it what was announced, and a model at all? RegistryError if not."""
    if wanted not in ("", got):
        raise DigestMismatch(wanted, got)
    try:
        read_facts(path)
    except GGUFError as error:
        raise RegistryError(f"the file is no model: {error}") from error


def _write_model(store: Store, source: FileSource, digest: str, size: int) -> None:
    """Make the blob a model of that name."""
    config = msgspec.json.encode(_config(read_facts(store.blobs.path(digest))))
    with store.hold([digest_of(config)]):
        described, n_bytes = store.add_bytes(config)
        manifest = Manifest(
            config=Layer(media_type=CONFIG_TYPE, digest=described, size=n_bytes),
            layers=(Layer(media_type=LAYER_TYPE + "model", digest=digest, size=size),),
        )
        store.write_manifest(store.spelled(source.name), msgspec.json.encode(manifest))


def _config(facts: Facts) -> ModelConfig:
    return ModelConfig(
        model_format="gguf",
        model_family=facts.architecture,
        model_families=(facts.architecture,),
        model_type=facts.parameter_size,
        file_type=facts.quantization,
        architecture="amd64",  # what Ollama writes everywhere
        os="linux",
    )
