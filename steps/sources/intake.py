"""What a process takes out of Kafka: one consumer a topic, and partitions kept together in event time."""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from confluent_kafka import KafkaError, KafkaException

from schemas.messages import MessageBatch
from schemas.validation import LAST_TIME
from steps.process.ending import fail
from topics.client import TIMEOUT, Kafka, passes
from topics.native.fetching import Failure, Fetcher

log = logging.getLogger("adstreams")

BATCH = 65_536
"""Messages fetched from a consumer at a time."""
QUEUE_KBYTES = 32_768
"""Bytes (in units of 1,024) that a consumer fetches ahead, whatever the number of its partitions."""
AHEAD = {
    # What is behind the last message of a partition may be no message; its end says how far it was read.
    "enable.partition.eof": True,
    "queued.max.messages.kbytes": QUEUE_KBYTES,
    "fetch.wait.max.ms": 50,
    # By default a consumer that has enough fetches nothing for a second; what it has is used up long before.
    "fetch.queue.backoff.ms": 5,
}
"""How a consumer fetches ahead."""
HELD_BYTES = 8 << 20
"""Bytes held back for one partition before it is paused."""
SLACK = 3_600_000
"""Event time (ms) that a partition may be ahead of the slowest that has more."""
MESSAGE_BYTES = 100
"""What a message that is held costs beside its own bytes."""
PATIENCE = 10.0
"""Seconds of looking for a message in vain after which a partition is not waited for."""
LOOKS = 100
"""Looks that this takes at least: a process that stood still has not looked."""

CLOCKED = 16
"""Messages that are kept with their times: those at a batch's ends are needed more than once."""

Clock = Callable[[bytes], int | None]
"""The event time in a message, in ms; None where it has none."""


@dataclass(slots=True)
class _Partition:
    """One partition: what is held of it, and how far it is in offsets and in event time."""

    topic: str
    number: int
    handed: int
    """The offset to resume from: of the next message that is held, or after all that were read."""
    fetched: int
    """The offset after all that came: after the last message, or the partition's end."""
    held: deque[MessageBatch] = field(default_factory=deque)
    held_bytes: int = 0
    reached: int | None = None
    """The latest event time of those at the ends of what was handed on."""
    head: int | None = None
    """Event time of the first message held."""
    looked: int = 0
    """How often its consumer had nothing of it since something came."""
    since: float = field(default_factory=time.monotonic)
    """When the first of those looks was."""
    paused: bool = False


class Intake:
    """Takes messages for all partitions of a process; several workers may share it.

    Partitions are kept together in event time, so that a replay of several does not make most events late: one is
    handed on to at most `SLACK` ahead of the slowest of those that have more, and paused when too much is held of it.

    What it holds is bounded in bytes: `QUEUE_KBYTES` in each consumer, of each partition `HELD_BYTES` and what one
    `BATCH` adds to it, and `CLOCKED` messages.

    Args:
        kafka: the cluster.
        clock: finds event times in messages.
        max_skew: the time of an event that is later than its message by more than this is ignored.
    """

    def __init__(self, kafka: Kafka, clock: Clock, max_skew: timedelta = timedelta(hours=1)) -> None:
        self._kafka, self._clock = kafka, lru_cache(CLOCKED)(clock)
        self._skew = max_skew // timedelta(milliseconds=1)
        self._consumers: dict[str, Fetcher] = {}
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._lock = threading.Lock()
        atexit.register(self.close)

    def close(self) -> None:
        """Let go of the cluster."""
        for consumer in self._consumers.values():
            consumer.close()

    def open(self, topic: str, number: int, offset: int | None) -> None:
        """Begin to fetch a partition from an offset on; from its beginning where that is None.

        An offset that is not there ends the run: nothing is skipped.
        """
        with self._lock:
            if topic not in self._consumers:
                # A partition that is resumed waits until the broker has answered the last fetch of the others.
                self._consumers[topic] = self._kafka.fetcher(topic, AHEAD, _note_commit)
            begin = self._begin(topic, number, offset)
            self._partitions[topic, number] = _Partition(topic, number, begin, begin)
            self._consumers[topic].assign(number, begin)

    def _begin(self, topic: str, number: int, offset: int | None) -> int:
        """The offset to resume from; known from the start, so that a later deletion is noticed."""
        where = f"topic {topic}, partition {number}"
        try:
            low, high = self._consumers[topic].edges(number, TIMEOUT)
        except KafkaException as error:
            fail(f"{where}: {error.args[0].str()}")
        offset = low if offset is None else offset
        if offset < low:
            fail(
                f"{where}: messages from offset {offset} on, where this run resumes, were deleted"
                f" (the first one now is {low}); keep them longer, or start anew with an empty recovery directory"
            )
        if offset > high:
            fail(
                f"{where}: it ends at offset {high}, before {offset}, where this run resumes:"
                " it was made anew or cut; start anew with an empty recovery directory"
            )
        return offset

    def take(self, topic: str, number: int) -> list[MessageBatch]:
        """What may be handed on of a partition now."""
        with self._lock:
            partition = self._partitions[topic, number]
            if not partition.held:
                self._poll(topic)
            taken = self._release(partition)
            # Between two messages there may be offsets of none: they are passed, and may be deleted.
            partition.handed = int(partition.held[0].offsets[0]) if partition.held else partition.fetched
            self._steer(partition)
            return taken

    def handed(self, topic: str, number: int) -> int:
        """The offset to resume from, before which every message was handed on."""
        return self._partitions[topic, number].handed

    def commit(self, topic: str, number: int, offset: int) -> None:
        """Tell the consumer group of an offset, for tools that measure lag; nothing here ever reads it."""
        with self._lock, contextlib.suppress(KafkaException):
            self._consumers[topic].commit(number, offset)

    def _poll(self, topic: str) -> None:
        batches, ends = self._consumed(topic)
        for number, batch in batches.items():
            partition = self._partitions[topic, number]
            if not partition.held:
                partition.head = self._time(batch, 0)
            partition.held.append(batch)
            partition.held_bytes += _size(batch)
            partition.fetched, partition.looked = int(batch.offsets[-1]) + 1, 0
            self._steer(partition)
        for number, end in ends.items():
            partition = self._partitions[topic, number]
            partition.fetched = max(partition.fetched, end)
        for partition in self._partitions.values():
            if partition.topic == topic and partition.number not in batches:
                partition.since = partition.since if partition.looked else time.monotonic()
                partition.looked += 1

    def _consumed(self, topic: str) -> tuple[dict[int, MessageBatch], dict[int, int]]:
        """What a consumer has now, by partition, and the ends of those that were read to their end."""
        batches, failures, ends = self._consumers[topic].take(BATCH)
        for failure in failures:
            _complain(topic, failure)
        return {batch.partition: batch for batch in batches}, ends

    def _release(self, partition: _Partition) -> list[MessageBatch]:
        """Hand on what is not too far ahead."""
        if not partition.held:
            return []
        limit, taken = self._limit(partition), list[MessageBatch]()
        while partition.held:
            batch = partition.held.popleft()
            count = len(batch) if limit is None else self._until(batch, limit)
            if count:
                taken.append(batch if count == len(batch) else batch[:count])
                partition.held_bytes -= _size(taken[-1])
                partition.reached = _later(partition.reached, self._time(batch, count - 1))
            if count < len(batch):
                partition.held.appendleft(batch[count:])
                break
        partition.head = self._time(partition.held[0], 0) if partition.held else None
        return taken

    def _limit(self, partition: _Partition) -> int | None:
        """The event time up to which a partition may go: a little ahead of the slowest of the others with more."""
        floors = [self._floor(other) for other in self._partitions.values() if other is not partition]
        known = [floor for floor in floors if floor is not None]
        return min(known) + SLACK if known else None

    def _floor(self, partition: _Partition) -> int | None:
        """The event time that the next message of a partition has at least; None where it is not waited for."""
        if partition.held:
            return _later(partition.reached, partition.head)
        if partition.looked >= LOOKS and time.monotonic() - partition.since > PATIENCE:
            return None
        if 0 <= self._consumers[partition.topic].end(partition.number) <= partition.fetched:
            return None
        return _NEVER if partition.reached is None else partition.reached

    def _until(self, batch: MessageBatch, limit: int) -> int:
        """How many messages come before the first that is later than `limit`, taking them to be in order."""

        def is_later(message: int) -> bool:
            found = self._time(batch, message)
            return found is not None and found > limit

        if not is_later(len(batch) - 1):
            return len(batch)
        low, high = 0, len(batch) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if is_later(middle) else (middle + 1, high)
        return low

    def _time(self, batch: MessageBatch, message: int) -> int | None:
        """The event time of a message, where it is one that a valid event may have: a bad clock holds nobody up."""
        found, made = self._clock(batch.payload(message)), -1 if batch.times is None else int(batch.times[message])
        if any(number == message for number, _ in batch.erasing):  # a request to erase, which has no time but its own
            return made if 0 <= made <= LAST_TIME else None
        return None if found is not None and 0 <= made < found - self._skew else found

    def _steer(self, partition: _Partition) -> None:
        """Pause a partition of which too much is held, and resume it once less is."""
        consumer = self._consumers[partition.topic]
        if not partition.paused and partition.held_bytes > HELD_BYTES:
            consumer.pause(partition.number)
            partition.paused = True
        elif partition.paused and not partition.held:
            consumer.resume(partition.number)
            partition.paused, partition.looked = False, 0


def _complain(topic: str, failure: Failure) -> None:
    """Log an error that came in a message's place; unless it passes by itself, it ends the run."""
    number, error = failure
    where = f"topic {topic}, partition {number}"
    if not passes(error):
        fail(f"{where}: {_FINAL.get(error.code(), 'it cannot be read')} ({error.str()})")
    log.warning("%s: %s", where, error.str())


_NEVER = -(2**62)

_FINAL = {
    KafkaError._AUTO_OFFSET_RESET: "messages that were not read yet were deleted",
    KafkaError.OFFSET_OUT_OF_RANGE: "messages that were not read yet were deleted",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "it does not exist any more",
    KafkaError._UNKNOWN_TOPIC: "it does not exist any more",
    KafkaError._UNKNOWN_PARTITION: "it does not exist any more",
    KafkaError.UNKNOWN_TOPIC_ID: "it was made anew",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user may not read it",
    KafkaError._FATAL: "the consumer cannot continue",
}
"""Errors that no waiting heals, and what they mean."""


def _later(one: int | None, other: int | None) -> int | None:
    """The later of two times; a late event does not set a partition back."""
    return other if one is None else one if other is None else max(one, other)


def _size(batch: MessageBatch) -> int:
    return len(batch.data) + MESSAGE_BYTES * len(batch)


def _note_commit(error: KafkaError) -> None:
    log.warning("consumer group offsets were not committed, lag tools will see old ones: %s", error.str())
