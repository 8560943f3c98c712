"""Push a model: every blob that the registry does not have, then the manifest that lists them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import trio

from power.errors import BadRequest, StoreError
from power.store.files import explained
from power.store.limits import Limits
from power.store.locks import hold
from power.store.manifest import Layer, Manifest, ManifestError, decode_json
from power.store.names import Name, parse_name
from power.store.network import Bytes, open_network
from power.store.registry import Registry, check_status, patiently
from power.store.sources import FileSource, Source, source_of
from power.store.store import Store
from power.store.transfers import Progress, Report
from power.store.upload import Upload


@asynccontextmanager
async def push(
    store: Store, name: str, *, insecure: bool = False, destination: str | None = None, limits: Limits | None = None
) -> AsyncIterator[AsyncIterator[Progress]]:
    """Push a model to the registry of its name, or to `destination`; inside, the progress.

    A destination is another name, or a registry's URL to push under the same name to. The iterator ends when the
    registry has it all. It raises:
        StoreError: there is no such model here, or it is not all here.
        RegistryError: the registry does not take it.

    Raises:
        BadRequest: a name is not valid, or says http:// without `insecure`.
    """
    limits = limits or store.limits
    if store.transfers is None:
        raise AssertionError("this store was not opened by open_store")
    if not name.strip():
        raise BadRequest("model is required", field="model")
    here = source_of(name, insecure=insecure)
    if isinstance(here, FileSource):
        raise BadRequest("invalid model name", field="model")
    there = _destination(here, destination, insecure) if destination else here

    async def work(report: Report) -> None:
        await _push(store, here.name, there, insecure, limits, report)

    key = ("push", here.name.full.lower(), there.base, there.name.full, insecure)
    async with store.transfers.follow(key, work) as progress:
        yield progress


def _destination(here: Source, text: str, insecure: bool) -> Source:
    """Where to push: `scheme://host[:port]` takes the rest from the model's own name."""
    try:
        parts = urlsplit(text.strip().rstrip("/"))
    except ValueError as error:
        raise BadRequest("invalid destination", field="destination") from error
    if parts.scheme in ("http", "https") and parts.netloc and not parts.path:
        whole = f"{parts.scheme}://{parts.netloc}/{here.name.namespace}/{here.name.model}:{here.name.tag}"
        there = source_of(whole, insecure=insecure)
    else:
        there = source_of(text, insecure=insecure)
    if isinstance(there, FileSource):
        raise BadRequest("invalid destination", field="destination")
    return there


async def _push(store: Store, name: Name, there: Source, insecure: bool, limits: Limits, report: Report) -> None:
    report(Progress("retrieving manifest"))
    try:
        data = await trio.to_thread.run_sync(_manifest, store, name)
    except FileNotFoundError:
        report(Progress("couldn't retrieve manifest"))
        raise StoreError(f"open {'/'.join(('manifests', *name.parts))}: no such file or directory") from None
    manifest = _decode(data)
    layers = [_from_same_registry(layer, there) for layer in (*manifest.layers, manifest.config)]
    async with (
        hold(store.locks, [layer.digest for layer in layers]),
        open_network(there.base, insecure=insecure, limits=limits) as network,
    ):
        registry = Registry(network, there.repository, store.data_dir, limits)
        for layer in layers:
            await _push_blob(store, registry, layer, limits, report)
        report(Progress("pushing manifest"))
        await patiently(lambda: _put_manifest(registry, there.name.tag, manifest.media_type, data), limits)
    report(Progress("success"))


def _manifest(store: Store, name: Name) -> bytes:
    """Raises FileNotFoundError, or StoreError."""
    stored = store.manifests.stored_as(name)
    if stored is None:
        raise FileNotFoundError
    with explained("read a manifest", store.models_dir):
        return store.manifests.read(stored)


def _decode(data: bytes) -> Manifest:
    try:
        return decode_json(data, Manifest, "the manifest")
    except ManifestError as error:
        raise StoreError(str(error)) from error


def _from_same_registry(layer: Layer, there: Source) -> Layer:
    """The layer, saying only what this registry understands: from which of its own models it was taken."""
    try:
        origin = parse_name(layer.source)
    except BadRequest:
        origin = None
    is_its_own = origin is not None and origin.host.lower() == there.name.host.lower()
    source = f"{origin.namespace}/{origin.model}" if origin and is_its_own else ""
    return msgspec.structs.replace(layer, source=source)


async def _push_blob(store: Store, registry: Registry, layer: Layer, limits: Limits, report: Report) -> None:
    if await trio.to_thread.run_sync(store.blobs.size, layer.digest) != layer.size:
        raise StoreError(f"blob {layer.digest} is missing, or not as long as the manifest says")
    short = layer.digest.removeprefix("sha256:")[:12]

    def tell(completed: int) -> None:
        report(Progress(f"pushing {short}", layer.digest, layer.size, completed))

    with explained("read a blob", store.models_dir):
        await Upload(registry, layer, store.blobs.path(layer.digest), limits).run(tell)


async def _put_manifest(registry: Registry, tag: str, media_type: str, data: bytes) -> None:
    headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
    url = registry.url(f"manifests/{tag}")
    async with registry.open("PUT", url, headers, lambda: Bytes(data), follow=False) as response:
        await check_status(response)
