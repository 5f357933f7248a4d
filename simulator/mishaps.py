"""Faults of delivery: events that are repeated, late ones, and messages that are not events.

What happens to an event is drawn from the seed and the event's number alone, so that the messages and their order do
not depend on how many events are taken at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from schemas.avro.codec import Codec
from schemas.events import EVENT_ID, USER_ID, EventBatch
from schemas.messages import pieces
from schemas.validation import FIRST_TIME, LAST_TIME
from simulator.event_columns import Floats, Ints

DELAY_MS = 6 * 3_600_000
"""Longest delay, in event time: a user would need as many events in it as a sequence keeps for one to be too late."""


class Kind(IntEnum):
    """The kinds of messages."""

    EVENT = 0
    BROKEN = 1
    REPEAT = 2


class _Fate(IntEnum):
    """The purposes of draws."""

    LATE = 0
    DELAY = 1
    REPEATED = 2
    GAP = 3
    BROKEN = 4
    DAMAGE = 5


@dataclass(frozen=True, slots=True)
class Mishaps:
    """Shares of all events: of those that are sent again, that are late, and that something broken follows."""

    repeats: float = 0.0
    late: float = 0.0
    broken: float = 0.0


@dataclass(frozen=True, slots=True)
class Mixed:
    """Messages in the order in which they are sent: user ids as keys, and the times of their events."""

    keys: list[bytes]
    values: list[bytes]
    times: list[int]
    kinds: Counter[Kind]

    def __len__(self) -> int:
        return len(self.values)


_WAITING = np.dtype(
    [("due", np.int64), ("number", np.int64), ("kind", np.uint8), ("time", np.int64), ("key", "O"), ("value", "O")]
)


class Mixer:
    """One producer's events as messages, with mishaps. A late event waits, and so does the repeat of one.

    >>> from schemas.avro.codec import codec
    >>> mixer = Mixer(codec(), 7, Mishaps(repeats=0.2))
    >>> len(mixer.rest())
    0
    """

    def __init__(self, codec: Codec, seed: int, mishaps: Mishaps) -> None:
        self._codec, self._seed, self._mishaps = codec, seed, mishaps
        self._waiting = np.zeros(0, _WAITING)

    def take(self, events: EventBatch, now: int) -> Mixed:
        """Add events, whose offsets are their numbers, and send what is due before `now` (event time in ms).

        Events that are added later must not be earlier than `now`.
        """
        self._waiting = np.concatenate((self._waiting, *self._fates(events)))
        self._waiting = self._waiting[np.lexsort([self._waiting[name] for name in ("kind", "number", "due")])]
        return self._send(int(np.searchsorted(self._waiting["due"], now)))

    def rest(self) -> Mixed:
        """Send everything that is waiting."""
        return self._send(len(self._waiting))

    def _send(self, count: int) -> Mixed:
        sent, self._waiting = self._waiting[:count], self._waiting[count:]
        kinds = np.bincount(sent["kind"], minlength=len(Kind)).tolist()
        keys, values, times = (sent[name].tolist() for name in ("key", "value", "time"))
        return Mixed(keys, values, times, Counter({kind: kinds[kind] for kind in Kind}))

    def _fates(self, events: EventBatch) -> Iterable[NDArray[np.void]]:
        """What each event becomes: itself, perhaps late; perhaps something broken behind it, and itself again."""
        number = events.rows["offset"]
        rows = np.zeros(len(events), _WAITING)
        rows["number"], rows["time"] = number, events.rows["timestamp"]
        late = self._draw(_Fate.LATE, number) < self._mishaps.late
        rows["due"] = rows["time"] + np.where(late, self._draw(_Fate.DELAY, number) * DELAY_MS, 0).astype(np.int64)
        raw = events.data.tobytes()
        spans = (events.rows[name][:, USER_ID].tolist() for name in ("start", "stop"))
        rows["key"] = [raw[start:stop] for start, stop in zip(*spans, strict=True)]
        rows["value"] = pieces(*self._codec.encode(events))
        yield rows
        broken = np.flatnonzero(self._draw(_Fate.BROKEN, number) < self._mishaps.broken)
        bad = rows[broken]
        bad["kind"] = Kind.BROKEN
        bad["value"] = self._damaged(events, broken, rows["value"][broken])
        yield bad
        again = rows[self._draw(_Fate.REPEATED, number) < self._mishaps.repeats]
        again["kind"] = Kind.REPEAT
        # Most repeats follow soon, as those of a producer that tries again; some after hours, as from a second copy.
        again["due"] += (self._draw(_Fate.GAP, again["number"]) ** 4 * DELAY_MS).astype(np.int64)
        yield again

    def _draw(self, fate: _Fate, numbers: Ints) -> Floats:
        return draw(self._seed, fate, numbers)

    def _damaged(self, events: EventBatch, chosen: Ints, values: NDArray[np.object_]) -> list[bytes]:
        """An invalid message for each of some events, of several kinds."""
        damage = self._draw(_Fate.DAMAGE, events.rows["offset"][chosen]) * 6
        kinds, parts = np.floor(damage).astype(np.int64), damage % 1
        wrong = EventBatch(events.origins, events.rows[chosen], events.data)
        rows = wrong.rows
        early, ahead = kinds == 0, kinds == 1
        rows["timestamp"][early] = FIRST_TIME - 1 - (parts[early] * 1e12).astype(np.int64)
        rows["timestamp"][ahead] = LAST_TIME + 1 + (parts[ahead] * 1e12).astype(np.int64)
        nameless = np.flatnonzero(kinds == 2)
        field = np.where(parts[nameless] < 0.5, EVENT_ID, USER_ID)
        rows["stop"][nameless, field] = rows["start"][nameless, field]
        encoded = pieces(*self._codec.encode(wrong))
        return [
            value if kind < 3 else _spoilt(good, kind, part)
            for value, good, kind, part in zip(encoded, values.tolist(), kinds.tolist(), parts.tolist(), strict=True)
        ]


def _spoilt(message: bytes, kind: int, part: float) -> bytes:
    """A message cut short, with the header of an unknown schema, or arbitrary bytes."""
    if kind == 3:
        return message[: int(part * len(message))]
    if kind == 4:  # the first byte identifies the framing, and the first five bytes the schema
        return message[:2] + bytes(byte ^ 0x7F for byte in message[2:5]) + message[5:]
    return b"{" + int(part * 2**48).to_bytes(6, "big") * (1 + int(part * 8))


def draw(seed: int, purpose: int, numbers: Ints) -> Floats:
    """Uniform numbers in [0, 1), one for each of `numbers` and purpose, independent of other draws.

    SplitMix64 as a hash: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.

    >>> one, other = draw(7, 0, np.array([3, 4])), draw(7, 0, np.array([4]))
    >>> bool(one[1] == other[0])
    True
    """
    state = np.full(1, seed, np.uint64)
    for part in (np.full(1, purpose, np.uint64), numbers.astype(np.uint64)):
        state = state + (part + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
