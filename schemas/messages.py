"""Messages as they come from a source: many at once, in one block of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def pieces(data: bytes, bounds: NDArray[np.int64]) -> list[bytes]:
    """Joined messages (or keys) one by one, from their edges (n + 1).

    >>> pieces(b"abcde", np.array([0, 2, 2, 5]))
    [b'ab', b'', b'cde']
    """
    return [data[start:stop] for start, stop in pairwise(bounds.tolist())]


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """Messages of one source partition, joined.

    `bounds` (n + 1) are the edges of the messages in `data`; `offsets` (n) their places in the source; `times` (n) the
    messages' own timestamps in ms, negative where a message has none, or None where the source knows no such time.
    """

    source: str
    partition: int
    offsets: NDArray[np.int64]
    data: bytes
    bounds: NDArray[np.int64]
    times: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    @classmethod
    def of(cls, source: str, partition: int, first: int, payloads: Sequence[bytes]) -> MessageBatch:
        """A batch of separate payloads with consecutive offsets from `first` on."""
        bounds = np.zeros(len(payloads) + 1, np.int64)
        np.cumsum([len(payload) for payload in payloads], out=bounds[1:])
        return cls(source, partition, first + np.arange(len(payloads)), b"".join(payloads), bounds)

    def payload(self, message: int) -> bytes:
        """The bytes of one message."""
        return self.data[self.bounds[message] : self.bounds[message + 1]]

    def __getitem__(self, messages: slice) -> MessageBatch:
        """Some of the messages, with only their bytes."""
        low, high, _ = messages.indices(len(self))
        bounds = self.bounds[low : high + 1]
        times = None if self.times is None else self.times[low:high]
        data = self.data[bounds[0] : bounds[-1]]
        return MessageBatch(self.source, self.partition, self.offsets[low:high], data, bounds - bounds[0], times)
