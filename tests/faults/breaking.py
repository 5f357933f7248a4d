"""The real flow in this process, from a source that resumes into the embedded store, and what can end it halfway."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from pathlib import Path

from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from dataflow import build_flow
from model.scoring.propensity import Model
from schemas.avro.codec import Codec
from schemas.events import Origin
from schemas.messages import MessageBatch
from schemas.stored_models import StoredModel
from settings import Settings
from steps.flow_parts import parts_of
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter
from tests.flow.exactness import counted


class Moment(Enum):
    """When a run breaks."""

    READING = auto()
    WRITING = auto()
    """Before held rows reach the store."""
    WRITTEN = auto()
    """After that, and before the epoch that brought them is saved."""


class Broken(Exception):
    """In place of a kill."""


class Breakdown:
    """Breaks a run at one of its moments, when that comes for the `after`-th time; from then on nothing works."""

    def __init__(self, moment: Moment | None = None, after: int = 1) -> None:
        self._moment, self._left = moment, after

    @property
    def happened(self) -> bool:
        return self._left <= 0

    def at(self, moment: Moment) -> None:
        """A moment comes.

        Raises:
            Broken: and so does the end.
        """
        if moment is self._moment:
            self._left -= 1
        if self.happened:
            raise Broken


class _Partition(StatefulSourcePartition[MessageBatch, int]):
    def __init__(self, origin: Origin, messages: list[bytes], at: int, batch: int, breakdown: Breakdown) -> None:
        self._origin, self._messages, self._at, self._batch = origin, messages, at, batch
        self._breakdown = breakdown

    def next_batch(self) -> list[MessageBatch]:
        self._breakdown.at(Moment.READING)
        some = self._messages[self._at : self._at + self._batch]
        if not some:
            raise StopIteration
        batch = MessageBatch.of(*self._origin, self._at, some)
        self._at += len(some)
        return [batch]

    def snapshot(self) -> int:
        return self._at


class ListSource(FixedPartitionedSource[MessageBatch, int]):
    """What lies in some partitions, up to their ends; a recovered flow goes on where it stood."""

    def __init__(self, partitions: Mapping[Origin, list[bytes]], batch: int, breakdown: Breakdown) -> None:
        self._partitions = {f"{origin.source}/{origin.partition}": origin for origin in partitions}
        self._messages, self._batch, self._breakdown = partitions, batch, breakdown

    def list_parts(self) -> list[str]:
        return list(self._partitions)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:
        origin = self._partitions[for_part]
        return _Partition(origin, self._messages[origin], resume_state or 0, self._batch, self._breakdown)


class _Writer(SqliteWriter):
    def __init__(self, path: Path, breakdown: Breakdown, opened: list[SqliteWriter]) -> None:
        super().__init__(path)
        self._breakdown = breakdown
        opened.append(self)

    def flush(self) -> None:
        self._breakdown.at(Moment.WRITING)
        super().flush()
        self._breakdown.at(Moment.WRITTEN)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _told() -> Iterator[list[str]]:
    """What the flow logs within the block."""
    log, lines = logging.getLogger("adstreams"), _Lines()
    level, log.propagate = log.level, False
    log.setLevel(logging.INFO)
    log.addHandler(lines)
    try:
        yield lines.texts
    finally:
        log.removeHandler(lines)
        log.setLevel(level)
        log.propagate = True


@dataclass
class Flow:
    """A flow with a store and a recovery directory in a new folder.

    `partitions` may grow between its runs; an epoch has at the most `batch` messages of each.
    """

    folder: Path
    model: Model
    settings: Settings
    reading: Codec
    partitions: dict[Origin, list[bytes]] = field(default_factory=dict)
    batch: int = 3
    stored: Sequence[StoredModel] = ()

    def __post_init__(self) -> None:
        (self.folder / "recovery").mkdir()
        init_db_dir(self.folder / "recovery", 2)

    @property
    def store(self) -> Path:
        return self.folder / "store.db"

    def run(self, workers: int, breakdown: Breakdown) -> Counter[str] | None:
        """Go on from where it stood, to the end: what that run says it did; None where it broke."""
        opened = list[SqliteWriter]()
        open_writer = partial(_Writer, self.store, breakdown, opened)
        source = ListSource(self.partitions, self.batch, breakdown)
        parts = parts_of(self.model, open_writer, self.settings, self.reading, models=self.stored)
        flow = build_flow(source, parts)
        recovery = RecoveryConfig(self.folder / "recovery")
        with _told() as lines:
            try:
                cluster_main(
                    flow, [], 0, worker_count_per_proc=workers, recovery_config=recovery, epoch_interval=timedelta(0)
                )
            except BytewaxRuntimeError:
                assert breakdown.happened
            finally:
                for writer in opened:
                    writer.close()
        if breakdown.happened:
            return None
        return counted([line for line in lines if "in all, " in line])

    @contextmanager
    def reader(self) -> Iterator[SqliteReader]:
        with closing(SqliteReader(self.store)) as reader:
            yield reader
