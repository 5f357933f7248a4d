"""Options of the commands that read a log: how it writes its times, where its values do not say it."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.console import say, warn
from schemas.errors import JobError
from schemas.logs.spans import Span
from schemas.logs.time_texts import DateOrder
from schemas.logs.times import TimeFormat, TimeUnit
from settings import Settings, known_zone

Unit = Annotated[
    TimeUnit | None,
    typer.Option("--time-unit", show_default="found", help="Unit of numeric times since 1970."),
]
Order = Annotated[
    DateOrder | None,
    typer.Option("--date-order", show_default="found", help="Order of day and month in dates such as 3/7/2018."),
]
Zone = Annotated[
    str | None,
    typer.Option("--time-zone", show_default="UTC", help="Zone of times without one, such as Europe/Berlin."),
]


def asked_times(settings: Settings, unit: TimeUnit | None, order: DateOrder | None, zone: str | None) -> TimeFormat:
    """How times are written as far as options say, or else settings.

    Raises:
        JobError: the zone is none.
    """
    said = settings.time_format
    try:
        zone = said.zone if zone is None else known_zone(zone)
    except ValueError as error:
        raise JobError(f"--time-zone: {error}, got {zone!r}") from None
    return TimeFormat(unit or said.unit, order or said.order, zone)


def print_remarks(remarks: list[str]) -> None:
    """Tell on standard error how files are read."""
    for line in remarks:
        warn(line)


def print_span(span: Span) -> None:
    """Tell when the first and the last event were, and on standard error what is odd about it."""
    say(span.words)
    print_remarks(span.warnings)
