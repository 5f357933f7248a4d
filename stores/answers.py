"""What a store answers with: the rows of its tables as a reader returns them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from schemas.event_fields import StoredColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(StoredColumns):
    """One event of a user's curve, and the propensity right after it. `event_time` is in ms since 1970.

    >>> point = Point(event_time=0, event_key=1, event_id="e", event_type="CL", propensity=0.25, seen=1, model_id="m")
    >>> point.campaign, point.revenue
    ('NA', 0.0)
    """

    event_time: int
    event_key: int
    event_id: str
    event_type: str
    propensity: float
    seen: int
    model_id: str


@dataclass(frozen=True, slots=True)
class Latest:
    """A user right after the newest event, and the next best action then; None where there is none.

    `gain` is how much the action would raise the propensity, `net` what that is worth less its cost. A user of the
    control group (`hold_out`) must not be targeted.

    >>> Latest("ann", 0, "CL", propensity=0.25, seen=3, model_id="m", best_action="click", gain=0.1).hold_out
    False
    """

    user_id: str
    event_time: int
    event_type: str
    propensity: float
    seen: int
    model_id: str
    best_action: str | None = None
    gain: float | None = None
    net: float | None = None
    hold_out: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """How much a store holds. `newest` is the newest event time in ms, None in an empty store.

    >>> Summary(users=0, newest=None, dead_letters=3).dead_letters
    3
    """

    users: int
    newest: int | None
    dead_letters: int


class Score(NamedTuple):
    """What grading needs of a stored event. `event_time` is in ms since 1970.

    >>> Score(0, 1, "CN", "Spring", 9.5, propensity=0.25, seen=3, model_id="m").revenue
    9.5
    """

    event_time: int
    event_key: int
    event_type: str
    campaign: str
    revenue: float
    propensity: float
    seen: int
    model_id: str


class Share(NamedTuple):
    """The share of a touch in a conversion, by each of `schemas.credits.RULES`; a conversion's last is the baseline's.

    `touch_time` is in ms since 1970. The baseline's type and campaign are empty, its time and key 0.

    >>> Share(0, 0, "", "", 0.5, 0.0, 0.0, 0.0, 0.0, 0.0).credit  # the model credits half to no touch
    0.5
    """

    touch_time: int
    touch_key: int
    type: str
    campaign: str
    credit: float
    last: float
    first: float
    linear: float
    time_decay: float
    position: float


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion event and the shares in it, oldest touch first; by each rule they sum up to 1.

    `part` is one of `schemas.credits.PARTS`: what the event is to its order, which began at `order_time`. Items and
    refunds have the shares of their order. Times in ms since 1970.

    >>> Conversion(5, 1, 9.5, "m", "order", 5, (Share(0, 0, "", "", *[1.0] * 6),)).shares[-1].last
    1.0
    """

    event_time: int
    event_key: int
    revenue: float
    model_id: str
    part: str
    order_time: int
    shares: tuple[Share, ...]


class CreditSum(NamedTuple):
    """The credit of touches of a campaign and type for the orders of a UTC day (`2017-06-22`).

    Conversions, which are orders, and revenue, less refunds, by each of `schemas.credits.RULES`. The baseline's sum has
    no campaign and no type.

    >>> CreditSum("2017-06-22", "Spring", "CL", conversions=(1.0,) * 6, revenue=(9.5,) * 6).revenue[0]
    9.5
    """

    day: str
    campaign: str
    type: str
    conversions: tuple[float, ...]
    revenue: tuple[float, ...]


DAY = 86_400_000
"""Milliseconds."""


def day_of(time: int) -> str:
    """The UTC day of a time in ms since 1970; the first or the last day for times before or after all of them.

    >>> day_of(1_498_089_600_000)
    '2017-06-22'
    """
    day = date(1970, 1, 1).toordinal() + time // DAY
    return date.fromordinal(min(max(day, 1), date.max.toordinal())).isoformat()
