"""The commands `models list`, `add` and `remove`: by which model a store's rows are scored, from when on."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jobs.console import say, seen, show
from jobs.model_files import NO_MODELS, read_model
from jobs.problems import plainly, require_store
from model.durations import to_milliseconds, write_duration
from model.scoring.training_record import at_milliseconds, from_milliseconds
from model.timeline import MOST, read_models
from schemas.errors import JobError
from schemas.flow_status import RUNNING, members_of, problem_of
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel
from schemas.validation import LAST_TIME
from settings import Settings, Source, load_settings
from stores.store_registry import reader_of, writer_of

MARGIN = timedelta(minutes=1)
"""Time of the clock for every process of a flow to hear of a change, beside ADSTREAMS_MAX_SKEW of event time."""
TIME_TO_ACT = timedelta(minutes=5)
"""How long a time that `list` names can be met, while events come."""
EARLIEST = "earliest"
"""What `--from` takes for the earliest time that is possible when the model is added."""

app = typer.Typer(
    no_args_is_help=True,
    help="""The models of a store: a row is scored by the newest that is valid at its event's time.

    The first is that of ADSTREAMS_MODEL when the store was new. Running flows follow changes within seconds.""",
)


@app.command(name="list")
def list_command() -> None:
    """Show the models, from when on each is valid, and from when on another one can be."""
    with plainly():
        list_models(load_settings())


@app.command(name="add")
def add_command(
    file: Annotated[Path, typer.Argument(help="Model file.")],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help=f"ISO 8601, or {EARLIEST} for the earliest that is possible; without it valid_from of the file.",
        ),
    ] = None,
) -> None:
    """Score rows by another model from a time on, which must be later than all that was or will soon be scored."""
    with plainly():
        add_model(load_settings(), file, from_)


@app.command(name="remove")
def remove_command(model_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Take back a model that is not valid yet."""
    with plainly():
        remove_model(load_settings(), model_id)


def list_models(settings: Settings) -> None:
    """Print the store's models, oldest first."""
    require_store(settings)
    with closing(reader_of(settings)()) as reader:
        stored = reader.models()
    now = _now(settings)
    if not stored:
        say(NO_MODELS)
        return
    table = Table("model", "valid from", "horizon", "features", box=None, header_style="bold")
    for each, model in zip(stored, read_models(stored), strict=True):
        cells = [each.model_id, _start_of(each), write_duration(model.horizon), f"{len(model.features):,}"]
        table.add_row(*map(seen, cells))
    show(table)
    if now.newest is not None:
        earliest, allowed = now.earliest(settings), ""
        if now.speed:
            earliest = _whole_minute(earliest + to_milliseconds(TIME_TO_ACT) * now.speed)
            allowed = f", if it is added within {write_duration(TIME_TO_ACT)}"
        if earliest < LAST_TIME:
            start = from_milliseconds(earliest)
            possible = f"can be valid from {start} on{allowed}; --from {EARLIEST} is as soon as possible"
        else:
            possible = "can be added once the flow has ended, for event time passes too fast now"
        say(f"the newest event is of {from_milliseconds(now.newest)}; another model {possible}")


def add_model(settings: Settings, file: Path, start: str | None) -> None:
    """Add a model to the store, and say from when on it is valid; in a new store it follows that of ADSTREAMS_MODEL.

    Raises:
        JobError: the file is no model, or cannot be added; the message says why.
        StoreError: the store cannot be used.
    """
    model = read_model(file)
    if start is not None and start != EARLIEST:
        model = model.model_copy(update={"valid_from": _time(start)})
    if start != EARLIEST and model.valid_from is None:
        raise JobError(f"--from: needed, {file} has no valid_from")
    named = "--from" if start is not None else f"{file}: valid_from"
    if start != EARLIEST and not 0 <= model.start < LAST_TIME:
        raise JobError(f"{named}: must be between 1970 and 2100, as events are")
    with closing(writer_of(settings)()) as writer:
        stored = writer.models()
        if not stored:
            first = settings.loaded_model
            writer.add_model(StoredModel(FROM_THE_BEGINNING, first.id, first.model_dump_json()))
            stored = writer.models()
        if model.id in {each.model_id for each in stored}:
            raise JobError(f"{file}: the store has a model {model.id} already; give this one another id")
        if len(stored) >= MOST:
            raise JobError(f"{file}: the store has {MOST} models, the maximum")
        earliest = _now(settings).earliest(settings)
        if earliest >= LAST_TIME:
            raise JobError(f"{named}: event time passes too fast for a change now; add it once the flow has ended")
        if start == EARLIEST:
            model = model.model_copy(update={"valid_from": at_milliseconds(max(earliest, 0))})
        added = StoredModel(model.start, model.id, model.model_dump_json())
        if added.valid_from < earliest:
            raise JobError(
                f"{named}: {from_milliseconds(added.valid_from)} has passed, or will before every process has heard of"
                f" it; {from_milliseconds(earliest)} is the earliest that is possible now"
            )
        if added.valid_from not in {each.valid_from for each in stored}:
            writer.add_model(added)
            stored = writer.models()
    if added not in stored:
        raise JobError(f"{named}: another model is valid from {from_milliseconds(added.valid_from)} on")
    say(f"model {model.id} is valid from {from_milliseconds(added.valid_from)} on; running flows follow in seconds")
    former = read_models(stored)[stored.index(added) - 1]
    if former.horizon != model.horizon:
        own, other = write_duration(model.horizon), write_duration(former.horizon)
        say(f"note: its propensities are for {own}, those of {former.id} before it for {other}: curves will jump")


def remove_model(settings: Settings, model_id: str) -> None:
    """Take a model out of the store.

    Raises:
        JobError: there is none of this id, or rows are or may soon be scored by it.
        StoreError: the store cannot be used.
    """
    require_store(settings)
    with closing(writer_of(settings)()) as writer:
        stored = writer.models()
        found = next((each for each in stored if each.model_id == model_id), None)
        if found is None:
            ids = ", ".join(each.model_id for each in stored)
            raise JobError(f"{model_id}: no such model; the store has {ids or 'none'}")
        if found.valid_from < _now(settings).earliest(settings):
            raise JobError(f"{model_id}: it stays, for it is valid {_start_of(found)}: rows are scored by it, or soon")
        writer.remove_model(found)
    say(f"model {model_id} was removed")


@dataclass(frozen=True, slots=True)
class _Now:
    """Where a store is: the time (ms) of its newest event, and how many ms of event time pass in one of the clock."""

    newest: int | None
    speed: float

    def earliest(self, settings: Settings) -> int:
        """The first event time (ms) of which no row can have been scored before every process knows of a change."""
        reached = [] if self.newest is None else [self.newest]
        if settings.source is Source.KAFKA:
            reached.append(time.time_ns() // 1_000_000)
        margin = to_milliseconds(settings.max_skew) + int(to_milliseconds(MARGIN) * max(self.speed, 1)) + 1
        return max((each + margin for each in reached), default=FROM_THE_BEGINNING + 1)


def _now(settings: Settings) -> _Now:
    with closing(reader_of(settings)()) as reader:
        newest, statuses = reader.summary().newest, reader.statuses()
    if settings.source is Source.KAFKA:
        return _Now(newest, 1.0)
    is_running = not problem_of(statuses, time.time_ns() // 1_000_000)
    speeds = [each.speed for each in members_of(statuses) if is_running and each.state == RUNNING]
    return _Now(newest, max(speeds, default=0.0))


def _whole_minute(moment: float) -> int:
    """The next whole minute of a time in ms, which is easily typed."""
    minute = to_milliseconds(timedelta(minutes=1))
    return -int(-moment // minute) * minute


def _start_of(model: StoredModel) -> str:
    if model.valid_from == FROM_THE_BEGINNING:
        return "from the beginning"
    return f"from {from_milliseconds(model.valid_from)}"


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise JobError(f"--from: {text!r} is not a time such as 2026-12-01T00:00:00Z, nor {EARLIEST}") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
