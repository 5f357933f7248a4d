"""Grades as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from jobs.console import show
from jobs.grading.measures import Ratio
from model.scoring.training_record import Estimate, Grades

TOO_FEW = "too few users"
"""In place of an interval."""


def interval(estimate: Estimate | None, digits: int = 3) -> str:
    """An estimate with its interval.

    >>> interval(Estimate(value=0.5, low=0.25, high=0.75), 2)
    '0.50 (0.25 to 0.75)'
    >>> interval(Estimate(value=0.5), 2)
    '0.50 (too few users)'
    """
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f} ({TOO_FEW})"
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


MEASURES = (
    "model",
    "where",
    "rows",
    "positive",
    "AUC",
    "log loss",
    "base rate's",
    "information",
    "observed/expected",
)
"""The first columns of grades, wherever they are shown."""


@dataclass(frozen=True, eq=False)
class RatioTable:
    """Observed over expected by part of the rows: of each of the models (`names`) a column, with a ratio for each part.

    Attributes:
        by: what the parts are, such as `segment`.
        place: where the rows are: at events or at clock times.
    """

    by: str
    place: str
    names: Sequence[str]
    columns: Sequence[Sequence[Ratio]]

    @property
    def title(self) -> str:
        """What the table shows."""
        return f"Observed over expected by {self.by}, {self.place}"


def print_grades(graded: Sequence[tuple[str, str, Grades | None]], title: str | None = None) -> None:
    """A line for each model and place."""
    table = Table(*MEASURES, "Brier", title=title, title_justify="left")
    for name, place, grades in graded:
        if grades is None:
            table.add_row(escape(name), place, "one label only")
            continue
        table.add_row(
            escape(name),
            place,
            f"{grades.rows:,}",
            f"{grades.positive:,}",
            interval(grades.auc),
            f"{grades.log_loss.value:.5f}",
            f"{grades.base_log_loss:.5f}",
            interval(grades.information),
            interval(grades.observed_over_expected, 2),
            f"{grades.brier.value:.5f}",
        )
    show(table)


def print_ratios(found: RatioTable) -> None:
    """Observed over expected by part, a column for each model, with intervals."""
    table = Table(found.by, "rows", "positive", *map(escape, found.names), title=found.title, title_justify="left")
    for ratios in zip(*found.columns, strict=True):
        first = ratios[0]
        cells = [interval(ratio.observed_over_expected, 2) for ratio in ratios]
        table.add_row(escape(first.part), f"{first.rows:,}", f"{first.positive:,}", *cells)
    show(table)
