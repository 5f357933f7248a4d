"""Tables on terminals that are too narrow for them."""

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

from jobs import console


@pytest.mark.parametrize(("width", "is_turned"), [(30, True), (31, False)])
def test_no_number_is_cut(width: int, is_turned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that does not fit is told row by row, a line for each column; one that just fits is a table."""
    said = StringIO()
    monkeypatch.setattr(
        console, "output", lambda: Console(file=said, width=width, force_terminal=True, color_system=None)
    )
    table = Table("model", "log loss", "AUC", title="Grades")
    table.add_row("mine", "0.13772", "0.766")
    table.add_row("original", "0.25018", "0.758")
    console.show(table)
    lines = [line.split() for line in said.getvalue().splitlines()]
    turned = [["Grades"], ["model", "mine"], ["log", "loss", "0.13772"], ["AUC", "0.766"], [],
              ["model", "original"], ["log", "loss", "0.25018"], ["AUC", "0.758"], []]  # fmt: skip
    assert (lines == turned) == is_turned
    assert "0.13772" in said.getvalue()
