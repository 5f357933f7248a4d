"""The command line: `python -m jobs simulate | import | run`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.import_log import import_log
from jobs.problems import plainly
from jobs.run import run
from jobs.simulate import simulate

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Programs beside the dataflow."""


@app.command(name="simulate")
def simulate_command(
    to: Annotated[Path, typer.Option(help="File to write: .csv, .csv.gz, .parquet or .avro.")],
    users: Annotated[int, typer.Option(min=1, help="Size of the population.")] = 7_000,
    events: Annotated[int, typer.Option(min=1, help="Number of events.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same events.")] = 7,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Day of the first event.")] = datetime(
        2017, 6, 15
    ),
) -> None:
    """Write simulated marketing events and conversions to a file, in the order of event time."""
    with plainly():
        simulate(to, users, events, seed, round(start.replace(tzinfo=UTC).timestamp() * 1000))


@app.command(name="import")
def import_command(
    log: Annotated[Path, typer.Argument(help="Somebody's log: CSV (also compressed) or Parquet.")],
    sql: Annotated[str, typer.Option(help="SELECT … FROM log, giving the event's columns.")],
    to: Annotated[Path, typer.Option(help="File to write: .csv, .csv.gz, .parquet or .avro.")],
    rejected: Annotated[Path | None, typer.Option(help="File for the rejected rows, as JSON lines.")] = None,
) -> None:
    """Map a log to the event's columns with SQL, and say what was rejected and why.

    Columns: user_id, timestamp (a time, or ms since 1970) and type (IM, CL, PS or CN) are needed; event_id is made
    where there is none, the same for the same row; state, segment, campaign, publisher, creative, placement, product,
    quantity and revenue are optional.
    """
    with plainly():
        import_log(log, sql, to, rejected)


@app.command(name="run")
def run_command(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the app.")] = 5006,
    address: Annotated[str, typer.Option(help="Address that the app listens at.")] = "127.0.0.1",
    origin: Annotated[list[str] | None, typer.Option(help="host:port that browsers may come from.")] = None,
    recovery: Annotated[Path, typer.Option(help="Recovery directory; made where it is missing.")] = Path("recovery"),
) -> None:
    """Run the dataflow and the app together; Ctrl-C stops both cleanly."""
    with plainly():
        sys.exit(run(recovery, port, address, tuple(origin or ())))


if __name__ == "__main__":
    app(prog_name="python -m jobs")
