"""The whole dataflow over one file, in its own process: `python -m benchmarks.run_flow FILE STORE [LENGTH [EPOCH]]`.

Prints events a second, from the first batch that is read to the end. Compiling comes before that: a small log of the
same shape goes through the same flow first. With an EPOCH (seconds) recovery is on, and saved at the end too.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from benchmarks.logs import write_log
from dataflow import build_flow
from schemas.logs.log_files import LogFile
from schemas.scored import ScoredRows
from settings import Settings
from steps.flow_parts import parts_of
from steps.process.recovery import widen_pages
from steps.sources.file import FileSource
from stores.base import Writer
from stores.memory import MemoryWriter
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import make_recovery


class NoRows(MemoryWriter):
    """Takes rows and keeps none, to measure the dataflow alone."""

    def write(self, rows: ScoredRows) -> None:
        """Drop the rows."""


def new_recovery(path: Path) -> Path:
    """A recovery directory as the dataflow would have it."""
    widen_pages(make_recovery(path), [])
    return path


def warm_up(length: int = 1_000) -> None:
    """Load what is compiled: a small log of the same shape goes through the same flow."""
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder) / "warm.parquet", 100, 2_000)
        seconds(Path(folder) / "warm.parquet", NoRows, length)


def seconds(path: Path, open_writer: Callable[[], Writer], length: int, epoch: timedelta | None = None) -> float:
    """How long the flow takes over a log, with sequences of so many events."""
    settings = Settings(model=Path("model/decay.json"), sequence_length=length)
    flow = build_flow(FileSource([LogFile(path)]), parts_of(settings.loaded_model, open_writer, settings))
    with tempfile.TemporaryDirectory() as folder:
        recovery = None if epoch is None else RecoveryConfig(new_recovery(Path(folder) / "recovery"))
        started = time.perf_counter()
        cluster_main(flow, [], 0, recovery_config=recovery, epoch_interval=epoch or timedelta(seconds=10))
        return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    logging.disable(logging.CRITICAL)
    path, store = Path(sys.argv[1]), sys.argv[2]
    length, epoch = int((sys.argv[3:] or ["1000"])[0]), [timedelta(seconds=int(value)) for value in sys.argv[4:]]
    warm_up(length)
    with tempfile.TemporaryDirectory() as folder:
        writer = NoRows if store == "none" else lambda: SqliteWriter(Path(folder) / "bench.db")
        took = seconds(path, writer, length, *epoch)
    print(pyarrow.parquet.ParquetFile(path).metadata.num_rows / took, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
