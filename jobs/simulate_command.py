"""The command `simulate`: what it is asked for, checked and told on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.clusters import cluster_of, encoders, open_registry
from jobs.problems import plainly
from jobs.simulate import simulate
from jobs.simulate_topics import Plan, Target, simulate_topics
from schemas.errors import JobError
from settings import load_settings
from simulator.mishaps import Mishaps

KAFKA = "To Kafka"
"""Panel of the options that only mean something there."""
_FIRST_DAY = datetime(2017, 6, 15)


def simulate_command(
    context: typer.Context,
    to: Annotated[Path | None, typer.Option(help="File to write: .csv, .csv.gz, .parquet or .avro.")] = None,
    users: Annotated[int, typer.Option(min=1, help="Size of the population.")] = 7_000,
    events: Annotated[
        int | None,
        typer.Option(
            min=0,
            show_default="100000 to a file, unlimited to Kafka",
            help="Number of events; 0 = unlimited (Kafka only).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same events.")] = 7,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Day of the first event.")] = _FIRST_DAY,
    brokers: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Bootstrap servers, with commas between them.", rich_help_panel=KAFKA),
    ] = None,
    topics: Annotated[
        str | None,
        typer.Option(
            show_default="ADSTREAMS_KAFKA_TOPICS",
            help="Topics of marketing events and of conversions.",
            rich_help_panel=KAFKA,
        ),
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of a created topic.", rich_help_panel=KAFKA)] = 4,
    rate: Annotated[
        float, typer.Option(min=0, help="Events per second; 0 = as fast as possible.", rich_help_panel=KAFKA)
    ] = 200.0,
    repeats: Annotated[
        float, typer.Option(min=0, max=1, help="Share of events that are sent again.", rich_help_panel=KAFKA)
    ] = 0.0,
    late: Annotated[
        float, typer.Option(min=0, max=1, help="Share of events that arrive up to 6 hours late.", rich_help_panel=KAFKA)
    ] = 0.0,
    broken: Annotated[
        float,
        typer.Option(min=0, max=1, help="Invalid messages, as a share of the events.", rich_help_panel=KAFKA),
    ] = 0.0,
    event_times: Annotated[
        bool,
        typer.Option(
            "--event-times",
            help="Give messages the time of their events, not of sending; mind the topics' retention.",
            rich_help_panel=KAFKA,
        ),
    ] = False,
) -> None:
    """Simulated marketing events and conversions: to a file in the order of event time, or to two Kafka topics.

    Messages are keyed by user id, and framed as the dataflow reads them under the same settings. Ctrl-C ends
    an endless stream; all that was on its way is sent.
    """
    start_ms = round(start.replace(tzinfo=UTC).timestamp() * 1000)
    with plainly():
        if to is not None and brokers is None:
            _refuse(context, ("topics", "partitions", "rate", "repeats", "late", "broken", "event_times"))
            if events == 0:
                raise JobError("--events: must be at least 1 for a file")
            simulate(to, users, 100_000 if events is None else events, seed, start_ms)
        elif brokers is not None and to is None:
            settings = load_settings()
            names = tuple(settings.kafka_topics if topics is None else map(str.strip, topics.split(",")))
            if len(names) != 2 or not all(names) or names[0] == names[1]:
                raise JobError(f"--topics: must be two names with a comma between them, got {','.join(names)}")
            target = Target(cluster_of(settings, brokers), (names[0], names[1]), partitions, event_times)
            plan = Plan(users, events or 0, rate, seed, start_ms, Mishaps(repeats, late, broken))
            with open_registry(settings) as registry:
                marketing, conversions = encoders(registry, target.topics)
            simulate_topics(target, plan, (marketing, conversions))
        else:
            raise JobError("simulate: give either --to FILE or --brokers HOST:PORT")


def _refuse(context: typer.Context, names: tuple[str, ...]) -> None:
    """Say that an option has no meaning for a file rather than leave it out silently."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise JobError(f"--{name.replace('_', '-')}: only with --brokers")
