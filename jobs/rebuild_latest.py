"""The propensity topic -> the table of where users stand: the topic is the table's changelog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from itertools import chain

from jobs.bars import progress
from jobs.clusters import cluster_of, registry_of
from jobs.problems import JobError
from schemas.dead_letters import DeadLetter
from schemas.messages import MessageBatch
from schemas.propensity_codec import PropensityCodec
from schemas.scored import Propensity
from settings import Settings
from stores.choosing import writer_of
from topics.reading import Read, read_topic


def rebuild_latest(settings: Settings) -> None:
    """Fill `latest_propensity` of the store from the propensity topic alone, and say from how much.

    Of each user the row with the greatest version stays, whether the topic has it or the table had it before.

    Raises:
        SettingsError: the settings name no brokers.
        TopicError: the topic cannot be read.
        RegistryError: there is a schema registry that does not answer.
        StoreError: the store cannot be written.
        JobError: there were messages that hold no propensity; all others were written.
    """
    kafka, topic = cluster_of(settings), settings.kafka_propensity_topic
    users, count, bad = set[str](), 0, list[DeadLetter]()
    with registry_of(settings, answering=True) as registry, progress() as bar:
        codec, task = PropensityCodec(lookup=registry), bar.add_task("rebuilding", total=None)
        lists = read_topic(kafka, topic, lambda done, of: bar.update(task, completed=done, total=of))
        first = next(lists, [])  # a topic that cannot be read is told before a store is made
        with closing(writer_of(settings)()) as writer:
            for messages in chain([first], lists):
                rows, letters = codec.decode(_values(topic, messages))
                newest = _newest(rows)
                writer.write_latest(newest)
                users.update(row.user_id for row in newest)
                count += len(messages)
                bad += letters
            writer.flush()
    print(f"{len(users):,} users from {count:,} messages of the topic {topic}")
    if bad:
        ((reason, _),) = Counter(letter.reason for letter in bad).most_common(1)
        example = next(letter.detail for letter in bad if letter.reason == reason)
        raise JobError(f"topic {topic}: {len(bad):,} messages hold no propensity: {reason}: {example}")


def _values(topic: str, messages: Iterable[Read]) -> MessageBatch:
    """The messages that have a value; one without says that its user was erased."""
    return MessageBatch.of(topic, 0, 0, [message.value for message in messages if message.value is not None])


def _newest(rows: Iterable[Propensity]) -> list[Propensity]:
    """Of each user the row with the greatest version, of equal ones the last."""
    newest: dict[str, Propensity] = {}
    for row in rows:
        held = newest.get(row.user_id)
        if held is None or row.version >= held.version:
            newest[row.user_id] = row
    return list(newest.values())
