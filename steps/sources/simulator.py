"""The simulator as a source: the messages of its two producers, at a rate or as fast as the flow reads."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from model.sealed import sealed
from schemas.avro.codec import Codec
from schemas.messages import MessageBatch
from simulator import World
from simulator.pace import Pace
from simulator.producers import Place, SimulatedStream
from steps.process.ending import end, is_asked

BATCH = 10_000
"""Messages of a batch when the rate is not limited."""
PAUSE = timedelta(milliseconds=50)
"""Pause between batches at a limited rate."""


class SimulatorSource(FixedPartitionedSource[MessageBatch, Place]):
    """Simulated events, in the order of event time; a recovered flow continues with the very next one.

    Args:
        events: how many before a clean end; 0 = endless.
        rate: events a wall-clock second; 0 = as fast as the flow reads.
    """

    def __init__(self, codec: Codec, users: int, events: int, rate: float, seed: int, start_ms: int) -> None:
        self._codec, self._users, self._events, self._rate = codec, users, events, rate
        self._seed, self._start_ms = seed, start_ms

    def list_parts(self) -> list[str]:
        """One partition: the world is one."""
        return ["simulator"]

    def build_part(self, step_id: str, for_part: str, resume_state: Place | None) -> _SimulatorPartition:
        """The stream, from where it stood."""
        stream = SimulatedStream(World(), self._users, self._seed, self._start_ms, self._codec, resume_state)
        return _SimulatorPartition(stream, self._events, self._rate)


class _SimulatorPartition(StatefulSourcePartition[MessageBatch, Place]):
    def __init__(self, stream: SimulatedStream, events: int, rate: float) -> None:
        self._stream, self._events = stream, events
        self._pace = Pace(rate, time.monotonic()) if rate else None
        self._awake: datetime | None = None

    def next_batch(self) -> list[MessageBatch]:
        sent = sum(self._stream.place.sent)
        left = self._events - sent if self._events else BATCH
        if is_asked():
            raise StopIteration
        if left <= 0:
            end()
            raise StopIteration
        most = min(BATCH, left)
        if self._pace is not None:
            self._awake = datetime.now(UTC) + PAUSE
            most = min(most, self._pace.due(time.monotonic()))
        if most == 0:
            return []
        batches = self._stream.take(most)
        if self._pace is not None:
            self._pace.took(sum(map(len, batches)))
        return [batch for batch in batches if len(batch)]

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> Place:
        return sealed(self._stream.place)
