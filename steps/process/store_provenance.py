"""What fills the store: noted at its first start, and compared at each later one.

A store that takes the events of a second world shows people who never were in one place. And a start that reads only
some of the events that the store was filled from, without the state that knows the others, computes rows as if their
users had no history. Both are refused before anything is read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import xxhash

from schemas.errors import SettingsError, StoreError
from schemas.provenance import FILE, KAFKA, SIMULATOR, Input, Provenance, named
from settings import RETRY_FOLDER, Settings, Source
from stores.base import ProvenanceWriter
from stores.store_registry import store_kind
from topics.client import Topic

log = logging.getLogger("adstreams")

_EDGE = 1 << 16
"""Bytes of a file's start, and of its end at that time, that identify it: a log may grow, and stays the same log."""


def provenance_of(
    settings: Settings, files: Sequence[Path], topics: Mapping[str, Topic], state: str | None
) -> Provenance:
    """What this start fills the store from.

    Args:
        settings: name the source.
        files: the log files that are read.
        topics: the topics that are read.
        state: identifies the recovery directory, None without one.

    Raises:
        SettingsError: a file cannot be read.
    """
    match settings.source:
        case Source.SIMULATOR:
            world: dict[str, str | int] = {
                "users": settings.simulator_users,
                "seed": settings.simulator_seed,
                "start": str(settings.simulator_start),
            }
            return Provenance(SIMULATOR, world, state=state)
        case Source.KAFKA:
            return Provenance(KAFKA, inputs={name: {"id": topics[name].id} for name in sorted(topics)}, state=state)
        case Source.FILE:
            lasting = [path for path in files if not path.absolute().parent.name.startswith(RETRY_FOLDER)]
            return Provenance(FILE, inputs={str(path.absolute()): _identity(path) for path in lasting}, state=state)


def check_provenance(writer: ProvenanceWriter, settings: Settings, now: Provenance) -> None:
    """Compare what is to fill the store with what filled it; nothing is written.

    Raises:
        SettingsError: it is another world, or less than what the store was filled from and without its state.
        StoreError: the store cannot be read.
    """
    held = _held(writer, settings)
    if held is None:
        if not writer.is_empty():
            log.warning("%s does not record what filled it; assuming %s", _place(settings), now)
        return
    for name, value in held.world.items():
        if name in now.world and now.world[name] != value:
            raise SettingsError(
                f"ADSTREAMS_SIMULATOR_{name.upper()}: {_place(settings)} holds the simulated world made with {value},"
                f" not {now.world[name]}; name another {_kind(settings)} ({_setting(settings)}), or remove that one to"
                " start anew"
            )
    if held.source != now.source:
        raise SettingsError(
            f"{_setting(settings)}: {_place(settings)} holds {held}, and does not mix them with {now};"
            f" name another {_kind(settings)}, or remove that one to start anew"
        )
    if now.state is None or now.state != held.state:
        missing = [name for name, each in held.inputs.items() if not _is_read(name, each, now)]
        if missing:
            raise SettingsError(_lacking(settings, missing, now))
    remade = [name for name, each in now.inputs.items() if now.source == KAFKA and held.inputs.get(name, each) != each]
    if remade:
        log.warning("topic %s was recreated since it filled %s: earlier rows stay", named(remade), _place(settings))


def note_provenance(writer: ProvenanceWriter, settings: Settings, now: Provenance) -> None:
    """Note what fills the store from now on, beside what filled it.

    Raises:
        StoreError: the store cannot be read, or another flow has begun to fill it.
    """
    held, before = _held(writer, settings), writer.provenance()
    text = (now if held is None else replace(now, inputs={**held.inputs, **now.inputs})).to_json()
    if text == before:
        return
    writer.note_provenance(text, before)
    if writer.provenance() != text:
        raise StoreError(f"{_setting(settings)}: another flow has just begun to fill {_place(settings)}")


def _held(writer: ProvenanceWriter, settings: Settings) -> Provenance | None:
    """What filled the store; None where it has no record, or no rows."""
    text = writer.provenance()
    if text is None or writer.is_empty():
        return None
    try:
        return Provenance.from_json(text)
    except ValueError as error:
        raise SettingsError(f"{_setting(settings)}: {_place(settings)}: {error}") from None


def _is_read(name: str, before: Input, now: Provenance) -> bool:
    """Whether all that was read of an input will be read again."""
    if now.source == KAFKA:
        return name in now.inputs
    return any(_holds(Path(path), before) for path in now.inputs)


def _lacking(settings: Settings, missing: list[str], now: Provenance) -> str:
    what = f"{_place(settings)} was filled from {named(missing)}"
    if now.source == KAFKA:
        return (
            f"ADSTREAMS_KAFKA_TOPICS: {what} too, which is not listed any more: what follows would be computed"
            f" without it; list it, or name another {_kind(settings)} ({_setting(settings)})"
        )
    changed = " as it was" if any(name in now.inputs for name in missing) else ""
    return (
        f"ADSTREAMS_FILE: {what}{changed}, and this run would compute rows without that history; give all files"
        " (ADSTREAMS_FILE=FOLDER), continue with the recovery directory of the earlier run (-r DIR), or name another"
        f" {_kind(settings)} ({_setting(settings)})"
    )


def _identity(path: Path) -> Input:
    """What identifies a file as it is now: its size, and hashes of its start and of its end."""
    try:
        size = path.stat().st_size
        return _edges(path, size)
    except OSError as error:
        raise SettingsError(f"ADSTREAMS_FILE: {path}: {error.strerror}") from None


def _holds(path: Path, before: Input) -> bool:
    """Whether a file is one that was read before, or begins with all of it."""
    size = int(before["size"])
    try:
        return path.stat().st_size >= size and _edges(path, size) == before
    except OSError:
        return False


def _edges(path: Path, size: int) -> Input:
    with path.open("rb") as file:
        head = file.read(min(size, _EDGE))
        file.seek(max(0, size - _EDGE))
        tail = file.read(min(size, _EDGE))
    return {"size": size, "head": xxhash.xxh3_64_hexdigest(head), "tail": xxhash.xxh3_64_hexdigest(tail)}


def _setting(settings: Settings) -> str:
    return store_kind(settings).setting


def _kind(settings: Settings) -> str:
    return store_kind(settings).noun


def _place(settings: Settings) -> str:
    return store_kind(settings).place(settings)
