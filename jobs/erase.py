"""A person is forgotten: in the store, in the flow's topics, and by every running flow."""

from __future__ import annotations

import time
from contextlib import closing

from jobs.clusters import cluster_of, open_registry
from jobs.console import say
from jobs.dead_letters.keeping import keeper_of
from jobs.problems import JobError, require_store
from schemas.codec import Codec
from schemas.erasures import Erasure, letters_of, until_after
from schemas.validation import LONGEST_ID
from settings import Settings, Source
from stores.choosing import reader_of, writer_of
from topics.publisher import Publisher


def erase(settings: Settings, user_id: str) -> None:
    """Delete all that is kept of a user, and let no event from before come back; say what was done.

    What is noted is the user's hash and the time: now, or that of the user's newest event where it is later.

    Raises:
        JobError: nobody can have this id.
        TopicError, RegistryError, StoreError, SettingsError: what is worked with cannot be used.
    """
    try:
        size = len(user_id.encode())
    except UnicodeEncodeError:
        raise JobError("USER_ID: is not UTF-8") from None
    if not 0 < size <= LONGEST_ID:
        raise JobError(f"USER_ID: must have 1 to {LONGEST_ID:,} bytes")
    require_store(settings)
    kafka = cluster_of(settings) if settings.source is Source.KAFKA else None
    with closing(writer_of(settings)()) as writer, closing(reader_of(settings)()) as reader:
        version = reader.version(user_id)
        erasure = Erasure.of(user_id, max(time.time_ns() // 1_000_000, until_after(version or 0)))
        writer.erase([erasure])
        writer.flush()
    with open_registry(settings) as registry:
        keeper, codec = keeper_of(settings), Codec(lookup=registry, time_unit=settings.time_unit)
        letters = letters_of([erasure], (each.letter for each in keeper.letters()), codec)
    keeper.clear(letters)
    if kafka is not None:
        publisher = Publisher(kafka, settings.kafka_propensity_topic)
        publisher.send_one(user_id.encode(), None)
        publisher.flush()
    done = f"erased, with {len(letters):,} dead letters"
    if version is None:
        done = f"no table has a user {user_id!r}, dead letters that went: {len(letters):,}; the request is remembered"
    say(f"{done}; running flows follow within seconds")
