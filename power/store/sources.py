"""Where a model is to be had: by its name, by a URL, or by what we know of it.

    llama3.2:3b                        the default registry; if that cannot serve it, known_models.json
    registry.example/team/model:tag    another registry
    hf.co/user/repository:Q4_K_M       Hugging Face, which speaks a registry's protocol at these paths
    https://example.org/x.Q4_0.gguf    a file

Plain HTTP is for those who say so (`insecure`), as no name is worth more than
the line it was looked up over.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from power.errors import BadRequest
from power.store.names import HOST, NAMESPACE, Name, parse_name

KNOWN = Path(__file__).with_name("known_models.json")
HUGGING_FACE = "hf.co"

# The ending of a file's name that says how it is quantised: "-Q4_K_M", ".f16", "_IQ2_XXS".
_QUANT = re.compile(r"(?i)(.+)[-._]((?:i?q\d\w*|tq\d\w*|mxfp4\w*|b?f16|f32))")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A model by its name in a registry."""

    name: Name  # what it is called there
    scheme: str = "https"

    @property
    def base(self) -> str:
        return f"{self.scheme}://{self.name.host}"

    @property
    def repository(self) -> str:
        return f"{self.name.namespace}/{self.name.model}"


class FileSource(msgspec.Struct, frozen=True):
    """A GGUF file by its URL, and the name it gets."""

    url: str
    name: Name


def source_of(text: str, *, insecure: bool = False) -> Source | FileSource:
    """What a pull's or push's model is.

    Raises:
        BadRequest: it is no valid name, or is over plain HTTP without `insecure`.
    """
    text = text.strip()
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme not in ("", "http", "https"):
        raise BadRequest("invalid model name", field="model")
    if scheme == "http" and not insecure:
        raise BadRequest("insecure protocol http", field="model")
    if scheme and _path(text).lower().endswith(".gguf"):
        return FileSource(text, file_name(text))
    # Without a scheme `insecure` means HTTP, as in Ollama; with https:// it means that nobody vouches for the host.
    return Source(name=parse_name(text), scheme=scheme or ("http" if insecure else "https"))


def file_name(url: str) -> Name:
    """The name of a model from a file: what it is quantised to becomes the tag.

    Raises:
        BadRequest: nothing in the URL would do for a name.
    """
    stem = unquote(_path(url)).rpartition("/")[2][: -len(".gguf")]
    match = _QUANT.fullmatch(stem)
    model, tag = (match[1], match[2]) if match else (stem, "latest")
    return parse_name(f"{_clean(model)}:{_clean(tag)}")


def known_source(name: Name) -> Source | None:
    """Where else a well-known model of the default registry is to be had."""
    if name.host.lower() != HOST or name.namespace.lower() != NAMESPACE:
        return None
    place = _known().get(f"{name.model}:{name.tag}".lower())
    return Source(name=parse_name(f"{HUGGING_FACE}/{place}")) if place else None


@cache
def _known() -> dict[str, str]:
    """Name -> `user/repository:tag` at Hugging Face."""
    return msgspec.json.decode(KNOWN.read_bytes(), type=dict[str, str])


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError as error:
        raise BadRequest("invalid model name", field="model") from error


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:80]
