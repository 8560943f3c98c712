"""Pull a model: its manifest, then every blob it lists, then its name.

The manifest is written last, byte for byte as it came, so a name never stands
for a model that is not all there.  While a pull runs it holds its blobs, and so
neither a delete nor a prune, in whatever process, takes one away beneath it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from power.errors import BadRequest, RegistryError
from power.store.blob_pull import pull_blob
from power.store.digest import parse_digest
from power.store.file_pull import pull_file
from power.store.limits import Limits
from power.store.locks import hold
from power.store.manifest import Layer, Manifest, ManifestError, decode_json
from power.store.names import Name
from power.store.network import Unreachable, open_network
from power.store.registry import NotThere, Registry, patiently
from power.store.sources import FileSource, Source, known_source, source_of
from power.store.space import check_space
from power.store.store import Store
from power.store.transfers import Progress, Report


@asynccontextmanager
async def pull(
    store: Store, name: str, *, insecure: bool = False, limits: Limits | None = None
) -> AsyncIterator[AsyncIterator[Progress]]:
    """Pull a model by its name, or a GGUF file by its URL; inside, the progress.

    The iterator ends when the model is there. It raises:
        RegistryError: the model cannot be had, or is not what it claims to be.
        StoreError: the disk does not take it.

    Everybody who pulls the same model follows the same pull, and the last one to
    leave the block cancels it. What came so far stays, and the next pull goes on there.

    Raises:
        BadRequest: the name is not valid, or says http:// without `insecure`.
    """
    limits = limits or store.limits
    if store.transfers is None:
        raise AssertionError("this store was not opened by open_store")
    source = source_of(name, insecure=insecure)
    key = ("pull", source.url if isinstance(source, FileSource) else source.name.full.lower(), insecure)

    async def work(report: Report) -> None:
        if isinstance(source, FileSource):
            await pull_file(store, source, insecure, limits, report)
        else:
            await _pull(store, source, insecure, limits, report)

    async with store.transfers.follow(key, work) as progress:
        yield progress


async def _pull(store: Store, source: Source, insecure: bool, limits: Limits, report: Report) -> None:
    name = await trio.to_thread.run_sync(store.spelled, source.name)
    report(Progress("pulling manifest"))
    try:
        await _pull_from(store, Source(name=name, scheme=source.scheme), name, insecure, limits, report)
    except _NoManifest as error:
        elsewhere = known_source(name)
        if elsewhere is None:
            raise
        try:
            await _pull_from(store, elsewhere, name, insecure, limits, report)
        except _NoManifest as second:
            raise RegistryError(f"{error.message}; {elsewhere.name}: {second.message}") from second


class _NoManifest(RegistryError):
    """There is none, or nobody to ask for it: another place may have it."""


async def _pull_from(store: Store, source: Source, name: Name, insecure: bool, limits: Limits, report: Report) -> None:
    async with open_network(source.base, insecure=insecure, limits=limits) as network:
        registry = Registry(network, source.repository, store.data_dir, limits)
        data = await _manifest(registry, source.name.tag, limits)
        layers = blobs_of(data)
        async with hold(store.locks, [layer.digest for layer in layers]):
            await trio.to_thread.run_sync(check_space, store, layers)
            for layer in layers:
                await pull_blob(registry, layer.digest, layer.size, store.blobs, store.locks, limits, report)
            report(Progress("verifying sha256 digest"))
            report(Progress("writing manifest"))
            if await trio.to_thread.run_sync(store.write_manifest, name, data):
                report(Progress("removing unused layers"))
    report(Progress("success"))


async def _manifest(registry: Registry, tag: str, limits: Limits) -> bytes:
    try:
        return await patiently(lambda: registry.manifest(tag), limits)
    except (NotThere, Unreachable) as error:
        raise _NoManifest(f"pull model manifest: {error.message}") from error
    except RegistryError as error:
        raise RegistryError(f"pull model manifest: {error.message}") from error


def blobs_of(data: bytes) -> list[Layer]:
    """The blobs that a registry's manifest lists, layers first, each once, with their digests as `sha256:<hex>`.

    Raises:
        RegistryError: it is no manifest, or one that we would not want to follow.
    """
    try:
        manifest = decode_json(data, Manifest, "the manifest")
        found: dict[str, Layer] = {}
        for layer in (*manifest.layers, manifest.config):
            digest = f"sha256:{parse_digest(layer.digest)}"
            known = found.setdefault(digest, Layer(media_type=layer.media_type, digest=digest, size=layer.size))
            if layer.size < 0 or layer.size != known.size:
                raise RegistryError(f"pull model manifest: {layer.size} bytes cannot be the size of {digest}")
    except (ManifestError, BadRequest) as error:
        raise RegistryError(f"pull model manifest: {error}") from error
    return list(found.values())
