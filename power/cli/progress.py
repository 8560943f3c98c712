"""How far a pull, push or creation is: on a terminal a line for every layer, elsewhere a line for every step.

It all goes to stderr.  Rich draws; when, is decided here: it would start a
thread of its own for that.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from power.cli.groups import unwrapped
from power.client import Step

PERIOD = 0.1  # seconds between two pictures

Show = Callable[[Step], None]


@asynccontextmanager
async def open_progress() -> AsyncIterator[Show]:
    """What this yields takes the steps as they come."""
    if not sys.stderr.isatty():
        yield PlainLines().show
        return
    bars = Bars(Console(stderr=True))
    with bars, unwrapped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bars.keep_drawing)
            yield bars.show
            nursery.cancel_scope.cancel()


class PlainLines:
    """Each step once, as it begins; what is counted, again when it is done."""

    def __init__(self) -> None:
        self._said: set[tuple[str, bool]] = set()

    def show(self, step: Step) -> None:
        is_done = bool(step.total) and step.completed >= step.total
        if (step.status, is_done) not in self._said:
            self._said.add((step.status, is_done))
            print(f"{step.status}: 100%" if is_done else step.status, file=sys.stderr, flush=True)


class Bars:
    """A line for every step; those with bytes have a bar, a rate and the time that is left."""

    def __init__(self, console: Console) -> None:
        counted = BarColumn(bar_width=24), TaskProgressColumn(), DownloadColumn(), TransferSpeedColumn()
        self._progress = Progress(
            _Spinner(),
            TextColumn("{task.description}", markup=False),
            *map(_Counted, (*counted, TimeRemainingColumn(compact=True))),
            console=console,
            auto_refresh=False,
        )
        self._tasks: dict[str, TaskID] = {}
        self._current: TaskID | None = None  # a step without bytes is over when the next begins

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    async def keep_drawing(self) -> None:
        while True:
            self._progress.refresh()
            await trio.sleep(PERIOD)

    def show(self, step: Step) -> None:
        if step.status not in self._tasks:
            self._begin(step)
        if step.total:
            self._progress.update(self._tasks[step.status], total=step.total, completed=step.completed)

    def _begin(self, step: Step) -> None:
        if self._current is not None:
            self._progress.update(self._current, total=0, completed=0)
        # What was there before (a pull that goes on) is not a part of the rate.
        task = self._progress.add_task(step.status, total=step.total or None, completed=step.completed)
        self._tasks[step.status] = task
        self._current = None if step.total else task
        if step.status == "success":
            self._progress.update(task, total=0)


class _Counted(ProgressColumn):
    """A column that only steps with bytes have."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> object:  # type: ignore[override]  # whatever the column renders
        return self._column.render(task) if task.total else Text("")


class _Spinner(SpinnerColumn):
    """Turns in front of what has nothing to count."""

    def render(self, task: Task) -> object:  # type: ignore[override]  # a spinner or a text
        return super().render(task) if task.total is None else Text(" ")
