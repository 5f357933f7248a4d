"""Messages from a source: many at once, in one block of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from schemas.events import Origin


def pieces(data: bytes, bounds: NDArray[np.int64]) -> list[bytes]:
    """Joined messages (or keys) one by one, from their edges (n + 1).

    >>> pieces(b"abcde", np.array([0, 2, 2, 5]))
    [b'ab', b'', b'cde']
    """
    return [data[start:stop] for start, stop in pairwise(bounds.tolist())]


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """Messages of a source partition, joined.

    `bounds` (n + 1) are the edges of the messages in `data`; `offsets` (n) their places in the source; `times` (n) the
    messages' own timestamps in ms, negative where a message has none, or None where the source knows no such time.
    Messages of several partitions may be concatenated: `runs` has the partition and the number of each run. `erasing`
    has the messages without a value but with a key: their numbers in the batch, and the keys.
    """

    source: str
    partition: int
    offsets: NDArray[np.int64]
    data: bytes
    bounds: NDArray[np.int64]
    times: NDArray[np.int64] | None = None
    runs: tuple[tuple[Origin, int], ...] = ()
    erasing: tuple[tuple[int, bytes], ...] = ()

    def __len__(self) -> int:
        return len(self.offsets)

    @classmethod
    def of(cls, source: str, partition: int, first: int, payloads: Sequence[bytes]) -> MessageBatch:
        """A batch of separate payloads with consecutive offsets from `first` on."""
        bounds = np.zeros(len(payloads) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, payloads), np.int64, len(payloads)), out=bounds[1:])
        return cls(source, partition, first + np.arange(len(payloads)), b"".join(payloads), bounds)

    @classmethod
    def join(cls, batches: Sequence[MessageBatch]) -> MessageBatch:
        """The messages of several batches, each of one partition, concatenated."""
        if len(batches) == 1:
            return batches[0]
        lengths = np.concatenate([np.diff(batch.bounds) for batch in batches])
        bounds = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=bounds[1:])
        times = [np.full(len(batch), -1) if batch.times is None else batch.times for batch in batches]
        return cls(
            batches[0].source,
            batches[0].partition,
            np.concatenate([batch.offsets for batch in batches]),
            b"".join(batch.data for batch in batches),
            bounds,
            np.concatenate(times) if any(batch.times is not None for batch in batches) else None,
            tuple((Origin(batch.source, batch.partition), len(batch)) for batch in batches),
            tuple(
                (first + number, key)
                for first, batch in zip(accumulate(map(len, batches), initial=0), batches, strict=False)
                for number, key in batch.erasing
            ),
        )

    def without(self, gone: Sequence[int]) -> MessageBatch:
        """The batch without some messages that have no bytes."""
        kept = np.delete(np.arange(len(self)), gone)
        runs = self.runs
        if runs:
            counts = np.bincount(np.asarray(self.origin_of)[kept], minlength=len(runs)).tolist()
            runs = tuple((origin, count) for (origin, _), count in zip(runs, counts, strict=True))
        bounds = np.append(self.bounds[:-1][kept], self.bounds[-1])
        times = None if self.times is None else self.times[kept]
        return MessageBatch(self.source, self.partition, self.offsets[kept], self.data, bounds, times, runs)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The partitions that messages are of."""
        return tuple(origin for origin, _ in self.runs) or (Origin(self.source, self.partition),)

    @property
    def origin_of(self) -> NDArray[np.integer] | int:
        """For each message, which of the origins it is of."""
        return np.repeat(np.arange(len(self.runs)), [count for _, count in self.runs]) if self.runs else 0

    def payload(self, message: int) -> bytes:
        """The bytes of one message."""
        return self.data[self.bounds[message] : self.bounds[message + 1]]

    def __getitem__(self, messages: slice) -> MessageBatch:
        """Some of the messages of a batch of one partition, with only their bytes."""
        low, high, _ = messages.indices(len(self))
        bounds = self.bounds[low : high + 1]
        times = None if self.times is None else self.times[low:high]
        data = self.data[bounds[0] : bounds[-1]]
        erasing = tuple((number - low, key) for number, key in self.erasing if low <= number < high)
        offsets, bounds = self.offsets[low:high], bounds - bounds[0]
        return MessageBatch(self.source, self.partition, offsets, data, bounds, times, erasing=erasing)
