"""Tables as `ollama list` and `ollama show` print them: no borders, every column padded."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

GAP = "    "


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Upper-case titles over left-aligned columns, also the last one padded: scripts cut these at the gaps."""
    return columns([header, *rows])


def section(title: str, rows: Sequence[Sequence[str]]) -> str:
    """A titled, indented block and the blank line after it; nothing without rows."""
    return f"  {title}\n{columns(rows, indent=GAP)}\n" if rows else ""


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        indent + "".join(_pad(cell, width) + GAP for cell, width in zip(row, widths, strict=True)) + "\n"
        for row in rows
    )


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))
