"""What must not change during the life of a recovery directory, kept in it and checked before the flow starts.

Buckets decide under which key a user's sequence lies, and the sequence length what it holds: with others, old state
would silently be left behind. Bytewax cannot resume from another source, and another simulated world has other users of
the same names. A store that was made anew lacks the rows that the state has seen.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import sqlite3
import stat
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model.bucket import SNAPSHOT_VERSION
from schemas.errors import SettingsError
from schemas.provenance import state_of
from settings import RECOVERY_NOTE, Settings, Source, Store
from topics.client import Topic

log = logging.getLogger("adstreams")

LOCK = "ad-streams.lock"
PAGE_BYTES = 65_536
"""Of the SQLite files in the directory, the most there is: nothing flows while an epoch is saved, and with pages of
4 KiB that takes twice as long. The log beside a file may grow to a thousand of them."""
_UNUSED_BYTES = 1 << 20
_ONCE = {"ADSTREAMS_TIME_UNIT": "auto", "ADSTREAMS_DATE_ORDER": "auto", "ADSTREAMS_TIME_ZONE": "UTC"}
"""What settings that versions before did not note were like then."""


def _flag(arguments: list[str], short: str, name: str) -> str | None:
    """A flag of a `python -m bytewax.run` command line, or Bytewax's environment variable for it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    variable = f"BYTEWAX_{name.upper().replace('-', '_')}"
    parser.add_argument(short, f"--{name}", dest="value", default=os.environ.get(variable))
    value: str | None = parser.parse_known_args(arguments)[0].value
    return value


def recovery_directory(arguments: list[str]) -> Path | None:
    """The recovery directory that Bytewax was given, if any."""
    given = _flag(arguments, "-r", "recovery-directory")
    return Path(given) if given else None


def process_number(arguments: list[str]) -> int:
    """The number of this process in its flow."""
    given = _flag(arguments, "-i", "process-id")
    return int(given) if given and given.isdecimal() else 0


def process_addresses(arguments: list[str]) -> list[str]:
    """The addresses of all processes of the flow, by number; empty where there is one."""
    given = _flag(arguments, "-a", "addresses")
    return given.split(";") if given else []


def is_first_process(arguments: list[str]) -> bool:
    """Whether this is process 0 of the flow, which does what one of them must do for all."""
    return process_number(arguments) == 0


def lock_recovery(directory: Path, arguments: list[str]) -> None:
    """Keep every other flow out of the directory for as long as this process lives; process 0 does so for its flow.

    Two flows on one directory overwrite each other's epochs: nothing could resume from it any more.

    Raises:
        SettingsError: it is none, cannot be written, or another flow has it.
    """
    try:
        is_made = any(directory.glob("part-*.sqlite3"))
    except OSError as error:
        raise SettingsError(f"recovery directory {directory}: {error.strerror}") from None
    if not is_made:
        how = f"mkdir -p {directory} && python -m bytewax.recovery {directory} 2"
        raise SettingsError(f"recovery directory {directory}: make it with {how}")
    if is_first_process(arguments):
        _hold(directory / LOCK, f"recovery directory {directory}")
        for each in (directory, *directory.iterdir()):  # states hold people, and nobody but the flow reads them
            with contextlib.suppress(OSError):  # somebody else's, who let this user in
                each.chmod(stat.S_IMODE(each.stat().st_mode) & ~0o077)


def lock_store(settings: Settings, arguments: list[str]) -> None:
    """Keep every other flow out of the SQLite file for as long as this process lives; process 0 does so for its flow.

    Two flows on one file each write rows that know nothing of the other's events.

    Raises:
        SettingsError: another flow has it, or the lock beside it cannot be written.
    """
    if settings.store is Store.SQLITE and is_first_process(arguments):
        path = settings.sqlite_path.resolve()
        _hold(path.with_name(f"{path.name}-flow"), f"ADSTREAMS_SQLITE_PATH: {settings.sqlite_path}")
        if path.exists() and path.stat().st_mode & stat.S_IROTH:
            log.warning("%s: everybody on this machine may read it; chmod o-rwx keeps them out", settings.sqlite_path)


def _hold(file: Path, what: str) -> None:
    """Lock a file, made where it is missing, and note in it by which process; the lock ends with the process."""
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)  # closed by the process's end, and not before
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode().strip()
            raise SettingsError(f"{what}: in use by process {holder}") from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
    except OSError as error:
        raise SettingsError(f"{what}: {error}") from None


def widen_pages(directory: Path, arguments: list[str]) -> None:
    """Let process 0 give files that hold next to nothing large pages, which they keep; those in use stay as they are.

    No other process has them open yet: Bytewax opens them once all processes have found each other.
    """
    if not is_first_process(arguments):
        return
    for part in directory.glob("part-*.sqlite3"):
        files = directory.glob(f"{part.name}*")  # with the log beside it
        if sum(file.stat().st_size for file in files) <= _UNUSED_BYTES:
            with contextlib.suppress(sqlite3.Error):
                _widen(part)


def _widen(part: Path) -> None:
    with contextlib.closing(sqlite3.connect(part, timeout=0, isolation_level=None)) as file:
        if file.execute("PRAGMA page_size").fetchone()[0] == PAGE_BYTES:
            return
        file.execute("PRAGMA journal_mode = DELETE")  # with a log beside it the size cannot change
        try:
            file.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            file.execute("VACUUM")
        finally:
            file.execute("PRAGMA journal_mode = WAL")


def state_in(directory: Path) -> str | None:
    """What identifies the state in a recovery directory; None where no flow has used it.

    A copy of the directory has the same.

    Raises:
        SettingsError: the directory cannot be read, or its note is damaged.
    """
    with _named(directory):
        try:
            return state_of(_read(directory))
        except FileNotFoundError:
            return None


def check_recovery(
    directory: Path, settings: Settings, store_id: str, topics: Mapping[str, Topic] | None = None
) -> str:
    """Note the settings that are fixed in a new directory, and compare them in an old one; returns what identifies it.

    Of the `topics` that are read, what is noted are their identities and numbers of partitions, which may grow.

    Raises:
        SettingsError: the directory cannot be written, or was made with other settings.
    """
    fixed: dict[str, Any] = {
        "ADSTREAMS_SOURCE": settings.source,
        "ADSTREAMS_BUCKETS": settings.buckets,
        "ADSTREAMS_SEQUENCE_LENGTH": settings.sequence_length,
        "snapshot version": SNAPSHOT_VERSION,
        "store": store_id,
    }
    if settings.source is Source.FILE:  # with another way to read times, rows would be doubled
        fixed |= {
            "ADSTREAMS_TIME_UNIT": settings.time_unit,
            "ADSTREAMS_DATE_ORDER": settings.date_order,
            "ADSTREAMS_TIME_ZONE": settings.time_zone,
        }
    if settings.source is Source.SIMULATOR:
        fixed |= {
            "ADSTREAMS_SIMULATOR_USERS": settings.simulator_users,
            "ADSTREAMS_SIMULATOR_SEED": settings.simulator_seed,
            "ADSTREAMS_SIMULATOR_START": str(settings.simulator_start),
        }
    read = {topic.name: {"id": topic.id, "partitions": topic.partitions} for topic in (topics or {}).values()}
    with _named(directory):
        held = _noted(directory, fixed | {"topics": read, "id": uuid.uuid4().hex})
    for name, value in fixed.items():
        before = held.get(name, _ONCE.get(name))
        if before != value:
            made = f"recovery directory {directory} was made with {before}, not {value}"
            raise SettingsError(f"{name}: {made}; remove it to start anew")
    before = held.get("topics", {})
    _check_topics(directory, before, read)
    if before != read:
        with _named(directory):
            _draft(directory, held | {"topics": read}).replace(directory / RECOVERY_NOTE)
    return state_of(held)


@contextlib.contextmanager
def _named(directory: Path) -> Iterator[None]:
    """Tell what cannot be read or written with the directory's name."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise SettingsError(f"recovery directory {directory}: {error}") from None


def _check_topics(directory: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    for name, topic in before.items():
        if name not in now:
            raise SettingsError(
                f"ADSTREAMS_KAFKA_TOPICS: recovery directory {directory} reads {name} too, which is not listed any more"
            )
        if topic["id"] != now[name]["id"]:
            raise SettingsError(
                f"topic {name}: it was made anew since recovery directory {directory} last read it; remove the"
                " directory to read it from its beginning"
            )
        if topic["partitions"] > now[name]["partitions"]:
            raise SettingsError(
                f"topic {name}: recovery directory {directory} reads {topic['partitions']} partitions,"
                f" but it has {now[name]['partitions']}"
            )


def _noted(directory: Path, note: dict[str, Any]) -> dict[str, Any]:
    """What was noted first in the directory, which is this note where there is none."""
    if not (directory / RECOVERY_NOTE).exists() and _was_used(directory):
        raise ValueError(f"{RECOVERY_NOTE} is missing, which records its settings; remove the directory to start anew")
    draft = _draft(directory, note)
    try:
        (directory / RECOVERY_NOTE).hardlink_to(draft)
    except FileExistsError:
        return _read(directory)
    finally:
        draft.unlink()
    return note


def _read(directory: Path) -> dict[str, Any]:
    held = json.loads((directory / RECOVERY_NOTE).read_text())
    if not isinstance(held, dict):
        raise ValueError(f"{RECOVERY_NOTE} is damaged; remove the directory to start anew")  # noqa: TRY004
    return held


def _was_used(directory: Path) -> bool:
    """Whether a flow has saved something there."""
    for part in directory.glob("part-*.sqlite3"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(part)) as file:
            if file.execute("SELECT EXISTS (SELECT 1 FROM snaps)").fetchone()[0]:
                return True
    return False


def _draft(directory: Path, note: dict[str, Any]) -> Path:
    """The note under a name of this process's own: it has its own name only once it is whole."""
    draft = directory / f".{os.getpid()}-{RECOVERY_NOTE}"
    try:
        draft.write_text(json.dumps(note))
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft
