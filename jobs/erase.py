"""A person is forgotten: in the store, in the flow's topics, and by every running flow."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import closing
from difflib import get_close_matches

from jobs.clusters import cluster_of, open_registry
from jobs.console import say
from jobs.dead_letters.keeping import keeper_of
from jobs.problems import require_store
from schemas.avro.codec import Codec
from schemas.erasures import Erasure, letters_of, until_after
from schemas.errors import JobError
from schemas.validation import LONGEST_ID
from settings import Settings, Source
from stores.store_registry import reader_of, writer_of
from topics.publisher import Publisher

MOST_COMPARED = 100_000
"""Ids that are compared letter by letter with one that is not known, which takes seconds."""
NEAR = 5
"""Near ids that are named."""


def erase(settings: Settings, user_id: str) -> bool:
    """Delete all that is kept of a user, and let no event from before come back; say what was done.

    What is noted is the user's hash and the time: now, or that of the user's newest event where it is later. Returns
    whether there was such a user: in a table, in a dead letter, or in an erasure from before.

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
        was_erased = Erasure.of(user_id, 0).user_hash in {each.user_hash for each in writer.erasures()}
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
    follow = "running flows follow within seconds"
    if version is not None:
        say(f"erased, with {len(letters):,} dead letters; {follow}")
        return True
    gone = f"dead letters that went: {len(letters):,}; the request is remembered, and {follow}"
    if was_erased:
        say(f"no user {user_id!r} any more, who was erased before; {gone}")
        return True
    with closing(reader_of(settings)()) as reader:
        near = near_ids(user_id, reader.user_ids())
    named = f"; near ids: {', '.join(map(repr, near))}" if near else ""
    say(f"no user {user_id!r} in the store{named}; {gone}")
    return bool(letters)


def near_ids(user_id: str, known: Sequence[str]) -> list[str]:
    """Of the known ids those that one may have been meant for, at most `NEAR`.

    Those first that differ in case, blanks, dashes, quotes, leading zeros or a decimal point alone, then, where not too
    many are known, those that differ in a few letters.

    >>> near_ids("  Anna", ["anna", "annb", "bert", "0042"]), near_ids("42.0", ["0042", "7"])
    (['anna', 'annb'], ['0042'])
    >>> near_ids("USER_12", ["user-0000012"])
    ['user-0000012']
    """
    meant = _plain(user_id)
    found = sorted(each for each in known if _plain(each) == meant)[:NEAR]
    if len(found) < NEAR and len(known) <= MOST_COMPARED:
        spelt = {each.casefold(): each for each in known if each not in found}
        found += [spelt[each] for each in get_close_matches(meant, spelt, NEAR - len(found), cutoff=0.75)]
    return found


def _plain(user_id: str) -> str:
    """An id without what is lost or added where ids are typed, or go through a spreadsheet."""
    text = user_id.strip().strip("\"'").strip().casefold()
    whole, _, rest = text.partition(".")
    if whole.isdecimal() and not rest.strip("0"):
        text = whole
    return re.sub(r"0*(\d+)", r"\1", re.sub(r"[\s_-]+", "", text))
