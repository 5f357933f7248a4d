"""Training rows: moments of users drawn by hash, their labels, and what part of the split each is in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from jobs.training.logs import Log
from model.durations import to_milliseconds, write_duration
from model.replay import Moments
from schemas.errors import JobError

HOUR, DAY = 3_600_000, 86_400_000
FIT, VALIDATE, CALIBRATE, TEST, NONE = range(5)
"""Parts of the split. Of ten users five are in the first, one chooses the regularisation, two calibrate, two test."""
_PART_OF_TENTH = np.array([FIT, FIT, FIT, FIT, FIT, VALIDATE, CALIBRATE, CALIBRATE, TEST, TEST])
_SALTS = {
    name: np.uint64(number) for number, name in enumerate(("part", "event", "clock", "sample", "turn", "choose"), 1)
}


@dataclass(frozen=True, eq=False)
class Rows:
    """Moments ordered as `Moments` are, `at_event` (n) or at a clock time, and whether an order follows (n)."""

    moments: Moments
    at_event: NDArray[np.bool_]
    labels: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.moments)

    def take(self, chosen: NDArray[np.bool_]) -> Rows:
        """The chosen ones."""
        return Rows(self.moments.take(chosen), self.at_event[chosen], self.labels[chosen])


@dataclass(frozen=True, slots=True)
class Span:
    """The times (ms) that rows may have, and T1, by which the labels of the training rows are known."""

    first: int
    known: int
    last: int
    horizon: int

    @classmethod
    def of(cls, log: Log, horizon: timedelta, look_back: timedelta) -> Span:
        """The span of a log: without one look-back at its start and one horizon at its end.

        Between the last training row and T1, and between T1 and the first test row, lies a horizon each; of what is
        left two thirds are for training.

        Raises:
            JobError: the log is too short.
        """
        h, start, end = to_milliseconds(horizon), int(log.replay.timestamps.min()), int(log.replay.timestamps.max())
        first, last = start + to_milliseconds(look_back), end - h
        free = last - first - 2 * h
        if free < DAY:
            needed = look_back + 3 * horizon + timedelta(days=1)
            raise JobError(
                f"{log.name}: {log.counts} within {(end - start) / DAY:.5g}d, "
                f"{log.period}; "
                f"a horizon of {write_duration(horizon)} and a look-back of {write_duration(look_back)} "
                f"need {needed / timedelta(days=1):.5g}d"
            )
        return cls(first, first + h + free * 2 // 3, last, h)


def look_back_for(log: Log, horizon: timedelta) -> timedelta:
    """30 days, or half of what a shorter log has beside the horizons, in whole hours.

    At least one, and where a day's rows would not be left, no more than leaves them.
    """
    free = int(np.ptp(log.replay.timestamps)) - 3 * to_milliseconds(horizon)
    hours = max(min(free // 2, free - DAY) // HOUR, 1)
    return min(timedelta(days=30), timedelta(hours=hours))


def mixed(values: NDArray[np.uint64], purpose: str) -> NDArray[np.uint64]:
    """Hashes that differ by purpose: SplitMix64's finalizer (Steele, Lea, Flood, "Fast splittable generators", 2014).

    >>> mixed(np.array([1, 2], np.uint64), "part").tolist() == mixed(np.array([1, 2], np.uint64), "event").tolist()
    False
    """
    with np.errstate(over="ignore"):
        z = values + _SALTS[purpose] * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def draw(log: Log, first: int, last: int, most: int | None = None) -> tuple[Moments, NDArray[np.bool_]]:
    """Of each user and UTC day one event and one clock time, drawn by hash; and which of them are events.

    Only times from `first` to `last` (ms), and from the user's first event on. With `most` only so many rows, or fewer:
    those of a share of the users, drawn by hash. Users who are set apart have none.
    """
    replay = log.replay
    users = np.flatnonzero(~log.set_apart)
    begin = np.maximum(replay.timestamps[replay.bounds[:-1]], first)
    inside = (replay.timestamps >= first) & (replay.timestamps <= last) & ~log.set_apart[replay.users]
    if most is not None:
        alive = np.maximum(last - begin[users], 0).sum() / DAY
        span = last // DAY - first // DAY + 1
        drawn = len(np.unique(replay.users[inside] * span + (replay.timestamps[inside] - first) // DAY))
        share = most / max(alive + drawn, 1.0)
        if share < 1:
            users = users[mixed(replay.hashes[users], "sample") < np.uint64(share * 2.0**64)]
            inside &= np.isin(replay.users, users)
    events = np.flatnonzero(inside)
    order = np.lexsort(
        (mixed(replay.keys[events].view(np.uint64), "event"), replay.timestamps[events] // DAY, replay.users[events])
    )
    events = events[order]
    day_of = replay.timestamps[events] // DAY
    fresh = np.ones(len(events), np.bool_)
    fresh[1:] = (np.diff(replay.users[events]) > 0) | (np.diff(day_of) > 0)
    events = events[fresh]
    since = begin[users] // DAY
    counts = np.maximum(last // DAY - since + 1, 0)
    owners = np.repeat(users, counts)
    days = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts - since, counts)
    with np.errstate(over="ignore"):
        seeds = replay.hashes[owners] + days.astype(np.uint64) * np.uint64(0xD1342543DE82EF95)
    times = days * DAY + (mixed(seeds, "clock") % np.uint64(DAY)).astype(np.int64)
    kept = (times >= begin[owners]) & (times <= last)
    own, clock = replay.right_after(events), replay.at(owners[kept], times[kept])
    moments = Moments(
        np.concatenate((own.users, clock.users)),
        np.concatenate((own.times, clock.times)),
        np.concatenate((own.counts, clock.counts)),
    )
    at_event = np.repeat([True, False], [len(own), len(clock)])
    order = np.lexsort((at_event, moments.times, moments.counts, moments.users))
    return moments.take(order), at_event[order]


def label(log: Log, moments: Moments, horizon: int) -> NDArray[np.bool_]:
    """Whether an order follows each moment t (n): the first conversion of one until t + horizon, in ms.

    Of an instant's events those that follow in the sequence are later, so that an order follows a touch of its instant.
    """
    following = log.replay.follows(log.orders, moments)
    found: NDArray[np.bool_] = following - moments.times <= horizon
    return found


def rows_of(log: Log, span: Span, most: int | None = None) -> Rows:
    """The rows of a log within a span."""
    moments, at_event = draw(log, span.first, span.last, most)
    return Rows(moments, at_event, label(log, moments, span.horizon))


def is_part(log: Log, users: NDArray[np.int64], part: int) -> NDArray[np.bool_]:
    """Which of some users (n) are those of a part."""
    found: NDArray[np.bool_] = _parts(log)[users] == part
    return found


def _parts(log: Log) -> NDArray[np.int64]:
    """The part that each user of a log is for."""
    return _PART_OF_TENTH[(mixed(log.replay.hashes, "part") % np.uint64(10)).astype(np.int64)]


def parts_of(log: Log, rows: Rows, span: Span) -> NDArray[np.uint8]:
    """The part of each row (n): those of training users whose labels are known by T1, of other users after T1."""
    part = _parts(log)[rows.moments.users]
    times = rows.moments.times
    learns = times + span.horizon <= span.known
    fits = np.select(
        [part <= VALIDATE, part == CALIBRATE], [learns, times > span.known], times > span.known + span.horizon
    )
    return np.where(fits, part, NONE).astype(np.uint8)
