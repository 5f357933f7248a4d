"""The commands `dead-letters list`, `show` and `retry`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.dead_letters.retry import retry
from jobs.dead_letters.show import list_letters, show_letter
from jobs.problems import plainly
from schemas.dead_letters import REASONS
from schemas.errors import JobError
from settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    help="""Messages and rows that are no valid events: what they are, and a second chance.

    With ADSTREAMS_SOURCE=kafka they are those of the dead-letter topic, else those of the store's table.""",
)

Reason = Annotated[str | None, typer.Option(help=f"Only those with this reason: {', '.join(REASONS)}.")]


@app.command(name="list")
def list_command(
    reason: Reason = None, count: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20
) -> None:
    """Show where dead letters came from and why they were rejected, with totals by reason."""
    with plainly():
        list_letters(load_settings(), _known(reason), count)


@app.command(name="show")
def show_command(place: Annotated[str, typer.Argument(metavar="SOURCE/PARTITION/OFFSET")]) -> None:
    """Show all of a dead letter: its bytes, and what of them can be decoded."""
    with plainly():
        show_letter(load_settings(), place)


@app.command(name="retry")
def retry_command(
    places: Annotated[
        list[str] | None, typer.Argument(metavar="PLACE", help="SOURCE/PARTITION/OFFSET, as list shows it; else all.")
    ] = None,
    reason: Reason = None,
    recovery: Annotated[
        Path | None,
        typer.Option(
            help="Recovery directory of the dataflow that reads log files; without it the one here that belongs to the"
            " store. Not needed for Kafka.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Decode and validate dead letters again, and send those in that are events by now.

    Something must have been mended first: a schema added, the registry put right, ADSTREAMS_MAX_SKEW raised. Those that
    are still bad stay. Letters that are too_late or disputed are events already, and would only die again: they are
    left alone unless --reason names theirs.

    From Kafka, their bytes go to the topic that they came from. Events of log files are given to the dataflow, which
    must not be running meanwhile; where it kept no recovery directory, it reads the logs again. In all cases a letter
    goes only once its event is safe, and its event counts once.
    """
    with plainly("no letter was cleared"):
        retry(load_settings(), places or [], _known(reason), recovery)


def _known(reason: str | None) -> str | None:
    if reason is not None and reason not in REASONS:
        raise JobError(f"--reason: must be one of {', '.join(REASONS)}, got {reason}")
    return reason
