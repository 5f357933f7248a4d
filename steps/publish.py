"""Scores and dead letters -> topics, acknowledged before the epoch that brought them is committed.

Keyed as the writers are (see `steps.write`). Rows go out in the order of each user's sequence, so that the newest
row of a user is the last that a compacted topic gets, and the topic holds what the table `latest_propensity` holds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from schemas.avro.propensity_codec import PropensityCodec
from schemas.dead_letters import DeadLetter
from schemas.errors import TopicError
from schemas.scored import ScoredRows
from steps.process.ending import fail
from steps.write import WriteLogic
from topics.letter_topic import letter_headers, letter_key, letter_value
from topics.native.sending import Joined
from topics.publisher import BatchPublisher, Publisher

Kind = TypeVar("Kind", Publisher, BatchPublisher)


class SharedPublisher(Generic[Kind]):
    """One producer for all keys of a process, made when the first of them needs it."""

    def __init__(self, make: Callable[[], Kind]) -> None:
        self._make: Callable[[], Kind] = make
        self._publisher: Kind | None = None
        self._lock = threading.Lock()

    def do(self, work: Callable[[Kind], None]) -> None:
        """Let the publisher do something; what cannot be delivered ends the run."""
        with self._lock:
            try:
                if self._publisher is None:
                    self._publisher = self._make()
                work(self._publisher)
            except TopicError as error:
                fail(error)

    def push(self) -> None:
        """Nothing: the client sends by itself."""

    def push_at(self) -> datetime | None:
        """Never."""
        return None

    def flush(self) -> None:
        """Return once all was acknowledged."""
        if self._publisher is not None:
            self.do(lambda publisher: publisher.flush())


def row_publisher(publisher: SharedPublisher[BatchPublisher], codec: PropensityCodec) -> Callable[[None], WriteLogic]:
    """The builder of the step that publishes scored rows."""

    def publish(batches: list[ScoredRows]) -> None:
        for rows in batches:
            gone = [each.user_id.encode() for each in rows.forgotten if each.user_id is not None]
            if gone:
                edges = np.cumsum([0, *map(len, gone)], dtype=np.int64)
                publisher.do(partial(_send, keys=(b"".join(gone), edges), values=None))
            publisher.do(partial(_send, keys=codec.keys(rows), values=codec.encode(rows)))

    return lambda _: WriteLogic(publisher, publish)


def letter_publisher(publisher: SharedPublisher[Publisher]) -> Callable[[None], WriteLogic]:
    """The builder of the step that publishes dead letters."""

    def publish(letters: list[DeadLetter]) -> None:
        now = round(time.time() * 1000)
        for letter in letters:
            publisher.do(partial(_send_letter, letter=letter, now=now))

    return lambda _: WriteLogic(publisher, publish)


def _send(to: BatchPublisher, keys: Joined, values: Joined | None) -> None:
    to.send(keys, values)


def _send_letter(to: Publisher, letter: DeadLetter, now: int) -> None:
    to.send_one(letter_key(letter), letter_value(letter), letter_headers(letter, now))
