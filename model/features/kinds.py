"""Features: variations of one template, event type (and campaign) x aggregation x time scale, with a weight.

Every feature is a number of at least 0 for a user at a time t, from the newest L events up to t, but for refunds and
for further items of an order, which no feature counts (`model.sequences.orders`):

| aggregation     | value                                                                                  |
|-----------------|----------------------------------------------------------------------------------------|
| `count`         | ln(1 + n), n = matching events of age <= look_back                                     |
| `decayed_count` | ln(1 + d), d = sum over matching events of 2^(-age / half_life)                        |
| `recency`       | ln(1 + hours since the newest matching event), or `never` where there is none          |
| `events_since`  | ln(1 + events after the newest matching event), all L where there is none              |
| `time_between`  | ln(1 + hours between the two newest matching events), or `never` where there are fewer |
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.durations import Duration, write_duration
from schemas.event_types import TYPES

if TYPE_CHECKING:
    EventType = str
else:
    EventType = Literal[TYPES]
Weight = Annotated[float, Field(ge=-1e9, le=1e9)]
"""A weight or an intercept: products with features and their sums stay far from what floats can hold."""
TimeScale = Annotated[Duration, Field(ge=timedelta(milliseconds=1), le=timedelta(days=36_500))]


class _Template(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weight: Weight
    type: EventType | None = None
    campaign: Annotated[str, Field(min_length=1)] | None = None

    @property
    def scale(self) -> str:
        """The time scale as text, or nothing."""
        return ""

    @property
    def name(self) -> str:
        """What the feature measures, on one line: `count(CL, 7d)`."""
        parts = [self.type or "any", self.campaign or "", self.scale]
        return f"{self.aggregation}({', '.join(part for part in parts if part)})"  # type: ignore[attr-defined]


class Count(_Template):
    """Matching events whose age is at most `look_back`."""

    aggregation: Literal["count"]
    look_back: TimeScale

    @property
    def scale(self) -> str:
        """The look-back window."""
        return write_duration(self.look_back)


class DecayedCount(_Template):
    """Matching events, each worth half after every `half_life`."""

    aggregation: Literal["decayed_count"]
    half_life: TimeScale

    @property
    def scale(self) -> str:
        """The half-life."""
        return write_duration(self.half_life)


class Recency(_Template):
    """Time since the newest matching event; `never` is the value where there is none."""

    aggregation: Literal["recency"]
    never: float


class EventsSince(_Template):
    """Events after the newest matching event."""

    aggregation: Literal["events_since"]


class TimeBetween(_Template):
    """Time between the two newest matching events; `never` is the value where there are fewer."""

    aggregation: Literal["time_between"]
    never: float


Feature = Annotated[Count | DecayedCount | Recency | EventsSince | TimeBetween, Field(discriminator="aggregation")]
