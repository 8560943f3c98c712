"""From uploaded files to the GGUFs of a model: told apart, merged, converted.

A file is judged by what is in it before anything else is done with it: every
tensor of a GGUF lies inside its file (`open_gguf`), every one of a safetensors
file too (`convert`), so nothing is ever read past an end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import trio

from power.errors import BadRequest, PowerError
from power.gguf import GGUF, Facts, GGUFError, facts_of, open_gguf, plan_merge, write_plan
from power.gguf.convert import ConvertError, convert
from power.gguf.split import COUNT_KEY
from power.store.blobs import Blobs
from power.store.files import explained
from power.store.transfers import Progress, Report

Role = Literal["model", "projector", "adapter", "draft"]
ROLES: tuple[Role, ...] = ("model", "projector", "adapter")  # that a file tells of itself
MAGICS = (b"GGUF", b"FUGG")
PERIOD = 0.06  # seconds between two reports of one step, as Ollama has it
# Ollama's stand-in for the digest of what is not hashed yet; clients tell bars apart by it.
NO_DIGEST = "0000000000000000000"


class Part(NamedTuple):
    """A GGUF that becomes a layer."""

    role: Role
    path: Path
    facts: Facts
    digest: str = ""  # of the blob that it is already


class Files(NamedTuple):
    """Uploaded files, told apart: relative path to blob."""

    ggufs: dict[str, Path]
    weights: dict[str, Path]  # safetensors
    others: dict[str, Path]  # which belong to the weights


def sort_files(files: Mapping[str, str], blobs: Blobs, field: str) -> Files:
    """Tell files (path to digest) apart, by their names or else by how they begin.

    Raises:
        BadRequest: a blob was never uploaded, or there are no weights among them.
    """
    sorted_ = Files({}, {}, {})
    for name, digest in files.items():
        path = blobs.path(digest)
        if not blobs.use(digest):  # and let nobody prune it from now on
            raise BadRequest(f'blob "{digest}" not found', field=f"{field}.{name}")
        _kind_of(name, path, sorted_)[name] = path
    if not sorted_.ggufs and not sorted_.weights:
        raise BadRequest("unknown type" if files else "no files provided to convert", field=field)
    return sorted_


def _kind_of(name: str, path: Path, files: Files) -> dict[str, Path]:
    if name.lower().endswith(".safetensors"):
        return files.weights
    with path.open("rb") as file:
        is_gguf = file.read(4) in MAGICS
    return files.ggufs if is_gguf or name.lower().endswith(".gguf") else files.others


def open_model(path: Path, field: str, *, whole: bool = True) -> GGUF:
    """`open_gguf` for what a client sent: BadRequest if it is none."""
    try:
        return open_gguf(path, whole=whole)
    except GGUFError as error:
        raise BadRequest(f"supplied file was not in GGUF format: {error.message}", field=field) from error


def judge(gguf: GGUF, field: str) -> tuple[Role, Facts]:
    """What a GGUF is for; BadRequest if it is no part of a model."""
    try:
        facts = facts_of(gguf)
    except GGUFError as error:
        raise BadRequest(f"supplied file was not in GGUF format: {error.message}", field=field) from error
    for role in ROLES:
        if facts.kind == role:
            return role, facts
    raise BadRequest(f"a GGUF of the kind '{facts.kind}' is no part of a model", field=field)


class Workshop:
    """Makes parts out of files, in a folder of its own and in a thread of Trio's.

    Its methods block, report as they go, and end with `trio.Cancelled` where the task is cancelled.
    """

    def __init__(self, blobs: Blobs, folder: Path, report: Report) -> None:
        self._blobs = blobs
        self._folder = folder
        self._say = thread_safe(report)

    def parts(self, files: Mapping[str, str], field: str) -> list[Part]:
        """The parts that files (path to digest) make.

        Raises:
            BadRequest: a blob is missing, or is not what it should be; `field` says which.
            StoreError: the disk does not take it.
        """
        found = sort_files(files, self._blobs, field)
        parts: list[Part] = []
        if found.ggufs:
            self._say(Progress(status="parsing GGUF"))
            parts = self._gguf_parts(found.ggufs, files, field)
        if found.weights:
            parts.append(self._converted(found, field))
        return parts

    def _gguf_parts(self, ggufs: Mapping[str, Path], files: Mapping[str, str], field: str) -> list[Part]:
        parts, shards = [], {}
        for name, path in ggufs.items():
            gguf = open_model(path, f"{field}.{name}", whole=False)
            n_files = gguf.metadata.get(COUNT_KEY, 1)
            if isinstance(n_files, int) and n_files > 1:
                shards[name] = path
                continue
            role, facts = judge(gguf, f"{field}.{name}")
            parts.append(Part(role, path, facts, files[name]))
        return parts + self._merged(shards, field)

    def _merged(self, shards: dict[str, Path], field: str) -> list[Part]:
        """Each model that is split over several of the files, as one file."""
        parts: list[Part] = []
        folder = self._stage(shards, f"{field}-shards")
        seen: set[Path] = set()
        for name in sorted(shards):
            if folder / name in seen:
                continue
            gguf = open_model(folder / name, f"{field}.{name}")
            seen.update(file.path for file in gguf.files)
            role, facts = judge(gguf, f"{field}.{name}")
            out = self._folder / f"{field}-merged-{len(parts)}.gguf"
            with explained("merge a model", self._blobs.models_dir), blamed_on_the_disk():
                write_plan(out, plan_merge(gguf), progress=self._meter("merging model"))
            parts.append(Part(role, out, facts))
        return parts

    def _converted(self, files: Files, field: str) -> Part:
        what = "adapter" if any(name.endswith("adapter_config.json") for name in files.others) else "model"
        folder = self._stage({**files.weights, **files.others}, f"{field}-{what}")
        out = self._folder / f"{field}-{what}.gguf"
        # Always a folder of ours: left to itself, `convert` would follow the path that the adapter's own file names.
        model = self._folder / "files-model"
        base = model if model.is_dir() else folder
        self._say(Progress(status=f"converting {what}"))
        with explained(f"convert the {what}", self._blobs.models_dir), blamed_on_the_disk():
            try:
                # F16, as Ollama converts; a type that was asked for is made from it.
                convert(_root(folder), out, base=_root(base), progress=self._meter(f"converting {what}"))
            except ConvertError as error:
                raise BadRequest(error.message, field=field) from error
        role, facts = judge(open_model(out, field), field)
        return Part(role, out, facts)

    def _stage(self, files: Mapping[str, Path], name: str) -> Path:
        """A folder in which the blobs have the names that they came with."""
        folder = self._folder / name
        with explained("create a model", self._blobs.models_dir):
            folder.mkdir()
            for relative, blob in files.items():
                path = folder / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(blob.absolute())
        return folder

    def _meter(self, status: str) -> Callable[[int, int], None]:
        return meter(self._say, status)


@contextmanager
def blamed_on_the_disk() -> Iterator[None]:
    """An error that comes from an OSError is that OSError: not the file's fault, but the disk's."""
    try:
        yield
    except PowerError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from error
        raise


def thread_safe(report: Report) -> Report:
    """`report` for a thread of Trio's; it raises `trio.Cancelled` where the task is cancelled."""
    return lambda progress: trio.from_thread.run_sync(report, progress)


def meter(say: Report, status: str) -> Callable[[int, int], None]:
    """Takes bytes done and bytes in all, as often as they come; says so now and then, and at the end."""
    last = 0.0

    def report(completed: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PERIOD or completed >= total:
            last = now
            say(Progress(status=status, digest=NO_DIGEST, total=total, completed=completed))

    return report


def _root(folder: Path) -> Path:
    """The folder with the configuration in it: clients send paths below whatever they like."""
    if (folder / "config.json").exists() or (folder / "adapter_config.json").exists():
        return folder
    found = [*folder.rglob("adapter_config.json"), *folder.rglob("config.json")]
    return min(found, key=lambda path: len(path.parts)).parent if found else folder
