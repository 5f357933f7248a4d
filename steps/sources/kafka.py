"""Topics of Kafka as a source, read exactly where the recovered flow stood."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from model.sealed import sealed
from schemas.errors import TopicError
from schemas.messages import MessageBatch
from settings import RESTART
from steps.process.ending import ask, fail, is_asked
from steps.sources.intake import Clock, Intake
from topics.client import Kafka, Topic

log = logging.getLogger("adstreams")

PAUSE = timedelta(milliseconds=3)
"""Between two looks at a partition that had nothing."""
WATCH_INTERVAL = 10.0
"""Seconds between two looks at the topics themselves."""
LOOKS = 3
"""Looks in a row that must miss a topic before it counts as deleted: a broker that starts may not know it yet."""


class KafkaSource(FixedPartitionedSource[MessageBatch, int]):
    """Messages of all partitions of some topics, in batches; the state of a partition is the next offset.

    Offsets are Bytewax's own, part of an epoch like all other state. The consumer group's are written one epoch
    later, and never read.
    """

    def __init__(self, kafka: Kafka, topics: Mapping[str, Topic], clock: Clock, max_skew: timedelta) -> None:
        self._topics, self._intake = topics, Intake(kafka, clock, max_skew)

    def list_parts(self) -> list[str]:
        """Topic and number of every partition."""
        return [f"{topic.name}/{number}" for topic in self._topics.values() for number in range(topic.partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _KafkaPartition:
        """A partition, from the next message on."""
        topic, _, number = for_part.rpartition("/")
        self._intake.open(topic, int(number), resume_state)
        return _KafkaPartition(self._intake, topic, int(number))


class _KafkaPartition(StatefulSourcePartition[MessageBatch, int]):
    def __init__(self, intake: Intake, topic: str, number: int) -> None:
        self._intake, self._topic, self._number = intake, topic, number
        self._before: int | None = None
        self._awake: datetime | None = None

    def next_batch(self) -> list[MessageBatch]:
        if is_asked():
            raise StopIteration
        taken = self._intake.take(self._topic, self._number)
        self._awake = None if taken else datetime.now(UTC) + PAUSE
        return taken

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> int:
        """The next offset. No epoch begins before the one before is saved: what that one held can be committed."""
        if self._before is not None:
            self._intake.commit(self._topic, self._number, self._before)
        self._before = self._intake.handed(self._topic, self._number)
        return sealed(self._before)


def watch(kafka: Kafka, topics: Mapping[str, Topic]) -> None:
    """Look at the topics every few seconds, in a thread that ends with the process.

    More partitions than at the start: the run drains, and ends with `RESTART`, since Bytewax lists them at a start.
    A topic that was deleted or made anew: the run ends, since its offsets mean nothing any more.
    """
    threading.Thread(target=_watch, args=(kafka, topics), name="topics", daemon=True).start()


def _watch(kafka: Kafka, topics: Mapping[str, Topic]) -> None:
    pause, gone = threading.Event(), Counter[str]()
    while not pause.wait(WATCH_INTERVAL):
        try:
            found = kafka.describe(list(topics))
        except TopicError:
            continue  # the source reports what is wrong with the brokers
        for name, topic in topics.items():
            now = found.get(name)
            if now is None:
                gone[name] += 1
                if gone[name] == LOOKS:
                    fail(f"topic {name}: it was deleted while it was read")
                continue
            gone[name] = 0
            if now.id != topic.id:
                fail(f"topic {name}: it was made anew while it was read")
            if now.partitions > topic.partitions:
                log.warning(
                    "topic %s has %d partitions now, not %d: ending with %d to be started again",
                    name,
                    now.partitions,
                    topic.partitions,
                    RESTART,
                )
                ask(RESTART)
                return
