"""`/api/create`: a model out of another one or of uploaded files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import trio

from power.api.encode import Response
from power.api.native_bodies import MessageBody, message
from power.api.progress import progress_response
from power.api.pull import pull_base
from power.api.requests import Request, body_decoder, decode, read_body
from power.errors import BadRequest
from power.generate import Power
from power.store import Name, parse_name
from power.store.create_request import CreateRequest, check_request
from power.store.modelfile import read_modelfile
from power.store.modelfile_recipe import recipe_of


class CreateBody(msgspec.Struct, kw_only=True):
    """What the route takes. A null, as in Go, says nothing."""

    model: str | None = None
    name: str | None = None  # what `model` was called once
    stream: bool | None = None
    base: str | None = msgspec.field(name="from", default=None)
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str | None = None
    system: str | None = None
    license: str | list[str] | None = None
    parameters: dict[str, Any] | None = None
    messages: list[MessageBody] | None = None
    quantize: str | None = None
    quantization: str | None = None  # what `quantize` was called once
    imatrix: str | None = None  # ours: the digest of an importance matrix
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    info: dict[str, Any] | None = None
    modelfile: str | None = None  # the older way: the text, with models and `@sha256:…` in FROM
    remote_host: str | None = None
    draft_files: dict[str, str] | None = None  # path to digest
    draft_quantize: str | None = None


_create_body = body_decoder(CreateBody)


async def create(power: Power, request: Request) -> Response:
    # Here and not above: it brings in numpy and the converters, which most servers never need.
    from power.store.create import create as create_model

    body = decode(_create_body, await read_body(request, power.config.max_body_bytes))
    wanted = await trio.to_thread.run_sync(lambda: check_request(request_of(body)))
    assert power.store.transfers is not None
    work = partial(create_model, power.store, wanted, pull=partial(pull_base, power), n_threads=power.config.num_thread)
    # Every creation is its own: two of one name do not share their files.
    return await progress_response(request, power.store.transfers.follow(object(), work), stream=body.stream)


def request_of(body: CreateBody) -> CreateRequest:
    """The creation a body asks for; BadRequest."""
    name = parse_name(body.model or body.name or "")
    _refuse_unsupported(body)
    wanted = _of_text(name, body) if body.modelfile else _of_fields(name, body)
    return msgspec.structs.replace(
        wanted, quantize=body.quantize or body.quantization or "", imatrix=body.imatrix or ""
    )


def _refuse_unsupported(body: CreateBody) -> None:
    if body.remote_host:
        raise BadRequest("remote models are not supported", field="remote_host")
    if body.draft_quantize:
        raise BadRequest("a draft is not quantized; send it as it should be", field="draft_quantize")
    if body.modelfile and (body.base or body.files):
        raise BadRequest("'modelfile' cannot be combined with 'from' or 'files'", field="modelfile")


def _of_fields(name: Name, body: CreateBody) -> CreateRequest:
    licenses = [body.license] if isinstance(body.license, str) else body.license or []
    return CreateRequest(
        name=name,
        base=body.base or "",
        files=body.files or {},
        adapters=body.adapters or {},
        draft_files=body.draft_files or {},
        template=body.template or None,
        system=body.system or None,
        licenses=tuple(text for text in licenses if text),
        parameters=body.parameters or {},
        messages=tuple(message(item) for item in body.messages or ()),
        renderer=body.renderer or None,
        parser=body.parser or None,
        requires=body.requires or None,
        info=body.info or {},
    )


def _of_text(name: Name, body: CreateBody) -> CreateRequest:
    recipe = recipe_of(read_modelfile(body.modelfile or ""))
    bases = [source for source in recipe.sources if not source.startswith("@")]
    if len(bases) > 1:
        raise BadRequest("a model is made from one model: FROM names more", field="modelfile")
    return CreateRequest(
        name=name,
        base=bases[0] if bases else "",
        files=_uploaded([source for source in recipe.sources if source.startswith("@")]),
        adapters=_uploaded(recipe.adapters),
        draft_files=_uploaded([recipe.draft] if recipe.draft else []),
        template=recipe.template,
        system=recipe.system,
        licenses=recipe.licenses,
        parameters=recipe.parameters,
        messages=recipe.messages,
        renderer=recipe.renderer,
        parser=recipe.parser,
        requires=recipe.requires,
    )


def _uploaded(references: Sequence[str]) -> dict[str, str]:
    """Blobs by names of no meaning. A path would be the server's, and whether it exists nobody's business."""
    for reference in references:
        if not reference.startswith("@"):
            raise BadRequest(
                "a Modelfile in a request names models and uploaded blobs (@sha256:…), not paths", field="modelfile"
            )
    return {f"file-{index}": reference.removeprefix("@") for index, reference in enumerate(references)}
