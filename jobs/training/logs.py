"""The log that a model is trained or graded on: a file, or topics of Kafka, replayed through `model/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from jobs.bars import progress
from jobs.clusters import cluster_of, open_registry
from jobs.log_options import print_remarks, print_span
from jobs.remarks import TimesOfDay, of_ids
from model.features.automated import automated_users
from model.features.kinds import Feature
from model.features.plan import DEFAULT_LENGTH
from model.replay import Moments, Replay
from model.scoring.training_record import at_milliseconds
from schemas.avro.codec import Codec
from schemas.errors import JobError, Undecodable
from schemas.event_types import IS_TOUCH
from schemas.events import MISSING, TEXTS, EventBatch
from schemas.logs.log_sets import LogSet
from schemas.logs.spans import Span
from schemas.logs.times import TimeFormat
from schemas.messages import MessageBatch
from settings import Settings, load_settings
from topics.headers import KEY_HEADERS, framed
from topics.whole_topic import read_topic

TOPICS = "kafka:"
"""Before the names of topics that are read instead of a file, with commas between them."""
_UNKNOWN = MISSING.encode()
_SEGMENT = TEXTS.index("segment")


@dataclass(frozen=True, eq=False)
class Log:
    """A log, replayed.

    `segments` (users) are indexes into `segment_names`. `orders` are the places of their first conversions among the
    replay's events: conversions of a user that are closer than a minute are one. `rejected` rows were no events.
    Of a user the newest `length` events count for features, as in the stream. Users with more than `most` events within
    24 hours are set apart.
    """

    name: str
    replay: Replay
    segments: NDArray[np.int64]
    segment_names: tuple[str, ...]
    orders: NDArray[np.int64]
    rejected: int = 0
    length: int = DEFAULT_LENGTH
    most: int = 0

    @classmethod
    def of(
        cls, replay: Replay, name: str, segments: NDArray[np.int64] | None = None, names: tuple[str, ...] = (MISSING,)
    ) -> Log:
        """The log of a replay, with its orders; all users are of the first segment where none are given."""
        if segments is None:
            segments = np.zeros(len(replay.hashes), np.int64)
        return cls(name, replay, segments, names, replay.orders)

    def features(self, features: Sequence[Feature], moments: Moments) -> NDArray[np.float64]:
        """Features (n, number of features) at the moments (n), as the stream would have them."""
        return self.replay.features(features, moments, self.length)

    @cached_property
    def set_apart(self) -> NDArray[np.bool_]:
        """Which users (users) are automated, and so are neither learnt from nor graded."""
        replay = self.replay
        return automated_users(replay.users, replay.timestamps, self.most, len(replay.hashes))

    @property
    def touch_campaigns(self) -> set[str]:
        """The campaigns of touches."""
        replay = self.replay
        return {replay.names[number] for number in np.unique(replay.campaigns[IS_TOUCH[replay.types]]).tolist()}

    @property
    def counts(self) -> str:
        """How much is in it, for a person."""
        replay = self.replay
        found = f"{len(replay.users):,} events, {len(self.orders):,} orders, {len(replay.hashes):,} users"
        apart = int(self.set_apart.sum())
        return f"{found} ({apart:,} set apart as automated)" if apart else found

    def remarks(self) -> list[str]:
        """What a reader of results should know of it."""
        clock = TimesOfDay()
        clock.note(self.replay.timestamps)
        return [*of_ids(self.replay.retimed), *clock.remarks()]

    @property
    def period(self) -> str:
        """The days of the first and the last event, for a person: one wrong clock stretches a log."""
        times = self.replay.timestamps
        first, last = (at_milliseconds(int(time)) for time in (times.min(), times.max()))
        return f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def read_log(events: str | Sequence[str], times: TimeFormat | None = None) -> Log:
    """The log of files (names as of `log_paths`), or of `kafka:TOPIC,TOPIC` at the brokers that the settings name.

    `times` says how files write their times, as far as that is known; the settings do where it is None.

    Raises:
        JobError: it has no events, or a topic has no name.
        LogFileError: the file cannot be read.
        ColumnsError: a column is of a type that no field of an event can have.
        SettingsError: a setting is wrong, or topics are asked for and the settings name no brokers.
        TopicError: a topic cannot be read.
    """
    taken, settings = _Taken(), load_settings()
    names = [events] if isinstance(events, str) else list(events)
    events, span = " ".join(names), Span()
    if len(names) == 1 and events.startswith(TOPICS):
        topics = events.removeprefix(TOPICS).split(",")
        if not all(topics):
            raise JobError(f"{events}: empty topic name; write kafka:events,conversions")
        batches = _of_topics(topics, settings, taken)
    else:
        files = LogSet(names, times or settings.time_format)
        print_remarks(files.remarks)
        batches = _of_files(files, taken)
    with progress() as bar:
        task = bar.add_task("reading", total=None)

        def counted() -> Iterator[EventBatch]:
            for batch in batches:
                span.add(batch.rows["timestamp"])
                yield batch
                bar.advance(task, len(batch))

        log = log_of(counted(), Path(names[0]).name if len(names) == 1 else f"{len(names)} logs")
    if not len(log.replay.users):
        raise JobError(f"{events}: no events, {taken.rejected:,} rejected")
    print_span(span)
    return replace(log, rejected=taken.rejected, length=settings.sequence_length, most=settings.daily_limit)


def log_of(batches: Iterator[EventBatch], name: str) -> Log:
    """The log of batches in any order."""
    people = _People()
    replay = Replay.of(map(people.note, batches))
    known = [people.segments.get(user, MISSING) for user in replay.hashes.tolist()]
    names = tuple(sorted(set(known)))
    places = {segment: place for place, segment in enumerate(names)}
    segments = np.array([places[segment] for segment in known], np.int64)
    return Log.of(replay, name, segments, names)


class _Taken:
    """What was rejected on the way."""

    def __init__(self) -> None:
        self.rejected = 0


class _People:
    """The segments of users, by hash of their ids: the first that is not `NA`, of those who have one."""

    def __init__(self) -> None:
        self.segments: dict[int, str] = {}

    def note(self, batch: EventBatch) -> EventBatch:
        """Take the segments of a batch, whose order is that of arrival."""
        starts, stops = (batch.rows[edge][:, _SEGMENT] for edge in ("start", "stop"))
        unknown = stops - starts == len(_UNKNOWN)
        for place, byte in enumerate(_UNKNOWN):
            unknown[unknown] = batch.data[starts[unknown] + place] == byte
        known = np.flatnonzero(~unknown)
        hashes, first = np.unique(batch.rows["user_hash"][known], return_index=True)
        for user, segment in zip(hashes.tolist(), batch.texts(_SEGMENT, known[first]), strict=True):
            self.segments.setdefault(user, segment)
        return batch


def _of_files(files: LogSet, taken: _Taken) -> Iterator[EventBatch]:
    for decoded in files.decoded():
        taken.rejected += len(decoded.letters)
        yield decoded.events


def _of_topics(topics: list[str], settings: Settings, taken: _Taken) -> Iterator[EventBatch]:
    """The events of topics, but for those of users who asked to be erased."""
    kafka, batches, erased = cluster_of(settings), list[EventBatch](), set[int]()
    with open_registry(settings, answering=True) as registry:
        codec = Codec(lookup=registry, time_unit=settings.time_unit)
        for topic in map(str.strip, topics):
            for messages in read_topic(kafka, topic):
                for message in messages:
                    if message.value is None and message.key:
                        try:
                            user_id = codec.user_of(framed(message.key, message.headers, KEY_HEADERS))
                        except Undecodable:
                            taken.rejected += 1
                        else:
                            erased.add(xxh3_64_intdigest(user_id.encode()))
                valued = [
                    (framed(message.value, message.headers), message.time)
                    for message in messages
                    if message.value is not None
                ]
                batch = MessageBatch.of(topic, 0, 0, [value for value, _ in valued])
                times = np.array([time for _, time in valued], np.int64)
                decoded = codec.decode(replace(batch, times=times), settings.max_skew)
                taken.rejected += len(decoded.letters)
                batches.append(decoded.events)
    gone = np.array(sorted(erased), np.uint64)
    for events in batches:
        yield EventBatch(events.origins, events.rows[~np.isin(events.rows["user_hash"], gone)], events.data)
