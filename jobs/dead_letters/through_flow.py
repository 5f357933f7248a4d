"""Mended dead letters as a log: the dataflow itself reads it, with the recovery directory that keeps the sequences.

Each retry writes a log of its own name, which the dataflow reads from its start. If anything ends before the letters
are cleared, the next retry sends the same events in again, and they are repeats.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from jobs.dead_letters.keeping import ALL, TableKeeper
from jobs.dead_letters.mending import Mended
from jobs.run import flow_command
from schemas.dead_letters import DeadLetter
from schemas.errors import JobError
from schemas.logs.log_writer import LogWriter
from settings import RECOVERY_NOTE, RETRY_FOLDER

LOCK = "ad-streams-retry.lock"
"""What keeps a second retry out of a recovery directory."""
_LOG = "events.parquet"
_HANDLED = re.compile(r"([\d,]+) (?:scored|repeats|dead letters|expired|erased)")


def is_leftover(letter: DeadLetter) -> bool:
    """Whether the letter is of an event that a retry had sent in, and that it could not look after any more.

    The letter that the event came from is still there.
    """
    path = Path(letter.source)
    return path.name == _LOG and path.parent.name.startswith(RETRY_FOLDER)


def through_flow(keeper: TableKeeper, mended: Mended, recovery: Path) -> tuple[int, list[DeadLetter]]:
    """Let the dataflow read the letters' events, and clear the letters once it has saved them.

    Returns how many went in, and those that died again: they stay as they were, with the reason that they have now.

    Raises:
        JobError: the recovery directory is not that of log files or is in use, or the dataflow failed.
        StoreError: the letters cannot be cleared.
    """
    _check(recovery)
    with _alone(recovery), tempfile.TemporaryDirectory(prefix=RETRY_FOLDER) as folder:
        log = Path(folder) / _LOG
        with LogWriter(log) as out:
            for events in mended.events:
                out.write(events)
        _run(log, recovery, len(mended.letters))
        with keeper.reading() as reader:
            leftovers = [letter for letter in reader.dead_letters(ALL) if is_leftover(letter)]
        died = {letter.offset: letter for letter in leftovers if letter.source == str(log)}
        rows = dict(enumerate(mended.letters, start=1))
        stay = [replace(rows[row], reason=again.reason, detail=again.detail) for row, again in died.items()]
        back = [letter for row, letter in rows.items() if row not in died]
        with keeper.writing() as writer:
            writer.write_dead_letters(stay)
            writer.clear_dead_letters(leftovers)
            writer.clear_dead_letters(back)
    return len(back), stay


def _check(recovery: Path) -> None:
    try:
        source = json.loads((recovery / RECOVERY_NOTE).read_text())["ADSTREAMS_SOURCE"]
    except (OSError, ValueError, KeyError):
        raise JobError(
            f"recovery directory {recovery}: no dataflow has used it; --recovery names the one that keeps the sequences"
        ) from None
    if source == "kafka":
        raise JobError(f"recovery directory {recovery} is that of topics: set ADSTREAMS_SOURCE to kafka")
    if source != "file":
        raise JobError(f"recovery directory {recovery} is that of the {source}, which takes no other events")


@contextmanager
def _alone(recovery: Path) -> Iterator[None]:
    """Keep another retry out, which would take this one's letters for leftovers."""
    with open(recovery / LOCK, "w", opener=partial(os.open, mode=0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise JobError(f"recovery directory {recovery}: another retry is running") from None
        yield


def _run(log: Path, recovery: Path, expected: int) -> None:
    """Run the dataflow over a log, to its end."""
    lines = run_over(str(log), recovery, f"the dataflow takes {expected:,} events")
    if _handled(lines) != expected:  # a signal ends it cleanly
        raise JobError("the dataflow ended before it had taken all events; retry again")


def run_over(log: str, recovery: Path | None, status: str) -> list[str]:
    """Run the dataflow over log files; returns what it said.

    Raises:
        JobError: it failed.
    """
    with Console(stderr=True).status(status):
        run = subprocess.run(
            flow_command(recovery),
            env=os.environ | {"ADSTREAMS_SOURCE": "file", "ADSTREAMS_FILE": log},
            capture_output=True,
            text=True,
            errors="replace",
        )
    lines = run.stderr.splitlines() or [""]
    if run.returncode:
        raise JobError(f"the dataflow accepted no event: {lines[-1].removeprefix('ad-streams: ')}")
    return lines


def _handled(lines: Sequence[str]) -> int:
    """How many events the dataflow says it has dealt with, in the last of its lines about them."""
    found = [_HANDLED.findall(line) for line in lines if "in all, " in line]
    return sum(int(number.replace(",", "")) for number in found[-1]) if found else 0
