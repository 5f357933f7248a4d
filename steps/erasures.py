"""People who asked to be forgotten: the flow learns of them, and forgets.

A request comes as a message without a value, or is written to the store's table `erasures` by `python -m jobs erase`,
which every running flow follows. A bucket forgets its user and takes no event from before any more; what it says then
goes to the store and the topics in the order of the rows.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic

from model.erased import Erased
from schemas.codec import Codec, Decoded
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure, hash_of, letters_of, owner_of
from steps import ending
from steps.buckets import bucket_of
from steps.publish import SharedPublisher
from steps.sequences import Sequenced
from steps.write import SharedWriter, plainly
from stores.base import Reader, StoreError
from topics.dead_letters import letter_key
from topics.publisher import Publisher

INTERVAL = 2.0
"""Seconds between two looks at the table."""
PAUSE = timedelta(milliseconds=50)
"""Between two looks at whether this process was asked to end."""


class Erasures:
    """Who was erased, as far as this process knows.

    Args:
        buckets: how many buckets there are.
        known: what the store's table says at the start.
        codec: reads dead letters.
    """

    def __init__(self, buckets: int, known: Iterable[Erasure] = (), codec: Codec | None = None) -> None:
        self._buckets, self._codec = buckets, codec or Codec()
        self._erased, self._lock = Erased.none(), threading.Lock()
        self._of_bucket = defaultdict[int, list[Erasure]](list)
        self.learn(known)

    def learn(self, erasures: Iterable[Erasure]) -> list[Erasure]:
        """Take what is new, and return that."""
        with self._lock:
            new = [each for each in erasures if each.until > self._erased.until(each.user_hash)]
            if new:
                self._erased = self._erased.joined(new)
                for each in new:
                    self._of_bucket[self.bucket(each)].append(each)
        return new

    def bucket(self, erasure: Erasure) -> int:
        """The bucket of a user."""
        return bucket_of(erasure.user_hash, self._buckets)

    def known_in(self, user_hash: int) -> Sequence[Erasure]:
        """All that is known of users in the bucket of this one."""
        return self._of_bucket.get(bucket_of(user_hash, self._buckets), ())

    def without_erased(self, decoded: Decoded) -> Decoded:
        """The same, but for dead letters of users who were erased after them; they are only counted."""
        if not decoded.letters or not len(self._erased.records):
            return decoded
        kept = [letter for letter in decoded.letters if not self._covers(letter)]
        return replace(decoded, letters=kept, erased=len(decoded.letters) - len(kept))

    def _covers(self, letter: DeadLetter) -> bool:
        owner = owner_of(letter, self._codec)
        if owner is None:
            return False
        user_id, event_time = owner
        until = self._erased.until(hash_of(user_id))
        return until >= (0 if event_time is None else event_time)


class ErasureSource(DynamicSource[tuple[str, list[Erasure]]]):
    """Follows the store's table: every process learns what is in it, and the first worker tells all buckets."""

    def __init__(self, read: Callable[[], list[Erasure]], erasures: Erasures) -> None:
        self._read, self._erasures = read, erasures

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Following:
        """The follower of one worker."""
        return _Following(self._read, self._erasures, worker_index == 0)


class _Following(StatelessSourcePartition[tuple[str, list[Erasure]]]):
    def __init__(self, read: Callable[[], list[Erasure]], erasures: Erasures, tells: bool) -> None:
        self._read, self._erasures, self._tells = read, erasures, tells
        self._told, self._due = Erased.none(), 0.0
        self._awake: datetime | None = None

    def next_batch(self) -> list[tuple[str, list[Erasure]]]:
        if ending.is_near():
            raise StopIteration
        self._awake = datetime.now(UTC) + PAUSE
        if time.monotonic() < self._due:
            return []
        self._due = time.monotonic() + INTERVAL
        try:
            found = self._read()
        except StoreError:
            return []  # the writer says what is wrong with the store
        self._erasures.learn(found)
        if not self._tells:
            return []
        by_bucket = defaultdict[str, list[Erasure]](list)
        for each in found:
            if each.until > self._told.until(each.user_hash):
                by_bucket[str(self._erasures.bucket(each))].append(each)
        self._told = self._told.joined(found)
        return list(by_bucket.items())

    def next_awake(self) -> datetime | None:
        return self._awake


def keyed_erasures(keyed: tuple[str, Sequenced]) -> list[tuple[str, Erasure]]:
    """What a bucket forgot, where it is known who that was."""
    key, item = keyed
    return [(key, erasure) for erasure in item.forgotten if erasure.user_id is not None]


class LetterErasing(StatefulBatchLogic[Erasure, None, None]):
    """Deletes the dead letters of users who were erased: at the end of the epoch, and once more at that of the next.

    Those that were on their way meanwhile are there by then.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        writer: SharedWriter,
        topic: SharedPublisher[Publisher] | None,
        codec: Codec,
    ) -> None:
        self._open_reader, self._writer, self._topic, self._codec = open_reader, writer, topic, codec
        self._asked, self._before = list[Erasure](), list[Erasure]()

    def on_batch(self, values: list[Erasure]) -> tuple[list[None], bool]:
        """Note who was erased."""
        self._asked += values
        return [], StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[None], bool]:
        """Delete what is there."""
        self._delete()
        return [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> None:
        """The end of an epoch."""
        self._delete()

    def _delete(self) -> None:
        due = self._before + self._asked
        self._before, self._asked = self._asked, []
        if due:
            self._writer.flush()
            self._writer.clear(letters := self._letters_of(due))
            if self._topic is not None and letters:
                self._topic.do(partial(_clear, letters=letters))
                self._topic.flush()

    def _letters_of(self, erasures: Iterable[Erasure]) -> list[DeadLetter]:
        with plainly(), closing(self._open_reader()) as reader:
            return letters_of(erasures, reader.each_dead_letter(), self._codec)


def _clear(to: Publisher, letters: Iterable[DeadLetter]) -> None:
    for letter in letters:
        to.send_one(letter_key(letter), None)


def letter_eraser(
    open_reader: Callable[[], Reader],
    writer: SharedWriter,
    topic: SharedPublisher[Publisher] | None,
    codec: Codec,
) -> Callable[[None], LetterErasing]:
    """The builder of the step that deletes dead letters."""
    return lambda _: LetterErasing(open_reader, writer, topic, codec)
