"""Models split over several files, as llama.cpp names and numbers them.

`name-00001-of-00003.gguf` is the first of three.  It holds all the metadata, the
others only which they are; each has its own tensors, laid out as in any GGUF.
(llama_split_path in src/llama.cpp, tools/gguf-split)
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from power.gguf.constants import ALIGNMENT_KEY, ValueType
from power.gguf.encode import Encoded, Typed, Writable
from power.gguf.layout import MAX_TENSORS, GGUFError
from power.gguf.model import GGUF, TensorInfo
from power.gguf.plan import Plan, plan_gguf
from power.gguf.writer import Progress, write_plan

NUMBER_KEY = "split.no"  # from 0 on, where the names count from 1
COUNT_KEY = "split.count"
TENSORS_KEY = "split.tensors.count"  # of all files
KEYS = (NUMBER_KEY, COUNT_KEY, TENSORS_KEY)
MAX_FILES = 2**16 - 1  # split.count is a UINT16
_NAME = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL)


class Shard(NamedTuple):
    """One file of a model that is to be split."""

    path: Path
    plan: Plan


def shard_path(prefix: Path, number: int, n_files: int) -> Path:
    """The path of file `number`, counted from 0."""
    return prefix.with_name(f"{prefix.name}-{number + 1:05}-of-{n_files:05}.gguf")


def sibling_paths(gguf: GGUF) -> list[Path]:
    """All files of the model that this file is one of, in order; none if it is whole.

    Raises:
        GGUFError: it says that it is one of several, but is not named so.
    """
    n_files = _integer(gguf, COUNT_KEY, default=0)
    if n_files <= 1:
        return []
    number = _integer(gguf, NUMBER_KEY)
    match = _NAME.fullmatch(gguf.path.name)
    if match is None or (int(match[2]) - 1, int(match[3])) != (number, n_files):
        wanted = f"-{number + 1:05}-of-{n_files:05}.gguf"
        raise GGUFError(f"{gguf.path.name}: is file {number + 1} of {n_files}, so its name must end in {wanted}")
    return [shard_path(gguf.path.with_name(match[1]), n, n_files) for n in range(n_files)]


def join(asked: GGUF, parts: Sequence[GGUF]) -> GGUF:
    """The files as one model; `asked` is the one whose path it goes by.

    Raises:
        GGUFError: a file is of another model, or tensors are missing or there twice.
    """
    first = parts[0]
    tensors: dict[str, TensorInfo] = {}
    for number, part in enumerate(parts):
        if (_integer(part, NUMBER_KEY), _integer(part, COUNT_KEY)) != (number, len(parts)):
            raise GGUFError(f"{part.path.name}: does not say that it is file {number + 1} of {len(parts)}")
        if part.big_endian != first.big_endian:
            raise GGUFError(f"{part.path.name}: is of another byte order than {first.path.name}")
        for info in part.tensors.values():
            if info.name in tensors:
                raise GGUFError(f"{part.path.name}: tensor {info.name!r} is there twice")
            tensors[info.name] = info._replace(part=number)
    n_tensors = _integer(first, TENSORS_KEY, default=len(tensors))
    if n_tensors != len(tensors) or n_tensors > MAX_TENSORS:
        raise GGUFError(f"{first.path.name}: its model has {n_tensors} tensors, but the files have {len(tensors)}")
    return first._replace(path=asked.path, tensors=tensors, files=tuple(part.files[0] for part in parts))


def plan_split(
    gguf: GGUF,
    prefix: str | os.PathLike[str],
    *,
    max_tensors: int | None = None,
    max_bytes: int | None = None,
    empty_first: bool = False,
) -> list[Shard]:
    """Divide the model into files `<prefix>-00001-of-0000N.gguf`, each planned but not written.

    Args:
        max_tensors: of one file.
        max_bytes: of the tensors of one file; a single larger tensor has a file of its own.
        empty_first: whether the first file holds only the metadata.

    Raises:
        GGUFError: there would be more than 65535 files.
    """
    groups = _groups(list(gguf.tensors.values()), max_tensors or MAX_TENSORS, max_bytes or 2**63)
    if empty_first:
        groups.insert(0, [])
    if len(groups) > MAX_FILES:
        raise GGUFError(f"{len(groups)} files are more than {MAX_FILES}")
    encoded = gguf.metadata.encoded()
    shards = []
    for number, group in enumerate(groups):
        metadata: dict[str, Writable | Encoded] = {k: v for k, v in encoded.items() if number == 0 and k not in KEYS}
        if ALIGNMENT_KEY in encoded:  # or the tensors would lie differently in the other files
            metadata[ALIGNMENT_KEY] = encoded[ALIGNMENT_KEY]
        metadata[NUMBER_KEY] = Typed(number, ValueType.UINT16)
        metadata[COUNT_KEY] = Typed(len(groups), ValueType.UINT16)
        metadata[TENSORS_KEY] = Typed(len(gguf.tensors), ValueType.INT32)
        plan = plan_gguf(metadata, [gguf.source(info.name) for info in group], big_endian=gguf.big_endian)
        shards.append(Shard(shard_path(Path(prefix), number, len(groups)), plan))
    return shards


def _groups(tensors: Sequence[TensorInfo], max_tensors: int, max_bytes: int) -> list[list[TensorInfo]]:
    groups: list[list[TensorInfo]] = [[]]
    n_bytes = 0
    for info in tensors:
        if groups[-1] and (len(groups[-1]) == max_tensors or n_bytes + info.n_bytes > max_bytes):
            groups.append([])
            n_bytes = 0
        groups[-1].append(info)
        n_bytes += info.n_bytes
    return groups


def write_split(shards: Sequence[Shard], *, progress: Progress | None = None) -> None:
    """Write the planned files; `progress` counts the bytes of all of them. Raises like `write_gguf`.

    The first file, without which the others are nothing, comes last.
    """
    n_bytes, n_done = sum(shard.plan.n_bytes for shard in shards), 0
    for shard in [*shards[1:], *shards[:1]]:
        write_plan(shard.path, shard.plan, progress=_from(progress, n_done, n_bytes))
        n_done += shard.plan.n_bytes


def _from(progress: Progress | None, n_done: int, n_bytes: int) -> Progress | None:
    return progress and (lambda n_written, _: progress(n_done + n_written, n_bytes))


def plan_merge(gguf: GGUF) -> Plan:
    """The split model as one file, to be written with `write_plan`."""
    metadata = {key: value for key, value in gguf.metadata.encoded().items() if key not in KEYS}
    return plan_gguf(metadata, map(gguf.source, gguf.tensors), version=gguf.version, big_endian=gguf.big_endian)


def _integer(gguf: GGUF, key: str, default: int | None = None) -> int:
    value = gguf.metadata.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise GGUFError(f"{gguf.path.name}: {key} is {'missing' if value is None else repr(value)[:60]}")
    return value
