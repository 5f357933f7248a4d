"""The commands `train` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.log_options import Order, Unit, Zone, asked_times
from jobs.problems import plainly
from settings import load_settings

EVENTS = (
    "Log: CSV, JSON lines, Parquet or Avro container in the event's columns; several files, a folder or a quoted "
    "pattern are one log; or kafka:TOPIC,TOPIC."
)
Events = Annotated[list[str], typer.Argument(help=EVENTS, metavar="EVENTS...")]
LookBack = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        show_default="30d, less in a short log",
        help="Start of the log that only counts as history.",
    ),
]
MostRows = Annotated[
    int, typer.Option(min=1_000, help="Rows to draw at the most; of more, those of a share of the users.")
]
ROWS = 1_500_000


def train_command(
    events: Events,
    to: Annotated[Path, typer.Option(help="Model file to write; its report goes beside it, as .html.")],
    horizon: Annotated[
        str, typer.Option(metavar="DURATION", help="Time within which a conversion is predicted.")
    ] = "7d",
    look_back: LookBack = None,
    name: Annotated[str | None, typer.Option("--id", show_default="the file's name", help="The model's id.")] = None,
    rows: MostRows = ROWS,
    unit: Unit = None,
    order: Order = None,
    zone: Zone = None,
) -> None:
    """Train a model on a log: the propensity to convert within the horizon, at events and at any time between them.

    Training, calibration and test use different users and later times; the test's grades are printed, and kept in the
    file.
    """
    with plainly():
        from jobs.training.train import train_file  # scikit-learn takes a second to load: no other command waits for it

        train_file(
            events, to, horizon, look_back, name or to.stem, rows, asked_times(load_settings(), unit, order, zone)
        )


def evaluate_command(
    models: Annotated[list[str], typer.Argument(help="Model files, and then the log.", metavar="MODEL... EVENTS...")],
    look_back: LookBack = None,
    rows: MostRows = ROWS,
    report: Annotated[Path | None, typer.Option(help="Also write the report, as HTML.")] = None,
    unit: Unit = None,
    order: Order = None,
    zone: Zone = None,
) -> None:
    """Grade models on a log, side by side, the original's weights and a gradient boosting among them.

    Graded are the users and times that `train` on this log would have kept for its test; the last argument is the log:
    CSV, JSON lines, Parquet or Avro container in the event's columns (several, a folder or a quoted pattern are one),
    or kafka:TOPIC,TOPIC.
    """
    with plainly():
        from jobs.training.evaluate import evaluate_files

        evaluate_files(models, look_back, rows, report, asked_times(load_settings(), unit, order, zone))
