"""Simulated events -> Kafka: the two producers of the original system, with mishaps on the way if they are wanted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jobs.bars import progress
from jobs.console import say
from jobs.signals import asked_to_end
from schemas.avro.codec import Codec
from schemas.errors import JobError
from schemas.events import EventBatch
from simulator import World
from simulator.mishaps import Kind, Mishaps, Mixed, Mixer
from simulator.pace import Pace
from simulator.producers import SimulatedStream
from topics.client import Kafka
from topics.publisher import Publisher

BATCH = 10_000
"""Events taken at a time at the most."""
PAUSE = 0.05
"""Seconds between batches at a limited rate."""
_NAMES = {Kind.EVENT: "events", Kind.REPEAT: "repeats", Kind.BROKEN: "broken"}


@dataclass(frozen=True, slots=True)
class Target:
    """The topics of marketing events and of conversions.

    One that is missing is made with so many partitions. With `event_times`, messages say that they were made when
    their events happened, else now.
    """

    kafka: Kafka
    topics: tuple[str, str]
    partitions: int
    event_times: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent: how many events (0 = endless), and how many a wall-clock second (0 = as fast as it goes)."""

    users: int
    events: int
    rate: float
    seed: int
    start_ms: int
    mishaps: Mishaps


@dataclass(slots=True)
class _Producer:
    topic: str
    mixer: Mixer
    publisher: Publisher
    event_times: bool
    sent: Counter[Kind] = field(default_factory=Counter)

    def send(self, messages: Mixed) -> None:
        self.publisher.send(messages.keys, messages.values, messages.times if self.event_times else None)
        self.sent.update(messages.kinds)

    def __str__(self) -> str:
        parts = " + ".join(f"{self.sent[kind]:,} {name}" for kind, name in _NAMES.items())
        return f"{self.topic}: {self.sent.total():,} sent = {parts}"


def simulate_topics(target: Target, plan: Plan, codecs: tuple[Codec, Codec]) -> None:
    """Send simulated events of both producers, until all are sent or a signal comes, and say how many there were.

    The simulated world goes no further than the present: who reads the topics refuses what is to come.

    Raises:
        JobError: the world starts after the present.
        TopicError: a topic cannot be made, or a message is not delivered.
    """
    if plan.start_ms > _now():
        raise JobError("--start: must not be in the future: the events would be refused")
    there = target.kafka.describe(target.topics)
    for topic in target.topics:
        if topic not in there:
            target.kafka.make(topic, target.partitions)
    stream = SimulatedStream(World(), plan.users, plan.seed, plan.start_ms, codecs[0])
    producers = [
        _Producer(topic, Mixer(codec, plan.seed, plan.mishaps), Publisher(target.kafka, topic), target.event_times)
        for topic, codec in zip(target.topics, codecs, strict=True)
    ]
    with asked_to_end() as asked, progress() as bar:
        task = bar.add_task("simulating", total=plan.events or None)
        left = plan.events or None
        for due in _paced(plan.rate):
            if asked() or left == 0:
                break
            if due == 0:
                continue
            batches = stream.take_events(due if left is None else min(due, left))
            reached = max(int(batch.rows["timestamp"].max(initial=0)) for batch in batches)
            if reached > _now():
                bar.console.print("the simulated world has reached the present")
                break
            taken = _send(producers, batches, reached)
            left = None if left is None else left - taken
            bar.advance(task, taken)
        for producer in producers:
            producer.send(producer.mixer.rest())
        for producer in producers:
            producer.publisher.flush()
    say("; ".join(map(str, producers)))


def _send(producers: Sequence[_Producer], batches: Sequence[EventBatch], reached: int) -> int:
    for producer, batch in zip(producers, batches, strict=True):
        producer.send(producer.mixer.take(batch, reached))
    return sum(map(len, batches))


def _paced(rate: float) -> Iterator[int]:
    """How many events are due, whenever some are or `PAUSE` is over."""
    if not rate:
        while True:
            yield BATCH
    pace = Pace(rate, time.monotonic())
    while True:
        due = pace.due(time.monotonic())
        most = min(due, BATCH)
        yield most
        pace.took(most)
        if due == most:
            time.sleep(PAUSE)


def _now() -> int:
    return time.time_ns() // 1_000_000
