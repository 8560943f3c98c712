"""What the `power gguf` commands share: finding files, writing them, and showing how far it is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from power.errors import BadRequest, ModelNotFound, PowerError

if TYPE_CHECKING:
    from power.gguf import GGUF

Progress = Callable[[int, int], None]
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def find_file(text: str) -> Path:
    """The file of that path, or of the model of that name.

    Raises:
        PowerError: there is neither.
    """
    path = Path(text)
    return path if path.exists() or path.suffix == ".gguf" else _find_model(text)


def _find_model(name: str) -> Path:
    import trio

    from power.cli.groups import unwrapped
    from power.config import load_config
    from power.store import open_store

    async def find() -> Path:
        async with open_store(load_config()) as store:
            return store.find(name).path

    try:
        with unwrapped():
            return trio.run(find)
    except (BadRequest, ModelNotFound):
        raise PowerError(f"there is no file '{name}', and no model of that name") from None


def open_file(text: str) -> GGUF:
    """The model of that path or name, all its files if it is split; raises GGUFError or PowerError."""
    from power.gguf import open_gguf

    return open_gguf(find_file(text))


def check_new(path: Path, *, force: bool) -> None:
    """Raises PowerError if there is such a file, and it is not to be replaced."""
    if path.exists() and not force:
        raise PowerError(f"{path} is there already; --force replaces it")


def read_size(text: str) -> int:
    """`2G`, `500M`, `1024`: bytes, by powers of 1024; raises PowerError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not found or not (size := int(float(found[1]) * _UNITS[found[2].upper()])):
        raise PowerError(f"'{text}' is no size; write it like 500M or 2G")
    return size


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """A bar on stderr, told how many bytes of how many are done; silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), DownloadColumn(True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda n_done, n_all: bar.update(task, completed=n_done, total=n_all)


def say(text: str) -> None:
    """Tell what was done, on stderr: stdout is for results."""
    print(text, file=sys.stderr)


def split_file(
    file: str, prefix: Path, *, max_size: str | None, max_tensors: int | None, empty_first: bool, force: bool
) -> None:
    from power.gguf import plan_split, write_split

    if max_size is None and max_tensors is None:
        raise PowerError("say how to split it: --max-size, --max-tensors, or both")
    if max_tensors is not None and max_tensors < 1:
        raise PowerError("--max-tensors must be at least 1")
    n_bytes = None if max_size is None else read_size(max_size)
    shards = plan_split(open_file(file), prefix, max_tensors=max_tensors, max_bytes=n_bytes, empty_first=empty_first)
    for shard in shards:
        check_new(shard.path, force=force)
    with progress_bar("Splitting") as progress:
        write_split(shards, progress=progress)
    for shard in shards:
        print(shard.path)


def merge_files(file: Path, out: Path, *, force: bool) -> None:
    from power.gguf import open_gguf, plan_merge, write_plan

    check_new(out, force=force)
    gguf = open_gguf(file)
    if len(gguf.files) < 2:
        raise PowerError(f"{file.name} is not split")
    with progress_bar("Merging") as progress:
        write_plan(out, plan_merge(gguf), progress=progress)
    say(f"{len(gguf.files)} files are now {out}")


def convert_checkpoint(checkpoint: Path, out: Path, *, kind: str, base: Path | None, force: bool) -> None:
    from power.gguf.convert import convert

    check_new(out, force=force)
    with progress_bar("Converting") as progress:
        convert(checkpoint, out, type=kind, base=base, progress=progress)
    say(f"{out} is ready")
