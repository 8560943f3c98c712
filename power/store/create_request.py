"""What `create` is asked to make, and the checks that need no disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from power.errors import BadRequest
from power.gguf.constants import FILE_TYPES
from power.messages import Message
from power.options import read_options
from power.store.digest import parse_digest
from power.store.names import Name

# A short name for the middle one of its kind, as llama-quantize has it.
_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4": "MXFP4_MOE"}
# llama.cpp reads NVFP4, but makes none (llama-quant.cpp: "invalid output file type 39").
QUANTIZED_TO = tuple(name for name in FILE_TYPES.values() if name != "NVFP4")

# What a file may be called on its way in: it becomes a path below a folder of our own.
_SEGMENT = re.compile(r"[^/\\\x00-\x1f\x7f\ud800-\udfff]+")
MAX_SEGMENT = 255  # bytes; of Linux's filesystems
MAX_PATH = 1024  # bytes
MAX_FILES = 4096  # a checkpoint of the largest models has a few hundred

INFO_KINDS: dict[str, tuple[type[str] | type[int], str]] = {
    "model_family": (str, "string"),
    "base_name": (str, "string"),
    "quantization_level": (str, "string"),
    "parameter_size": (str, "string"),
    "context_length": (int, "non-negative integer"),
    "embedding_length": (int, "non-negative integer"),
}


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A model to be made; None leaves a part as the base model has it."""

    name: Name
    base: str = ""  # a model to start from, or ""
    files: dict[str, str] = {}  # relative path to digest of a blob
    adapters: dict[str, str] = {}
    draft_files: dict[str, str] = {}  # of a smaller model that guesses what this one will say
    template: str | None = None
    system: str | None = None
    licenses: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}
    messages: tuple[Message, ...] = ()
    quantize: str = ""  # "Q4_K_M", …; "": as it is
    imatrix: str = ""  # digest of a blob that says which weights matter most
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    info: dict[str, Any] = {}


def check_request(request: CreateRequest) -> CreateRequest:
    """The request with its words in their usual spelling.

    Raises:
        BadRequest: what would fail whatever is on the disk; `field` says where.
    """
    if not request.base and not request.files:
        raise BadRequest("neither 'from' or 'files' was specified", field="from")
    for field in ("files", "adapters", "draft_files"):
        check_files(getattr(request, field), field)
    if request.imatrix:
        _check_digest(request.imatrix, "imatrix")
    read_options(request.parameters)
    _check_messages(request.messages)
    return msgspec.structs.replace(
        request,
        quantize=file_type(request.quantize) if request.quantize else "",
        parameters=_parameters(request.parameters),
        info=_checked_info(request.info),
    )


def check_files(files: Mapping[str, str], field: str) -> None:
    if len(files) > MAX_FILES:
        raise BadRequest(f"{len(files)} files are more than {MAX_FILES}", field=field)
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    for path, digest in files.items():
        check_path(path, field)
        if path in folders:
            raise BadRequest(f"{path!r} is both a file and a folder", field=field)
        _check_digest(digest, f"{field}.{path}")


def check_path(path: str, field: str) -> None:
    """Raises BadRequest unless the path stays below the folder it will be taken relative to, on any system."""
    segments = path.split("/")
    is_safe = all(_SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in segments)
    if not is_safe or _n_bytes(path) > MAX_PATH or re.match(r"[A-Za-z]:", path):
        raise BadRequest("file path must be relative", field=field)
    if any(_n_bytes(segment) > MAX_SEGMENT for segment in segments):
        raise BadRequest("a file's name is too long", field=field)


def file_type(text: str) -> str:
    """The type as llama.cpp calls it, from any case and with its short names."""
    name = _ALIASES.get(text.upper(), text.upper())
    if name not in QUANTIZED_TO:
        raise BadRequest(
            f"unsupported quantization type {text[:40]} - supported types are {', '.join(QUANTIZED_TO)}",
            field="quantize",
        )
    return name


def _check_digest(digest: str, field: str) -> None:
    try:
        parse_digest(digest)
    except BadRequest:
        raise BadRequest("invalid digest format", field=field) from None


def _check_messages(messages: tuple[Message, ...]) -> None:
    for index, message in enumerate(messages):
        if message.role not in ("system", "user", "assistant", "tool"):
            raise BadRequest(f'invalid role "{message.role[:40]}"', field=f"messages[{index}].role")
        if message.images:
            raise BadRequest("a model's messages cannot have images", field=f"messages[{index}].images")


def _parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Without nulls, and `stop` as the list that it is in every model."""
    given = {name: value for name, value in parameters.items() if value is not None}
    stop = given.get("stop")
    return given | {"stop": [stop]} if isinstance(stop, str) else given


def _checked_info(info: dict[str, Any]) -> dict[str, Any]:
    for key, value in info.items():
        if key == "capabilities":
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise BadRequest('info field "capabilities" must be an array of strings', field="info.capabilities")
        elif key in INFO_KINDS:
            kind, words = INFO_KINDS[key]
            if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value < 0):
                raise BadRequest(f'info field "{key}" must be a {words}', field=f"info.{key}")
    return {key: value for key, value in info.items() if key in INFO_KINDS or key == "capabilities"}


def _n_bytes(path: str) -> int:
    return len(path.encode(errors="surrogatepass"))
