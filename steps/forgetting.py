"""Erasing users permanently: who was erased, and deleting their dead letters.

A request is a message without a value, or a row that `python -m jobs erase` writes to the store's table `erasures`,
which every running flow follows (`steps.table_follower`). A bucket drops its user and ignores all earlier events from
then on; the erasure reaches the store and the topics in the order of the rows.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from bytewax.operators import StatefulBatchLogic

from model.sealed import sealed
from schemas.avro.codec import Codec, Decoded
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure, hash_of, letters_of, owners_of
from steps.buckets import bucket_of
from steps.publish import SharedPublisher
from steps.sequencing import Sequenced
from steps.write import SharedWriter, plainly
from stores.base import Reader
from topics.letter_topic import letter_key
from topics.publisher import Publisher

A_WHILE = 10.0
"""Seconds after which every process knows of an erasure."""


class Erasures:
    """The erasures that this process knows.

    Args:
        buckets: how many buckets there are.
        known: the rows of the store's table at the start.
        codec: reads dead letters.
    """

    def __init__(self, buckets: int, known: Iterable[Erasure] = (), codec: Codec | None = None) -> None:
        self._buckets, self._codec = buckets, codec or Codec()
        self._until, self._lock = dict[int, int](), threading.Lock()
        self._of_bucket = defaultdict[int, list[Erasure]](list)
        self.learn(known)

    def learn(self, erasures: Iterable[Erasure]) -> None:
        """Take what is new."""
        with self._lock:
            for each in erasures:
                if each.until > self._until.get(each.user_hash, -1):
                    self._until[each.user_hash] = each.until
                    self._of_bucket[self.bucket(each)].append(each)

    def bucket(self, erasure: Erasure) -> int:
        """The bucket of a user."""
        return bucket_of(erasure.user_hash, self._buckets)

    def known_in(self, user_hash: int) -> Sequence[Erasure]:
        """All that is known of users in the bucket of this one."""
        return self._of_bucket.get(bucket_of(user_hash, self._buckets), ())

    def without_erased(self, decoded: Decoded) -> Decoded:
        """The same, but for dead letters of users who were erased after them; they are only counted."""
        if not decoded.letters or not self._until:
            return decoded
        kept = [letter for letter in decoded.letters if not self._covers(letter)]
        return replace(decoded, letters=kept, erased=len(decoded.letters) - len(kept))

    def _covers(self, letter: DeadLetter) -> bool:
        users, event_time = owners_of(letter, self._codec) or (frozenset[str](), None)
        return any(self._until.get(hash_of(user), -1) >= (event_time or 0) for user in users)


def keyed_erasures(keyed: tuple[str, Sequenced]) -> list[tuple[str, Erasure]]:
    """What a bucket forgot, where it is known who that was; under one key, so that all are looked for at once."""
    return [("erased", erasure) for erasure in keyed[1].forgotten if erasure.user_id is not None]


@dataclass(slots=True)
class _Due:
    """Erasures whose dead letters are to go, from when on (monotonic, s) a look is the last one, and what went."""

    erasures: list[Erasure]
    last_from: float
    gone: list[DeadLetter] = field(default_factory=list)


class LetterErasing(StatefulBatchLogic[Erasure, None, list[Erasure]]):
    """Deletes the dead letters of users who were erased: at the end of the epoch, and once more a while later.

    Those that were on their way meanwhile, in processes that did not know of it yet, are there by then. The state is
    what is to be looked for again.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        writer: SharedWriter,
        topic: SharedPublisher[Publisher] | None,
        codec: Codec,
        resumed: list[Erasure] | None = None,
    ) -> None:
        self._open_reader, self._writer, self._topic, self._codec = open_reader, writer, topic, codec
        self._asked, self._due = list(resumed or ()), list[_Due]()
        self._is_awake = False

    def on_batch(self, values: list[Erasure]) -> tuple[list[None], bool]:
        """Note who was erased."""
        self._asked += values
        return [], StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[None], bool]:
        """It is time for a last look, at the end of this epoch."""
        self._is_awake = True
        return [], StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        """When a last look is due: a key that nothing comes for has no snapshot otherwise."""
        if not self._due or self._is_awake:
            return None
        return datetime.now(UTC) + timedelta(seconds=max(self._due[0].last_from - time.monotonic(), 0.0))

    def on_eof(self) -> tuple[list[None], bool]:
        """Delete what is there."""
        self._look(math.inf)
        return [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> list[Erasure]:
        """The end of an epoch."""
        self._look(time.monotonic())
        self._is_awake = False
        return sealed([each for due in self._due for each in due.erasures])

    def _look(self, now: float) -> None:
        last = [due for due in self._due if due.last_from <= now]
        first = [_Due(self._asked, time.monotonic() + A_WHILE)] if self._asked else []
        self._due, self._asked = [due for due in self._due if due.last_from > now] + first, []
        if not last + first:
            return
        self._writer.flush()
        with plainly(), closing(self._open_reader()) as reader:
            found = letters_of(
                [each for due in last + first for each in due.erasures], reader.each_dead_letter(), self._codec
            )
        self._writer.clear(found)
        again = [letter for due in last for letter in due.gone]  # to the topic one may have come after its tombstone
        for due in first:
            due.gone = found
        if self._topic is not None and found + again:
            self._topic.do(partial(_clear, letters=found + again))
            self._topic.flush()


def _clear(to: Publisher, letters: Iterable[DeadLetter]) -> None:
    for letter in letters:
        to.send_one(letter_key(letter), None)


def letter_eraser(
    open_reader: Callable[[], Reader],
    writer: SharedWriter,
    topic: SharedPublisher[Publisher] | None,
    codec: Codec,
) -> Callable[[list[Erasure] | None], LetterErasing]:
    """The builder of the step that deletes dead letters."""
    return lambda resumed: LetterErasing(open_reader, writer, topic, codec, resumed)
