"""The newest event time of a stream, which one wrong clock does not move for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from stores.base import Reader

LOOKED_AT = 16
"""Users with the newest events that are looked at."""
FEW, LEAST = 2, 3
"""So many users at the most are taken to be ahead of the others, who are so many at least."""


def believed_newest(
    reader: Reader, others: Mapping[str, int] | None = None, max_skew: timedelta = timedelta(hours=1)
) -> int | None:
    """The newest event time (ms), but for those of one or two users who are far ahead of all others.

    Far is further than `max_skew`, and than what the events of the others span. `others` are the newest event
    times of users who are looked at beside those: what was read of them may be newer. None in an empty store.
    """
    users = {each.user_id: each.event_time for each in reader.most_recent(LOOKED_AT)}
    for user, time in (others or {}).items():
        users[user] = max(time, users.get(user, time))
    ranked = sorted(users, key=lambda user: users[user], reverse=True)
    times = [users[user] for user in ranked]
    least = max_skew // timedelta(milliseconds=1)
    for ahead in range(min(FEW, len(times) - LEAST), 0, -1):
        gap = times[ahead - 1] - times[ahead]
        if gap > least and gap > _span(reader, ranked[ahead:], times[ahead:]):
            return times[ahead]
    return times[0] if times else None


def _span(reader: Reader, users: list[str], times: list[int]) -> int:
    """How long (ms) the events of users have been going on, as far as their newest hundred tell."""
    first = [points[0].event_time for user in users[:LOOKED_AT] if (points := reader.curve(user, limit=100))]
    return times[0] - min([*first, *times])
