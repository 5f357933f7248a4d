"""The console that tables are printed on."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDTH = 160
"""Columns of output that goes to no terminal."""


def output() -> Console:
    """Standard output, as wide as its terminal, or wide enough for tables."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def show(table: Table) -> None:
    """Print a table; where the terminal is too narrow, a line for each column of each row: nothing is cut off."""
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
