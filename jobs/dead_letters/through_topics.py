"""Mended dead letters as messages: their bytes go back to the topics that they came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from jobs.dead_letters.keeping import Keeper
from jobs.dead_letters.mending import Mended
from schemas.dead_letters import DeadLetter
from schemas.events import USER_ID
from topics.client import Kafka
from topics.publisher import Publisher

NOT_READ = "topic_not_read"
"""What keeps a letter whose topic the settings do not name."""


def through_topics(kafka: Kafka, topics: Sequence[str], keeper: Keeper, mended: Mended) -> tuple[int, list[DeadLetter]]:
    """Send the letters' own bytes, keyed by user, and clear them once all were acknowledged.

    Returns how many were sent, and those whose topic is not among the `topics` that are read.

    Raises:
        TopicError: a topic is missing, or a message cannot be delivered; what was sent is a repeat next time.
        StoreError: the letters cannot be cleared.
    """
    users = [user.encode() for batch in mended.events for user in batch.texts(USER_ID)]
    by_topic = defaultdict[str, list[tuple[bytes, DeadLetter]]](list)
    for user, letter in zip(users, mended.letters, strict=True):
        by_topic[letter.source].append((user, letter))
    unread = [letter for topic in by_topic.keys() - set(topics) for _, letter in by_topic.pop(topic)]
    kafka.require(list(by_topic))
    sent = list[DeadLetter]()
    for topic, messages in by_topic.items():
        publisher = Publisher(kafka, topic)
        publisher.send([user for user, _ in messages], [letter.payload for _, letter in messages])
        publisher.flush()
        sent += [letter for _, letter in messages]
    keeper.clear(sent)
    return len(sent), unread
