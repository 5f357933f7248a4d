"""Checks the saved state that a flow is about to resume from: nothing of it may be damaged.

Of every key Bytewax loads the newest state from before the epoch at which it resumes. It panics over one that cannot be
unpickled, and believes one that can although it was damaged.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from model.sealed import demand_sound, unseal
from schemas.errors import SettingsError

_STATES = """
    SELECT step_id, state_key, ser_change
    FROM (SELECT step_id, state_key, max(snap_epoch) AS snap_epoch FROM snaps WHERE snap_epoch < ? GROUP BY 1, 2)
    JOIN snaps USING (step_id, state_key, snap_epoch)
    WHERE ser_change IS NOT NULL
"""
"""What Bytewax loads."""
_MEND = "put a copy of the whole directory in its place, or remove it to start anew"


def check_snapshots(directory: Path) -> None:
    """Fail where a file of the directory is damaged, or a state in it that a resume would load.

    Raises:
        SettingsError: one is, or files are missing or of different times; the message names it.
    """
    parts, book = sorted(directory.glob("part-*.sqlite3")), _Book()
    for part in parts:
        with _opened(part) as file:
            _check_file(file)
            book.add(file)
    if problem := book.problem(len(parts)):
        raise SettingsError(f"recovery directory {directory}: {problem}; {_MEND}")
    for part in parts:
        with _opened(part) as file:
            for step, key, kept in file.execute(_STATES, (book.resume,)):
                _check_state(f"{step}, key {key}", kept)


class _DamageError(Exception):
    """What is damaged."""


@contextmanager
def _opened(part: Path) -> Iterator[sqlite3.Connection]:
    """A file of a recovery directory; errors name it."""
    where = f"recovery directory {part.parent}: {part.name}"
    if not os.access(part, os.W_OK):
        raise SettingsError(f"{where}: it cannot be written")
    file = sqlite3.connect(f"{part.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    file.text_factory = lambda text: text.decode(errors="replace")
    try:
        yield file
    except sqlite3.OperationalError as error:  # it may be sound: locked, or out of reach
        raise SettingsError(f"{where}: {_on_one_line(error)}") from None
    except (sqlite3.Error, UnicodeDecodeError, _DamageError) as error:  # of SQLite's own words, where a name is damaged
        raise SettingsError(f"{where}: {_on_one_line(error)}; {_MEND}") from None
    finally:
        file.close()


def _on_one_line(error: Exception) -> str:
    """The text of an error, in which SQLite may show damaged bytes."""
    return " ".join(str(error).split())


def _check_file(file: sqlite3.Connection) -> None:
    """Whether the file is whole, and its indexes match its tables."""
    ((found,),) = file.execute("PRAGMA integrity_check(1)")
    if found != "ok":
        raise _DamageError(f"damaged: {found}")


class _Book:
    """How far the flow is, from all files of a directory together."""

    def __init__(self) -> None:
        self._parts, self._committed = list[tuple[int, int]](), 0
        self._runs, self._fronts = list[tuple[int, int, int]](), list[tuple[int, int, int]]()

    def add(self, file: sqlite3.Connection) -> None:
        """Add one file."""
        self._parts += file.execute("SELECT part_index, part_count FROM parts")
        self._runs += file.execute("SELECT ex_num, worker_count, resume_epoch FROM exs")
        self._fronts += file.execute("SELECT ex_num, worker_index, worker_frontier FROM fronts")
        ((committed,),) = file.execute("SELECT coalesce(max(commit_epoch), 0) FROM commits")
        self._committed = max(self._committed, committed)

    @property
    def resume(self) -> int:
        """The epoch at which the next run begins: the one that the slowest worker of the last run had not finished."""
        if not self._runs:
            return 0
        last, workers, begun = max(self._runs)
        reached = dict.fromkeys(range(workers), begun)
        for run, worker, front in self._fronts:
            if run == last:
                reached[worker] = max(reached.get(worker, begun), front)
        return min(reached.values())

    def problem(self, files: int) -> str | None:
        """Why a flow cannot resume from so many files, if so."""
        counts = {count for _, count in self._parts}
        if sorted(index for index, _ in self._parts) != list(range(files)) or counts != {files}:
            return f"of {max(counts, default=files)} files {files} are there, or one twice"
        if self._committed > self.resume:
            return f"its files are of different times: epoch {self._committed} is saved, and {self.resume} not begun"
        return None


def _check_state(name: str, kept: bytes) -> None:
    """Fail unless a state is what was saved, or marks a step without one."""
    try:
        found = not _is_plain(kept) or _Looker(io.BytesIO(kept)).load()
    except Exception:  # a damaged pickle may do anything
        found = False
    if found is not None and found is not _SOUND:
        raise _DamageError(f"the state of {name} is damaged")


def _is_plain(kept: bytes) -> bool:
    """Whether a pickle does no more than that of `Sealed`: with others a damaged one might harm the process."""
    return {opcode.name for opcode, _, _ in pickletools.genops(kept)} <= _OPCODES


_OPCODES = {
    "PROTO", "FRAME", "SHORT_BINUNICODE", "MEMOIZE", "BINGET", "STACK_GLOBAL", "MARK", "SHORT_BINBYTES", "BINBYTES",
    "BINBYTES8", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE", "REDUCE", "NONE", "STOP",
}  # fmt: skip
_SOUND = object()


class _Looker(pickle.Unpickler):
    """Finds out whether a state is sound, and makes nothing of it."""

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """The only function that a sound state calls."""
        if (module, name) != (unseal.__module__, unseal.__name__):
            raise pickle.UnpicklingError(name)
        return _look


def _look(checksum: bytes, *parts: bytes) -> object:
    demand_sound(checksum, *parts)
    return _SOUND
