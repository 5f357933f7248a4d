"""The dataflow over one file in several processes: `python -m benchmarks.processes FILE PROCESSES`.

Prints rows a second from the first that any of them scored to the last. One process reads and decodes the file, all
of them keep buckets of users.
"""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bytewax.dataflow import Dataflow

from benchmarks.run_flow import NoRows, warm_up
from dataflow import build_flow
from schemas.logs.log_files import LogFile
from schemas.scored import ScoredRows
from settings import Settings
from steps.flow_parts import parts_of
from steps.sources.file import FileSource

_FILE, _NOTES = "BENCHMARK_FILE", "BENCHMARK_NOTES"


class Timed(NoRows):
    """Keeps nothing but how many rows came, and when the first and the last did."""

    def __init__(self) -> None:
        super().__init__()
        self._rows, self._first, self._last = 0, 0.0, 0.0
        atexit.register(self._note)

    def write(self, rows: ScoredRows) -> None:
        """Count the rows."""
        self._last = time.perf_counter()  # counts from the machine's start, in every process
        self._first = self._first or self._last
        self._rows += len(rows)

    def _note(self) -> None:
        note = Path(os.environ[_NOTES]) / str(os.getpid())
        note.write_text(f"{self._rows} {self._first} {self._last}")


def flow() -> Dataflow:
    """The flow of one of the processes, with all of it compiled."""
    logging.disable(logging.CRITICAL)
    settings = Settings(model=Path("model/decay.json"))
    warm_up()
    source = FileSource([LogFile(Path(os.environ[_FILE]))])
    return build_flow(source, parts_of(settings.loaded_model, Timed, settings))


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ | {_FILE: str(Path(sys.argv[1]).absolute()), _NOTES: folder}
        command = [sys.executable, "-m", "bytewax.testing", "-p", sys.argv[2], "benchmarks.processes:flow()"]
        subprocess.run(command, env=given, check=True, stdout=subprocess.DEVNULL)
        notes = [note.read_text().split() for note in Path(folder).iterdir()]
    rows, firsts, lasts = zip(*notes, strict=True)
    print(sum(map(int, rows)) / (max(map(float, lasts)) - min(map(float, firsts))))


if __name__ == "__main__":
    main()
