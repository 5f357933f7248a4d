"""The console that tables are printed on."""

from __future__ import annotations

from rich.console import Console

WIDTH = 160
"""Columns of output that goes to no terminal."""


def output() -> Console:
    """Standard output, as wide as its terminal, or wide enough for tables."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
