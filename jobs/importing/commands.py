"""`python -m jobs import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.importing.imports import import_log
from jobs.log_options import Order, Unit, Zone, asked_times
from jobs.problems import plainly
from settings import load_settings


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
    unit: Unit = None,
    order: Order = None,
    zone: Zone = None,
) -> None:
    """Map a log to the event's columns with SQL, and say what was rejected and why.

    Columns: user_id, timestamp (a time, or a number since 1970) and type (the code of an event type, such as IM) are
    needed; event_id is made where there is none, the same for the same row; state, segment, campaign, publisher,
    creative, placement, product, quantity and revenue are optional. Every column of CSV and TSV is text as it is
    written; a column that a query calculates or compares with is taken as a number or time there.
    """
    with plainly():
        import_log(logs, sql, to, rejected, columns, asked_times(load_settings(), unit, order, zone))
