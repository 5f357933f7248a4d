"""`python -m jobs import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from jobs.importing.imports import import_log
from jobs.problems import JobError, plainly
from schemas.time_texts import DateOrder
from schemas.times import TimeFormat, TimeUnit


def import_command(
    logs: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG...",
            help="Files, folders or patterns with * and ?: CSV, TSV or JSON (also .gz, .bz2, .zst), Parquet, Avro.",
        ),
    ],
    sql: Annotated[str, typer.Option(help="SELECT … FROM log, giving the event's columns.")],
    to: Annotated[Path, typer.Option(help="File to write: .csv, .csv.gz, .parquet or .avro.")],
    rejected: Annotated[Path | None, typer.Option(help="File for the rejected rows, as JSON lines.")] = None,
    columns: Annotated[
        Path | None, typer.Option(help="File with the columns' names, of text that has no header.")
    ] = None,
    time_unit: Annotated[
        TimeUnit, typer.Option(help="What numbers in timestamp count since 1970; found from all values.")
    ] = TimeUnit.AUTO,
    date_order: Annotated[
        DateOrder, typer.Option(help="Order of day, month and year in dates such as 03/07/2018; found from all values.")
    ] = DateOrder.AUTO,
    time_zone: Annotated[str, typer.Option(help="Zone of times that name none, as in Europe/Berlin.")] = "UTC",
) -> None:
    """Map a log to the event's columns with SQL, and say what was rejected and why.

    Columns: user_id, timestamp (a time, or a number since 1970) and type (IM, CL, PS or CN) are needed; event_id is
    made where there is none, the same for the same row; state, segment, campaign, publisher, creative, placement,
    product, quantity and revenue are optional. Every column of CSV and TSV is text as it is written; a column that a
    query calculates or compares with is taken as a number or time there.
    """
    with plainly():
        try:
            zone = ZoneInfo(time_zone).key
        except (ValueError, OSError, LookupError):
            raise JobError(f"--time-zone: no zone is called {time_zone!r}; names are such as Europe/Berlin") from None
        import_log(logs, sql, to, rejected, columns, TimeFormat(time_unit, date_order, zone))
