"""Make a model out of another, out of files, or both.

::

    base ─┐
    files ┴─ parts ─ quantize ─ layers ─ manifest

Everything on the way lies in a workspace or as a blob that no manifest names,
so whoever is cancelled, or dies, leaves no model that is half made: the
manifest comes last, at once, while all that it names is held.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from power.errors import BadRequest, ModelNotFound
from power.gguf import open_gguf, read_facts
from power.prompt.gotemplate import GoTemplateError, parse
from power.store.create_files import Part, Workshop, meter, open_model, thread_safe
from power.store.create_layers import NO_BASE, Base, assemble
from power.store.create_quantize import check_source, quantize
from power.store.create_request import CreateRequest, check_request
from power.store.create_templates import Template, detect_template
from power.store.create_workspace import open_workspace
from power.store.manifest import Manifest, decode_json
from power.store.model import Layers, StoredModel
from power.store.names import Name, parse_reference
from power.store.store import Store
from power.store.transfers import Progress, Report

Pull = Callable[[Name, Report], Awaitable[None]]
"""Gets a model that is not here; its progress is a part of the creation's."""


async def create(store: Store, request: CreateRequest, report: Report, *, pull: Pull, n_threads: int = 0) -> None:
    """Make the model; a model that had its name before is gone then, with what only it used.

    Raises:
        BadRequest: the request, or a file that it names, will not do.
        PowerError: what `pull` raises; the disk is full; a process died.
    """
    request = check_request(request)
    await trio.to_thread.run_sync(_check_template, request.template)
    base = await _find_base(store, request.base, report, pull) if request.base else NO_BASE
    with open_workspace(store.models_dir) as folder:
        workshop = Workshop(store.blobs, folder, report)
        parts = await trio.to_thread.run_sync(_parts, store, request, base, workshop)
        if request.quantize:
            parts = await _quantized(store, request, base, parts, folder, report, n_threads)
        await trio.to_thread.run_sync(_publish, store, request, base, parts, report)
    report(Progress(status="success"))


def _check_template(text: str | None) -> None:
    """Raises BadRequest, now rather than at the first answer."""
    try:
        parse(text or "")
    except GoTemplateError as error:
        raise BadRequest(f"template error: {error}", field="template") from error


async def _find_base(store: Store, name: str, report: Report, pull: Pull) -> Base:
    wanted = parse_reference(name)
    try:
        model = await trio.to_thread.run_sync(store.find, name)
    except ModelNotFound:
        await pull(wanted, report)
        model = await trio.to_thread.run_sync(store.find, name)
    return await trio.to_thread.run_sync(_read_base, store, model)


def _read_base(store: Store, model: StoredModel) -> Base:
    manifest = decode_json(store.manifests.read(model.name), Manifest, "the manifest")
    layers = Layers(store.models_dir, manifest)
    return Base(str(model.name), manifest.layers, layers.config(), layers.params())


def _parts(store: Store, request: CreateRequest, base: Base, workshop: Workshop) -> list[Part]:
    """The GGUFs that the files make; of models there is one, here or in the base."""
    parts = workshop.parts(request.files, "files") if request.files else []
    n_models = sum(part.role == "model" for part in parts)
    if n_models > 1 or (n_models and request.base):
        raise BadRequest("there is more than one model among 'from' and 'files'", field="files")
    if not n_models and not request.base:
        raise BadRequest("there is no model among the files", field="files")
    adapters = workshop.parts(request.adapters, "adapters") if request.adapters else []
    for part in adapters:
        if part.role != "adapter":
            raise BadRequest(f"a {part.role} is not an adapter", field="adapters")
    return parts + adapters + (_draft(request, workshop) if request.draft_files else [])


def _draft(request: CreateRequest, workshop: Workshop) -> list[Part]:
    """The draft model. Whether it has the same vocabulary, loading tells."""
    parts = workshop.parts(request.draft_files, "draft_files")
    if len(parts) != 1 or parts[0].role != "model" or "completion" not in parts[0].facts.capabilities:
        raise BadRequest("a draft is one model that generates text", field="draft_files")
    if not parts[0].facts.stands_alone:
        raise BadRequest("a draft is a model of its own, not a head of another", field="draft_files")
    return [parts[0]._replace(role="draft")]


async def _quantized(
    store: Store, request: CreateRequest, base: Base, parts: list[Part], folder: Path, report: Report, n_threads: int
) -> list[Part]:
    """The parts with the model in the type that was asked for."""
    model = await trio.to_thread.run_sync(_model_of, store, base, parts)
    if model.facts.quantization == request.quantize:
        return parts
    check_source(model.facts)
    out = folder / "quantized.gguf"
    what = f"quantizing {model.facts.quantization} model to {request.quantize}"
    imatrix = await trio.to_thread.run_sync(_imatrix, store, request.imatrix) if request.imatrix else None
    await quantize(
        model.path, out, request.quantize, imatrix=imatrix, n_threads=n_threads, progress=meter(report, what)
    )
    facts = await trio.to_thread.run_sync(_validated, out, report)
    return [part for part in parts if part.role != "model"] + [facts]


def _model_of(store: Store, base: Base, parts: list[Part]) -> Part:
    for part in parts:
        if part.role == "model":
            return part
    layer = next(layer for layer in base.layers if layer.kind == "model")
    path = store.blobs.path(layer.digest)
    return Part("model", path, read_facts(path), layer.digest)


def _imatrix(store: Store, digest: str) -> Path:
    path = store.blobs.path(digest)
    if not store.has_blob(digest):
        raise BadRequest(f'blob "{digest}" not found', field="imatrix")
    open_model(path, "imatrix")
    return path


def _validated(path: Path, report: Report) -> Part:
    size = path.stat().st_size
    say = thread_safe(report)
    meter(say, "validating GGUF model")(size, size)
    return Part("model", path, read_facts(path))


def _publish(store: Store, request: CreateRequest, base: Base, parts: list[Part], report: Report) -> None:
    """From parts to a model that is there."""
    say = thread_safe(report)
    manifest = assemble(store, request, base, parts, _template(request, base, parts), say)
    digests = {layer.digest for layer in (manifest.config, *manifest.layers)}
    with store.hold(digests):
        for digest in sorted(digests):
            if not store.has_blob(digest):
                raise BadRequest(f'blob "{digest}" was removed meanwhile; try again')
        say(Progress(status="writing manifest"))
        store.write_manifest(store.spelled(request.name), msgspec.json.encode(manifest))


def _template(request: CreateRequest, base: Base, parts: list[Part]) -> Template | None:
    """A template for a model that came without any."""
    models = [part for part in parts if part.role == "model"]
    if request.template is not None or request.base or not models or "completion" not in models[0].facts.capabilities:
        return None
    return detect_template(open_gguf(models[0].path))
