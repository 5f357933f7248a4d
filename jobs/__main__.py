"""The command line: `python -m jobs COMMAND`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jobs.attribute import attribute
from jobs.dead_letters.commands import app as dead_letters
from jobs.duration_option import duration
from jobs.erase import erase
from jobs.grading.commands import grade_command
from jobs.importing.commands import import_command
from jobs.log_options import Order, Unit, Zone, asked_times
from jobs.models import app as models
from jobs.problems import plainly
from jobs.rebuild_latest import rebuild_latest
from jobs.run import run
from jobs.simulate_command import simulate_command
from jobs.supervise import supervise
from jobs.training.commands import evaluate_command, train_command
from settings import LEAST_LOOK_BACK, MISTAKEN, load_settings, start_logging, stop


class Commands(TyperGroup):
    """The commands: a wrong command line is told as all else that is wrong, on one plain line with exit code 2."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command that is asked for, and end the program."""
        try:
            sys.exit(super().main(*args, **options | {"standalone_mode": False}))
        except typer.TyperException as error:
            problem = " ".join(error.format_message().split()).rstrip(".")
            context = getattr(error, "ctx", None)
            if not problem:  # without a command, the help was shown
                sys.exit(MISTAKEN)
            stop(problem if context is None else f"{problem}; see {context.command_path} --help")


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Programs beside the dataflow."""


app.command(name="simulate")(simulate_command)
app.command(name="import")(import_command)
app.command(name="train")(train_command)
app.command(name="evaluate")(evaluate_command)
app.command(name="grade")(grade_command)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(models, name="models")


@app.command(name="attribute")
def attribute_command(
    events: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG...",
            help="CSV, JSON lines, Parquet or Avro container in the event's columns; several files, a folder or a "
            "quoted pattern are one log.",
        ),
    ],
    look_back: Annotated[
        str | None,
        typer.Option(help="Longest time from a touch to its conversion.", show_default="ADSTREAMS_LOOK_BACK"),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="File for all credits: .csv, .csv.gz or .parquet.")] = None,
    by_day: Annotated[
        Path | None,
        typer.Option(help="File for the sums by UTC day, campaign and type: .csv, .csv.gz or .parquet."),
    ] = None,
    paths: Annotated[
        Path | None, typer.Option(help="File for the counts of paths, with or without conversion: .csv or .csv.gz.")
    ] = None,
    store_models: Annotated[
        bool, typer.Option("--store-models", help="By the store's models, each conversion by that of its time.")
    ] = False,
    unit: Unit = None,
    order: Order = None,
    zone: Zone = None,
    for_spreadsheets: Annotated[
        bool,
        typer.Option("--for-spreadsheets", help="In CSV files put ' before texts that spreadsheets compute."),
    ] = False,
) -> None:
    """Credit each conversion of a log to the touches before it, by the model (ADSTREAMS_MODEL), and sum the credits up.

    A touch is an impression, a click or a paid search. Its credit is its part in the propensity just before the
    conversion, by the Aumann-Shapley rule; what no touch explains is a row of its own, which is what the model says of
    the same user without touches (a prediction, no experiment). Of each conversion the credits sum up to 1. Beside it:
    the last touch, the first, all alike, half as much for every 7 days before, and 40/20/40 by position.
    """
    with plainly():
        settings = load_settings()
        span = settings.look_back if look_back is None else duration("--look-back", look_back, LEAST_LOOK_BACK)
        times = asked_times(settings, unit, order, zone)
        attribute(settings, events, span, to, by_day, paths, store_models, times, for_spreadsheets)


@app.command(name="rebuild-latest")
def rebuild_latest_command() -> None:
    """Fill the store's table latest_propensity from the compacted propensity topic alone.

    The settings name the topic and the store (ADSTREAMS_KAFKA_BROKERS, ADSTREAMS_KAFKA_PROPENSITY_TOPIC,
    ADSTREAMS_STORE). Of each user the row with the greatest version stays, so that it may run beside the dataflow.
    """
    with plainly():
        rebuild_latest(load_settings())


@app.command(name="erase")
def erase_command(user_id: Annotated[str, typer.Argument(metavar="USER_ID")]) -> None:
    """Delete all that is kept of a user, in any store, and let no event from before now come back.

    Rows of all tables, dead letters, and the entry in the propensity topic go; a running dataflow forgets the user
    within seconds, one that does not run at its next start. Only the hash of the id stays, in the table erasures.
    The topics and log files that events are read from are yours: delete there what must go. The exit code is 1 where no
    such user is known and none was erased before: the id may be mistyped. The request is remembered all the same.
    """
    with plainly():
        if not erase(load_settings(), user_id):
            sys.exit(1)


@app.command(name="run")
def run_command(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the app.")] = 5006,
    address: Annotated[str, typer.Option(help="Address that the app listens at.")] = "127.0.0.1",
    origin: Annotated[list[str] | None, typer.Option(help="Allowed origin, host:port.")] = None,
    recovery: Annotated[Path, typer.Option(help="Recovery directory; created if missing.")] = Path("recovery"),
) -> None:
    """Run the dataflow, the app and the grader together; Ctrl-C stops all cleanly."""
    with plainly():
        sys.exit(run(recovery, port, address, tuple(origin or ())))


@app.command(name="supervise")
def supervise_command(
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes of the flow.")] = 1,
    recovery: Annotated[Path, typer.Option(help="Recovery directory; created if missing.")] = Path("recovery"),
) -> None:
    """Run the dataflow in so many processes, and start all again when one is lost or more partitions ask for it.

    A signal drains all. A start that the settings do not allow (exit code 2) is not tried again.
    """
    start_logging()
    with plainly():
        sys.exit(supervise(processes, recovery))


if __name__ == "__main__":
    app(prog_name="python -m jobs")
