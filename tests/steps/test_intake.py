"""What is taken out of Kafka: every message once, in order, and partitions together in event time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
import pytest
from confluent_kafka import TopicPartition

from schemas.avro.codec import codec
from schemas.events import Event
from schemas.messages import MessageBatch
from steps.sources import intake
from steps.sources.intake import SLACK, Intake
from tests.flow.running import wait_for
from tests.flow.streaming import Stream
from tests.services.kafka import Kafka
from topics.client import Kafka as Client

TIME, HOUR = 1_500_000_000_000, 3_600_000
Place = tuple[str, int]


@pytest.fixture
def stream(kafka: Kafka) -> Stream:
    return Stream(kafka.brokers).make()


@pytest.fixture
def opened(stream: Stream) -> Iterator[Callable[..., Intake]]:
    """Makes intakes of all partitions, from some offsets on, and closes them."""
    made = list[Intake]()

    def make(offsets: dict[Place, int] | None = None) -> Intake:
        made.append(Intake(stream.kafka, codec().time_of))
        for place in stream.ends():
            made[-1].open(*place, (offsets or {}).get(place))
        return made[-1]

    yield make
    for each in made:
        each.close()


def taken(found: Intake, stream: Stream, count: int) -> Iterator[tuple[Place, MessageBatch]]:
    """What each partition hands on, in turn, until there are so many messages."""
    places, so_far = list(stream.ends()), list[tuple[Place, MessageBatch]]()

    def is_enough() -> bool:
        for place in places:
            so_far.extend((place, batch) for batch in found.take(*place))
        return sum(len(batch) for _, batch in so_far) >= count

    wait_for(is_enough)
    return iter(so_far)


def test_every_message_once_though_partitions_are_paused(
    stream: Stream, opened: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little is held here, so that one topic, far ahead in event time, is paused again and again."""
    monkeypatch.setattr(intake, "HELD_BYTES", 2_000)
    monkeypatch.setattr(intake, "BATCH", 50)
    stream.send(*[Event(f"e{n}", f"u{n % 31}", TIME + n * HOUR // 20, "IM") for n in range(1_000)])
    stream.send(*[Event(f"c{n}", f"u{n % 31}", TIME + n * HOUR // 2, "CN") for n in range(300)], topic=1)
    offsets = defaultdict[Place, list[int]](list)
    found = opened()
    for place, batch in taken(found, stream, 1_300):
        offsets[place] += batch.offsets.tolist()
    assert {place: list(range(end)) for place, end in stream.ends().items()} == offsets
    again = opened({place: end // 2 for place, end in stream.ends().items()})
    rest = list(taken(again, stream, sum(end - end // 2 for end in stream.ends().values())))
    ends = stream.ends()
    assert all(batch.offsets[0] >= ends[place] // 2 for place, batch in rest)


def test_no_partition_is_far_ahead_of_the_slowest_that_has_more(stream: Stream, opened: Callable[..., Intake]) -> None:
    """Also where a bad clock says 2090: such a message tells no time."""
    events = [Event(f"e{n}", f"u{n % 31}", TIME + n * HOUR // 20, "IM") for n in range(2_000)]
    events[100] = Event("bad", "u1", 3_800_000_000_000, "IM")
    stream.send(*events)
    stream.send(*[Event(f"c{n}", f"u{n % 31}", TIME + n * HOUR, "CN") for n in range(100)], topic=1)
    seen = TIME
    for _, batch in taken(opened(), stream, 2_100):
        times = codec().decode(batch, timedelta(hours=1)).events.rows["timestamp"]
        assert times.min() > seen - SLACK - 2 * HOUR
        seen = max(seen, int(times.max()))


def test_a_partition_that_was_empty_at_first_is_read_from_its_first_message(
    stream: Stream, opened: Callable[..., Intake]
) -> None:
    """Its place is known before anything came, so that a deletion would be noticed."""
    found = opened()
    assert [found.handed(*place) for place in stream.ends()] == [0] * 4
    stream.send(*[Event(f"e{n}", f"u{n}", TIME, "IM") for n in range(20)])
    assert sum(len(batch) for _, batch in taken(found, stream, 20)) == 20


class Ended(Exception):
    """In place of the end of a process."""


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(problem: object) -> None:
        raise Ended(problem)

    monkeypatch.setattr(intake, "fail", end)


def test_an_offset_behind_the_end_is_told(stream: Stream, opened: Callable[..., Intake], ending: None) -> None:
    """Nothing is skipped, and no other topic of the name is read from the middle."""
    stream.send(*[Event(f"e{n}", f"u{n}", TIME, "IM") for n in range(20)])
    (topic, number), end = next(iter(stream.ends().items()))
    told = f"topic {topic}, partition {number}: it ends at offset {end}, before {end + 1}, where this run resumes"
    with pytest.raises(Ended, match=told):
        opened({(topic, number): end + 1})


def test_messages_that_are_deleted_before_they_are_read_are_told(
    stream: Stream, opened: Callable[..., Intake], ending: None
) -> None:
    """While the run stands at them: no jump to what is left."""
    found, (topic, number) = opened(), next(iter(stream.ends()))
    consumer, admin = found._consumers[topic], stream.kafka.admin()
    consumer.pause(number)
    stream.send(*[Event(f"e{n}", f"u{n}", TIME, "IM") for n in range(200)])
    end = stream.ends()[topic, number]
    for answer in admin.delete_records([TopicPartition(topic, number, end - 1)]).values():
        answer.result(60)
    consumer.resume(number)
    told = f"topic {topic}, partition {number}: messages that were not read yet were deleted"
    with pytest.raises(Ended, match=told):
        wait_for(lambda: bool(found.take(topic, number)))


@pytest.mark.parametrize(("time", "expected"), [(TIME, TIME), (-1, None), (10**16, None)])
def test_a_request_to_erase_has_the_time_of_its_message(time: int, expected: int | None) -> None:
    """So that it is not read long before or after the events of its time."""
    empty = MessageBatch.of("events", 0, 0, [b""])
    batch = MessageBatch(
        "events", 0, empty.offsets, b"", empty.bounds, np.array([time], np.int64), erasing=((0, b"u"),)
    )
    assert Intake(Client(["127.0.0.1:1"]), codec().time_of)._time(batch, 0) == expected
