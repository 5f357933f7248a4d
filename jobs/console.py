"""The console that tables are printed on."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from schemas.visible import visible

WIDTH = 160
"""Columns of output that goes to no terminal."""


def output() -> Console:
    """Standard output, as wide as its terminal, or wide enough for tables."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def say(text: str = "") -> None:
    """Print one line on standard output: what others wrote cannot end it, or move the cursor."""
    print(visible(text))


def warn(text: str) -> None:
    """Print one line on standard error, as complaints are."""
    print(f"ad-streams: {visible(text)}", file=sys.stderr)


def seen(text: str) -> Text:
    """A text for a table or a console as it is: no markup, and nothing that a terminal acts on."""
    return Text(visible(text))


def show(table: Table) -> None:
    """Print a table; where the terminal is too narrow, a line for each column of each row: nothing is cut off."""
    for column in table.columns:
        column._cells[:] = map(_seen, column.cells)
        column.header = _seen(column.header, "\n")
    console = output()
    wide = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if wide <= console.width:
        console.print(table)
        return
    if table.title:
        console.print(table.title, style="bold")
    for row in zip(*(column.cells for column in table.columns), strict=True):
        block = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        block.add_column(no_wrap=True, style="bold")
        block.add_column(overflow="fold")
        for column, cell in zip(table.columns, row, strict=True):
            block.add_row(column.header, cell)
        console.print(block, "")


def _seen(cell: RenderableType, keep: str = "") -> RenderableType:
    """A table's cell, escaped before it is measured."""
    if isinstance(cell, Text):
        return cell if visible(cell.plain) == cell.plain else Text(visible(cell.plain, keep), cell.style)
    return visible(cell, keep) if isinstance(cell, str) else cell
