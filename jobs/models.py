"""The commands `models list`, `add` and `remove`: by which model a store's rows are scored, from when on."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jobs.console import say, seen, show
from jobs.model_files import NO_MODELS, read_model
from jobs.problems import JobError, plainly, require_store
from model.durations import to_milliseconds, write_duration
from model.models import MOST, read_models
from model.training_record import from_milliseconds
from schemas.models import FROM_THE_BEGINNING, StoredModel
from schemas.validation import LAST_TIME
from settings import Settings, Source, load_settings
from stores.choosing import reader_of, writer_of

MARGIN = timedelta(minutes=1)
"""Time for every process of a flow to hear of a change, beside ADSTREAMS_MAX_SKEW."""

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
        str | None, typer.Option("--from", metavar="TIME", help="ISO 8601; without it valid_from of the file.")
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
        stored, newest = reader.models(), reader.summary().newest
    if not stored:
        say(NO_MODELS)
        return
    table = Table("model", "valid from", "horizon", "features", box=None, header_style="bold")
    for each, model in zip(stored, read_models(stored), strict=True):
        cells = [each.model_id, _start_of(each), write_duration(model.horizon), f"{len(model.features):,}"]
        table.add_row(*map(seen, cells))
    show(table)
    if newest is not None:
        earliest = from_milliseconds(_earliest(settings, newest))
        say(f"the newest event is of {from_milliseconds(newest)}; another model can be valid from {earliest} on")


def add_model(settings: Settings, file: Path, start: str | None) -> None:
    """Add a model to the store, and say from when on it is valid; in a new store it follows that of ADSTREAMS_MODEL.

    Raises:
        JobError: the file is no model, or cannot be added; the message says why.
        StoreError: the store cannot be used.
    """
    model = read_model(file)
    if start is not None:
        model = model.model_copy(update={"valid_from": _time(start)})
    if model.valid_from is None:
        raise JobError(f"--from: needed, {file} has no valid_from")
    named = "--from" if start is not None else f"{file}: valid_from"
    if not 0 <= model.start < LAST_TIME:
        raise JobError(f"{named}: must be between 1970 and 2100, as events are")
    added = StoredModel(model.start, model.id, model.model_dump_json())
    with closing(writer_of(settings)()) as writer:
        stored = writer.models()
        if not stored:
            first = settings.loaded_model
            writer.add_model(StoredModel(FROM_THE_BEGINNING, first.id, first.model_dump_json()))
            stored = writer.models()
        if model.id in {each.model_id for each in stored}:
            raise JobError(f"{file}: the store has a model {model.id} already; give this one another id")
        if len(stored) >= MOST:
            raise JobError(f"{file}: the store has {MOST} models, and can have no more")
        earliest = _earliest(settings, _newest(settings))
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
        if found.valid_from < _earliest(settings, _newest(settings)):
            raise JobError(f"{model_id}: it stays, for it is valid {_start_of(found)}: rows are scored by it, or soon")
        writer.remove_model(found)
    say(f"model {model_id} was removed")


def _earliest(settings: Settings, newest: int | None) -> int:
    """The first event time (ms) of which no row can have been scored before every process knows of a change.

    `newest` is the time of the store's newest event.
    """
    reached = [] if newest is None else [newest]
    if settings.source is Source.KAFKA:
        reached.append(time.time_ns() // 1_000_000)
    margin = to_milliseconds(settings.max_skew + MARGIN) + 1
    return max((each + margin for each in reached), default=FROM_THE_BEGINNING + 1)


def _newest(settings: Settings) -> int | None:
    with closing(reader_of(settings)()) as reader:
        return reader.summary().newest


def _start_of(model: StoredModel) -> str:
    if model.valid_from == FROM_THE_BEGINNING:
        return "from the beginning"
    return f"from {from_milliseconds(model.valid_from)}"


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise JobError(f"--from: {text!r} is not a time such as 2026-12-01T00:00:00Z") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
