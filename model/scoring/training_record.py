"""What a trained model's file tells about its training."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from model.durations import Duration

Counted = Annotated[int, Field(ge=0)]
HISTORY = 30 * 24 * 3_600_000
"""In ms: how far back a log or a store must reach before a moment, so that scores then rest on enough of the past."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Part(_Record):
    """Rows of a part of the split: `rows` moments of users, of which `positive` had an order within the horizon."""

    rows: Counted
    positive: Counted


class TrainedOn(_Record):
    """The log, how its rows were split, and which features and regularisation were chosen.

    `world` is what made the log where that was no stream of people: `simulated`.
    """

    log: str
    world: Annotated[str | None, Field(exclude_if=lambda world: world is None)] = None
    events: Counted
    orders: Counted
    users: Counted
    first: AwareDatetime
    known: AwareDatetime
    """T1: labels of training rows were known by then; calibration and test come after it."""
    last: AwareDatetime
    look_back: Duration
    parts: dict[str, Part]
    feature_set: str
    regularisation: float
    """C of scikit-learn's LogisticRegression."""


class Estimate(_Record):
    """A measure, and its 95% interval from a bootstrap over users; None where there are too few of them for one.

    The interval of an AUC of too few users is 0 to 1.
    """

    value: float
    low: float | None = None
    high: float | None = None


class Grades(_Record):
    """How a model did on rows that it never saw.

    `observed_over_expected` is positive rows over the sum of propensities, each taken as 1e-15 at least, `information`
    the part of the base rate's log loss that is gone: 1 - log_loss / base_log_loss.
    """

    rows: Counted
    positive: Counted
    auc: Estimate
    log_loss: Estimate
    base_log_loss: float
    information: Estimate
    observed_over_expected: Estimate
    brier: Estimate


class Metrics(_Record):
    """The grades on the test part: at events and at clock times."""

    at_events: Grades
    at_clock_times: Grades


def at_milliseconds(time: int) -> datetime:
    """A time in ms since 1970 (UTC)."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time)


def from_milliseconds(time: int) -> str:
    """A time in ms since 1970 as ISO 8601 (UTC).

    >>> from_milliseconds(1_497_484_800_000)
    '2017-06-15T00:00:00+00:00'
    """
    return at_milliseconds(time).isoformat()
