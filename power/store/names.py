"""Model names: `[scheme://][host[:port]/][namespace/]model[:tag]`.

The rules are Ollama's (types/model/name.go), since its clients and its files on
disk rely on them: what may stand where, what is filled in, and how a name is
shown.  A name that was made here is safe as a path: no part begins with a dot
or holds a slash.
"""

from __future__ import annotations

import re

import msgspec

from power.errors import BadRequest, ModelNotFound

HOST = "registry.ollama.ai"
NAMESPACE = "library"
TAG = "latest"

_HOST_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


class Name(msgspec.Struct, frozen=True):
    """A whole, valid name. `str()` is what people see: without the default host and namespace, with the tag."""

    host: str
    namespace: str
    model: str
    tag: str

    def __post_init__(self) -> None:
        checks = zip((_HOST_PART, _NAMESPACE_PART, _PART, _PART), self.parts, strict=True)
        if not all(check.fullmatch(part) for check, part in checks):
            raise BadRequest("invalid model name", field="model")

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """The four directory levels of the name's manifest."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    def __str__(self) -> str:
        if self.host.lower() != HOST:
            return self.full
        if self.namespace.lower() != NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"


def parse_name(text: str) -> Name:
    """The name with its defaults filled in.

    Raises:
        BadRequest: it is not a valid name.
    """
    _, _, rest = text.rpartition("://")
    tag = TAG
    if rest.rfind(":") > rest.rfind("/"):
        rest, _, tag = rest.rpartition(":")
    rest, slash, model = rest.rpartition("/")
    if not slash:
        return Name(HOST, NAMESPACE, model, tag)
    host, slash, namespace = rest.rpartition("/")
    return Name(host if slash else HOST, namespace, model, tag)


def parse_reference(text: str) -> Name:
    """A name as a request gives it: `:local` says where it is and is dropped.

    Raises:
        BadRequest: it is empty or not a valid name.
        ModelNotFound: it names a model that runs in Ollama's cloud, which is never here.
    """
    text = text.strip()
    if not text:
        raise BadRequest("model is required", field="model")
    bare, source = _split_source(text)
    if _split_source(bare)[1]:
        raise BadRequest(f'use either :local or :cloud, not both: "{text}"', field="model")
    if source == "cloud":
        raise ModelNotFound(text)
    return parse_name(bare)


def _split_source(text: str) -> tuple[str, str]:
    bare, _, suffix = text.rpartition(":")
    if bare and suffix.lower() in ("cloud", "local"):
        return bare, suffix.lower()
    if bare and suffix.lower().endswith("-cloud") and "/" not in suffix:
        return text[: -len("-cloud")], "cloud"
    return text, ""
