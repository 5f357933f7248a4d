"""How long events wait for their scores while they come at a rate: `python -m benchmarks.waiting RATE USERS [SHARE]`.

The whole dataflow in one process, with recovery and an epoch every 10 s, into no store. Its source first gives WARM
events of so many users as fast as they are taken, and then RATE events a second, every 10 ms those that are due by
then; a SHARE of all is of one user. Prints the 50th and the 99th percentile of the ms from when an event was due to
when its row was handed to the writer.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from benchmarks.logs import events, some_users
from benchmarks.run_flow import NoRows, new_recovery, warm_up
from dataflow import build_flow
from schemas.avro.codec import codec
from schemas.messages import MessageBatch, pieces
from schemas.scored import COMPUTED_AGAIN, ScoredRows
from settings import Settings
from steps.flow_parts import parts_of

WARM, CHUNK = 2_000_000, 10_000
MEASURED = timedelta(seconds=25)
TICK = timedelta(milliseconds=10)
EPOCH = timedelta(seconds=10)


class Meter:
    """Notes when events are due, and how long after that their rows came."""

    def __init__(self, rate: int) -> None:
        self._rate, self.started = rate, 0.0
        self.waits = list[np.ndarray]()

    def due(self) -> int:
        """How many of the events are due by now."""
        return int((time.perf_counter() - self.started) * self._rate)

    def note(self, rows: ScoredRows) -> None:
        """Rows came."""
        came = rows.outcomes["body_row"]
        numbers = rows.events.rows["offset"][came[came != COMPUTED_AGAIN]] - WARM
        if self.started and len(numbers):
            waits = time.perf_counter() - self.started - numbers[numbers >= 0] / self._rate
            self.waits.append(waits * 1000)


class Noted(NoRows):
    """Keeps nothing but when rows came."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def write(self, rows: ScoredRows) -> None:
        """Note the rows."""
        self._meter.note(rows)


class Paced(FixedPartitionedSource[MessageBatch, int]):
    """Made events: those that warm up at once, the rest when they are due."""

    def __init__(self, make: Callable[[int, int], MessageBatch], rate: int, meter: Meter) -> None:
        size = int(rate * TICK.total_seconds())
        last = WARM + int(rate * MEASURED.total_seconds())
        self._make, self._meter = make, meter
        self._ready = [make(first, size) for first in range(WARM, last, size)]

    def list_parts(self) -> list[str]:
        """One."""
        return ["paced"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Part:
        """All of it: nothing is resumed here."""
        return _Part(self._make, self._ready, self._meter)


class _Part(StatefulSourcePartition[MessageBatch, int]):
    def __init__(self, make: Callable[[int, int], MessageBatch], ready: list[MessageBatch], meter: Meter) -> None:
        self._make, self._ready, self._meter = make, ready, meter
        self._at, self._given = 0, 0
        self._awake: datetime | None = None

    def next_batch(self) -> list[MessageBatch]:
        if self._at < WARM:
            self._at += CHUNK
            return [self._make(self._at - CHUNK, CHUNK)]
        if self._given == len(self._ready):
            raise StopIteration
        self._meter.started = self._meter.started or time.perf_counter()
        due = min(self._meter.due() // len(self._ready[0]), len(self._ready))
        batches, self._given = self._ready[self._given : due], max(due, self._given)
        self._awake = datetime.now(UTC) + TICK
        return batches

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> int:
        return self._at


def main() -> None:
    """Measure and print."""
    logging.disable(logging.CRITICAL)
    rate, users, share = int(sys.argv[1]), int(sys.argv[2]), float((sys.argv[3:] or ["0"])[0])
    rng, meter = np.random.default_rng(1), Meter(rate)

    def make(first: int, count: int) -> MessageBatch:
        made = codec().encode(events(some_users(rng, users, count, share), first, rng))
        return MessageBatch.of("made", 0, first, pieces(*made))

    warm_up()
    settings = Settings(model=Path("model/decay.json"))
    source = Paced(make, rate, meter)
    flow = build_flow(source, parts_of(settings.loaded_model, lambda: Noted(meter), settings))
    with tempfile.TemporaryDirectory() as folder:
        recovery = RecoveryConfig(new_recovery(Path(folder) / "recovery"))
        cluster_main(flow, [], 0, recovery_config=recovery, epoch_interval=EPOCH)
    print(*np.percentile(np.concatenate(meter.waits), (50, 99)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
