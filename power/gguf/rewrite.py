"""A file once more, as it is or with other metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping

from power.gguf.encode import Encoded, Writable
from power.gguf.layout import padded
from power.gguf.model import GGUF
from power.gguf.plan import Plan, plan_gguf
from power.gguf.writer import Progress, write_plan


def plan_rewrite(
    gguf: GGUF,
    metadata: Mapping[str, Writable | Encoded] | None = None,
    *,
    version: int | None = None,
    big_endian: bool | None = None,
) -> Plan:
    """The file with all its tensors, and its metadata or what is given instead; raises like `write_gguf`.

    Version and byte order stay what they are unless given; then nothing changes but
    what was asked for, and a file rewritten without changes is the same, byte for byte.
    """
    metadata = gguf.metadata.encoded() if metadata is None else metadata
    big_endian = gguf.big_endian if big_endian is None else big_endian
    tensors = [gguf.source(name, big_endian=big_endian) for name in gguf.tensors]
    return plan_gguf(
        metadata, tensors, version=version or gguf.version, big_endian=big_endian, pad_end=_is_padded(gguf)
    )


def rewrite_gguf(
    gguf: GGUF,
    path: str | os.PathLike[str],
    metadata: Mapping[str, Writable | Encoded] | None = None,
    *,
    version: int | None = None,
    big_endian: bool | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Write what `plan_rewrite` plans to `path`, which may be the file's own; guarantees as of `write_gguf`."""
    plan = plan_rewrite(gguf, metadata, version=version, big_endian=big_endian)
    write_plan(path, plan, progress=progress)
    return plan


def _is_padded(gguf: GGUF) -> bool:
    last = max(gguf.tensors.values(), key=lambda info: (info.part, info.start + info.n_bytes), default=None)
    if last is None:
        return True
    end = last.start + last.n_bytes
    return gguf.files[last.part].size >= padded(end, gguf.alignment)
