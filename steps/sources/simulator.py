"""The simulator as a source: the messages of its two producers, at a rate or as fast as they are taken."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from schemas.codec import Codec
from schemas.messages import MessageBatch
from simulator import World
from simulator.messages import Place, SimulatedStream
from steps.ending import end, is_asked

BATCH = 10_000
"""Messages of a batch when the rate is not limited."""
PACE = timedelta(milliseconds=50)
"""Pause between batches at a limited rate."""
PATIENCE = 2.0
"""Seconds of a rate that are made up for after a pause."""


class SimulatorSource(FixedPartitionedSource[MessageBatch, Place]):
    """Simulated events, in the order of event time; a recovered flow goes on with the very next one.

    Args:
        events: how many before a clean end; 0 = endless.
        rate: events a wall-clock second; 0 = as fast as they are taken.
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
        self._stream, self._events, self._rate = stream, events, rate
        self._asked_at, self._due = time.monotonic(), 0.0
        self._awake: datetime | None = None

    def next_batch(self) -> list[MessageBatch]:
        sent = sum(self._stream.place.sent)
        left = self._events - sent if self._events else BATCH
        if is_asked() or left <= 0:
            end()
            raise StopIteration
        most = min(BATCH, left)
        if self._rate:
            now = time.monotonic()
            self._due = min(self._due + (now - self._asked_at) * self._rate, max(self._rate * PATIENCE, 1.0))
            self._asked_at, self._awake = now, datetime.now(UTC) + PACE
            most = min(most, int(self._due))
        if most == 0:
            return []
        batches = self._stream.take(most)
        self._due -= sum(len(batch) for batch in batches)
        return [batch for batch in batches if len(batch)]

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> Place:
        return self._stream.place
