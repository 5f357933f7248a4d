"""The propensity topic -> the table of where users stand: the topic is the table's changelog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import chain

from jobs.bars import progress
from jobs.clusters import cluster_of, open_registry
from jobs.console import say
from schemas.avro.propensity_codec import PropensityCodec
from schemas.dead_letters import DeadLetter
from schemas.erasures import hash_of
from schemas.errors import JobError
from schemas.messages import MessageBatch
from schemas.provenance import KAFKA, Provenance
from schemas.scored import Propensity
from settings import Settings
from stores.base import Writer
from stores.store_registry import writer_of
from topics.whole_topic import Read, read_topic


def rebuild_latest(settings: Settings) -> None:
    """Fill `latest_propensity` of the store from the propensity topic alone, and say from how much.

    Of each user the row with the greatest version stays, whether the topic has it or the table had it before.

    Raises:
        SettingsError: the settings name no brokers.
        TopicError: the topic cannot be read.
        RegistryError: there is a schema registry that does not answer.
        StoreError: the store cannot be written.
        JobError: the store holds no events of topics, or there were messages that hold no propensity; all others were
            written.
    """
    kafka, topic = cluster_of(settings), settings.kafka_propensity_topic
    newest, count, bad = dict[bytes, Propensity](), 0, list[DeadLetter]()
    with open_registry(settings, answering=True) as registry, progress() as bar:
        codec, task = PropensityCodec(lookup=registry), bar.add_task("rebuilding", total=None)
        lists = read_topic(kafka, topic, lambda done, of: bar.update(task, completed=done, total=of))
        first = next(lists, [])  # a topic that cannot be read is reported before a store is made
        for messages in chain([first], lists):
            bad += _follow(newest, topic, messages, codec)
            count += len(messages)
        with closing(writer_of(settings)()) as writer:
            _check_filling(writer)
            until = {each.user_hash: each.until for each in writer.erasures()}
            newest = {key: row for key, row in newest.items() if until.get(hash_of(row.user_id), -1) < row.timestamp}
            writer.write_latest(list(newest.values()))
            writer.flush()
    say(f"{len(newest):,} users from {count:,} messages of the topic {topic}")
    if bad:
        ((reason, _),) = Counter(letter.reason for letter in bad).most_common(1)
        example = next(letter.detail for letter in bad if letter.reason == reason)
        raise JobError(f"topic {topic}: {len(bad):,} messages hold no propensity: {reason}: {example}")


def _check_filling(writer: Writer) -> None:
    told = writer.provenance()
    if told is None or writer.is_empty():
        return
    try:
        held = Provenance.from_json(told)
    except ValueError as error:
        raise JobError(str(error)) from None
    if held.source != KAFKA:
        raise JobError(f"the store holds {held}, which no topic knows; name another one")


def _follow(
    newest: dict[bytes, Propensity], topic: str, messages: Sequence[Read], codec: PropensityCodec
) -> list[DeadLetter]:
    """Of each key keep the row with the greatest version, of equal ones the last, and none before a tombstone.

    A message without a value says that its user was erased. Returns a letter for each message that holds no row.
    """
    valued = [message for message in messages if message.value is not None]
    batch = MessageBatch.of(topic, 0, 0, [message.value or b"" for message in valued])
    rows, letters = codec.decode(batch)
    bad = {letter.offset for letter in letters}
    held = iter(rows)
    place = 0
    for message in messages:
        key = message.key or b""
        if message.value is None:
            newest.pop(key, None)
            continue
        if place not in bad:
            row = next(held)
            before = newest.get(key)
            if before is None or row.version >= before.version:
                newest[key] = row
        place += 1
    return letters
