"""What all features share, and what a kind of feature has to say of itself.

Features are variations of one template: event type (and campaign) x aggregation x time scale, with a weight. Each is a
number of at least 0 for a user at a time t, from the newest L events up to t, but for refunds and for further items of
an order, which no feature counts (`model.sequences.orders`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

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


class Template(BaseModel):
    """A feature in a model file: what every kind declares. A kind adds `aggregation`, and what it needs besides."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weight: Weight
    type: EventType | None = None
    campaign: Annotated[str, Field(min_length=1)] | None = None

    @property
    def window(self) -> timedelta | None:
        """The look-back, for a kind whose events leave a window."""
        return None

    @property
    def decay(self) -> timedelta | None:
        """The half-life, for a kind whose events decay."""
        return None

    @property
    def name(self) -> str:
        """What the feature measures, on one line: `count(CL, 7d)`."""
        scale = self.window or self.decay
        parts = [self.type or "any", self.campaign or "", write_duration(scale) if scale else ""]
        return f"{self.aggregation}({', '.join(part for part in parts if part)})"  # type: ignore[attr-defined]


Operation = Callable[..., Any]
"""A compiled function. What it takes is said in `Kind`."""


@dataclass(frozen=True)
class Kind:
    """A kind of feature: its declaration, its running values, and what it does, as compiled functions.

    An operation that is None does nothing. `feature` is a `FEATURE` of a plan, `at` an `At`, `entries` the sequence,
    and `marks`, `decays` and `growths` the user's `Running` values (`model.features.structures`):

    - `reset(feature, marks)`: set the feature's marks to those of an empty sequence; before it they are 0.
    - `enter(feature, at, entries, marks, decays, growths)`: the matching event at `at.place` comes; all before it are
      in, and the growths are of its time.
    - `leave(feature, at, entries, marks, decays, growths)`: the matching event at `at.place`, the oldest that is in,
      goes at `at.time`: it leaves the feature's window or the newest L. The sequence ends before `at.end`.
    - `halve(feature, decays, halvings)`: so many half-lives pass.
    - `shift(feature, marks, evicted)`: so many entries are dropped at the front of the sequence.
    - `value(feature, at, entries, marks, decays, growths)`: the feature at `at.time`, at which the values stand.

    Credit (`model.attribution.aumann_shapley`) takes a feature as ln(1 + b + alpha d) where it is such a sum. Of the
    entries in a `Span` those fade in for which `fading` (high - low) is true; the others are there all the time.

    - `begin(feature, span, entries, fading)`: the first place from which events add to the sum; `NOBODY` if the
      feature is no sum there.
    - `share(feature, span, entries, fading, place, halves)`: what the event at `place`, not before `begin` and of the
      feature's type unless `counts_others`, adds to it. `halves` (h) has 2^(-age / half-life) of the event, or 0 where
      it was not computed yet.
    - `blend(feature, span, entries, fading, resting)`: of a feature that is no sum, its value and the place of the
      event that sets it, by all events, or by those alone that do not fade in where `resting`.

    And for the next action (`model.actions.next_best`):

    - `gain(before, beside, is_match)`: by how much the feature changes from `before` when one event more comes, which
      matches it or not; `beside` is the value of the feature that `beside_of` names.
    - `beside_of(feature, campaign)`: a feature to compute beside this one for its gain by an event of a campaign; None
      where none is needed.

    Attributes:
        declaration: the pydantic class; its `aggregation` names the kind.
        marks, decays: how many running values a feature has of either sort; a kind has one sort.
        counts_others: whether events that do not match change the feature too.
    """

    declaration: type[Template]
    value: Operation
    enter: Operation
    gain: Operation
    marks: int = 0
    decays: int = 0
    counts_others: bool = False
    reset: Operation | None = None
    leave: Operation | None = None
    halve: Operation | None = None
    shift: Operation | None = None
    begin: Operation | None = None
    share: Operation | None = None
    blend: Operation | None = None
    beside_of: Callable[[Any, str | None], Template | None] = lambda feature, campaign: None

    @property
    def has_window(self) -> bool:
        """Whether events leave a window of the feature."""
        return self.declaration.window is not Template.window

    @property
    def name(self) -> str:
        """The kind's `aggregation` in model files."""
        (name,) = self.declaration.model_fields["aggregation"].annotation.__args__  # type: ignore[union-attr]
        return str(name)
