"""One user's stored events as a curve: exact at every moment, not only at the events."""

from __future__ import annotations

from collections.abc import Sequence as Listing
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from model.actions.catalogue import Actions
from model.actions.next_best import NextAction, Option
from model.attribution.explanation import Explainer, Explanation
from model.attribution.rules import ATTRIBUTION_WINDOW
from model.durations import to_milliseconds
from model.features.automated import is_automated
from model.features.curve import Curve, Sequence
from model.scoring.propensity import Model
from model.timeline import Models
from schemas.event_types import RANK, TYPE_OF
from schemas.stored_models import StoredModel
from stores.answers import Point

GRID = 480
"""Evenly spaced moments at which a curve is drawn, besides those at which it bends."""

_NO_ACTIONS = Actions.none()
Times = NDArray[np.int64]
Propensities = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    """A user's newest events, oldest first, and from when on their curve can be computed exactly.

    `exact` is the first of the points at which all events that count are known, `len(points)` where there is
    none.
    """

    points: tuple[Point, ...]
    sequence: Sequence
    exact: int

    @classmethod
    def of(cls, points: Listing[Point], length: int) -> Trace:
        """The trace of a user's newest stored points, in sequence order; the newest `length` events count.

        What was before the first point is not known unless it is the user's first event: the curve starts
        where `length` events are.
        """
        before = points[0].seen - 1 if points else 0
        exact = min(length - 1, len(points)) if before else 0
        sequence = Sequence(
            np.array([point.event_time for point in points], np.int64),
            np.array([RANK[point.event_type] for point in points], np.int64),
            tuple(point.campaign for point in points),
            before,
            np.array([is_taken_back(point) for point in points], np.bool_),
        )
        return cls(tuple(points), sequence, exact)

    def until(self, time: int) -> Trace:
        """The trace of the events up to a time (ms)."""
        count = int(np.searchsorted(self.sequence.timestamps, time, "right"))
        if count == len(self.points):
            return self
        own = self.sequence
        sequence = Sequence(
            own.timestamps[:count], own.types[:count], own.campaigns[:count], own.before, own.is_refund[:count]
        )
        return Trace(self.points[:count], sequence, min(self.exact, count))

    @property
    def has_begun(self) -> bool:
        """Whether the user had an event, stored or not."""
        return bool(self.points) or self.sequence.before > 0

    @property
    def exact_from(self) -> int | None:
        """The first event time from which on the curve is exact, None where there is no such event."""
        return self.points[self.exact].event_time if self.exact < len(self.points) else None


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of a curve: ascending times (n) in ms, and the propensities (n) at them."""

    times: Times
    propensities: Propensities


def is_taken_back(point: Point) -> bool:
    """Whether an event is a refund."""
    return TYPE_OF[point.event_type].is_conversion and point.revenue < 0


@dataclass(frozen=True, slots=True)
class Credit:
    """The touches before an order (n), oldest first, by their places, and the share (n) of each in its credit.

    `revenue` is what its events and the refunds of it that are stored come to.
    """

    touches: NDArray[np.intp]
    shares: Propensities
    revenue: float

    @property
    def baseline(self) -> float:
        """What is nobody's."""
        return 1 - float(self.shares.sum())


class _Computing:
    """Curves and what is behind them under models that follow one another: each moment is of the one valid then.

    `credits` keeps what was computed.
    """

    def __init__(self, models: Models, length: int, actions: Actions, attribution_window: int, most: int) -> None:
        self.models, self.credits = models, WeakKeyDictionary[Trace, dict[int, Credit]]()
        self._curves = [Curve(model, length) for model in models.models]
        self._explainers = [Explainer(model, length, attribution_window) for model in models.models]
        self._advisors = [NextAction(model, actions, length, most) for model in models.models]
        self.windows = {
            (to_milliseconds(feature.window), feature.type)
            for model in models.models
            for feature in model.features
            if feature.window is not None
        }

    def propensity(self, sequence: Sequence, times: Times) -> Propensities:
        """Propensities (m) at the ascending `times` (m) in ms."""
        which, found = self.models.which(times), np.empty(len(times))
        for number in np.unique(which).tolist():
            found[which == number] = self._curves[number].propensity(sequence, times[which == number])
        return found

    def explainer(self, time: int) -> Explainer:
        """What explains at a time (ms)."""
        return self._explainers[self._number(time)]

    def advisor(self, time: int) -> NextAction:
        """What advises at a time (ms)."""
        return self._advisors[self._number(time)]

    def _number(self, time: int) -> int:
        return int(self.models.which(np.array([time]))[0])


class Tracer:
    """Computes curves as the stream does, and what is behind them, with a user's newest `length` events counting.

    Args:
        model: the model, until `follow` tells those of the store.
        length: L.
        actions: what can be done with a user.
        attribution_window: how long before a conversion a touch may be, in ms.
        most: events within 24 hours above which a user is set apart; 0 sets nobody apart.
    """

    def __init__(
        self,
        model: Model,
        length: int,
        actions: Actions = _NO_ACTIONS,
        attribution_window: int = ATTRIBUTION_WINDOW,
        most: int = 0,
    ) -> None:
        self.length, self._model, self._stored = length, model, list[StoredModel]()
        self._actions, self._look_back, self.most = actions, attribution_window, most
        self._computing = self._compute(Models(model))
        nothing = Sequence(np.zeros(0, np.int64), np.zeros(0, np.int64), ())
        self._computing.propensity(nothing, np.zeros(1, np.int64))  # compiled before the first visitor comes
        self._computing.explainer(0).explain(nothing, 0)
        self._computing.advisor(0).options(nothing, 0)

    def follow(self, stored: list[StoredModel]) -> None:
        """Compute by the models of the store from now on.

        Raises:
            ModelFileError: one of them is no model.
        """
        if stored != self._stored:
            self._computing = self._compute(Models.of_store(stored, self._model))
            self._stored = stored

    def offer(self, actions: Actions) -> None:
        """Advise of these actions from now on."""
        if actions != self._actions:
            self._actions = actions
            self._computing = self._compute(Models.of_store(self._stored, self._model))

    def _compute(self, models: Models) -> _Computing:
        return _Computing(models, self.length, self._actions, self._look_back, self.most)

    @property
    def models(self) -> Models:
        """The models, as far as they are known."""
        return self._computing.models

    def model_at(self, now: int | None) -> Model:
        """The model that is valid at a time (ms), the first one where there is no time."""
        return self.models.first if now is None else self.models.at(now)

    def trace(self, points: Listing[Point]) -> Trace:
        """The trace of a user's newest stored points."""
        return Trace.of(points, self.length)

    def is_set_apart(self, trace: Trace) -> bool:
        """Whether the user is automated: more than `most` of the events known of them lie within 24 hours."""
        return is_automated(trace.sequence.timestamps, self.most)

    def at(self, trace: Trace, time: int) -> float | None:
        """The propensity at a time (ms), None where it cannot be known exactly."""
        first = trace.exact_from
        if first is None or (trace.sequence.before and time < first):
            return None
        return float(self._computing.propensity(trace.sequence, np.array([time]))[0])

    def line(self, trace: Trace, start: int, end: int) -> Line:
        """The curve from `start` to `end` (ms, both included), from a millisecond before the first event on.

        Besides an even grid it has the moments right before and at every event, right before and after an
        event leaves a look-back window, and right before and at the change of the model: jumps are upright, whatever
        the width.
        """
        first = trace.exact_from
        if first is None:
            return Line(np.empty(0, np.int64), np.empty(0))
        start = max(start, first if trace.sequence.before else first - 1)
        if start > end:
            return Line(np.empty(0, np.int64), np.empty(0))
        grid = np.linspace(start, end, GRID).astype(np.int64)
        computing = self._computing
        departures = self._departures(trace, computing)
        jumps = np.unique(np.concatenate([trace.sequence.timestamps, computing.models.starts, *departures]))
        jumps = jumps[np.searchsorted(jumps, start) : np.searchsorted(jumps, end, "right")]
        times = np.unique(np.concatenate([grid, jumps, np.maximum(jumps - 1, start)]))
        return Line(times, computing.propensity(trace.sequence, times))

    @staticmethod
    def _departures(trace: Trace, computing: _Computing) -> list[Times]:
        """When events leave the windows of features: the first millisecond in which they no longer count."""
        stamps, types = trace.sequence.timestamps, trace.sequence.types
        return [
            (stamps if kind is None else stamps[types == RANK[kind]]) + window + 1 for window, kind in computing.windows
        ]

    def explain(self, trace: Trace, time: int) -> Explanation | None:
        """What the propensity at a time (ms) is made of, None where it cannot be known exactly."""
        if self.at(trace, time) is None:
            return None
        return self._computing.explainer(time).explain(trace.sequence, time)

    def options(self, trace: Trace, time: int) -> list[Option]:
        """What can be done with the user at a time (ms), not before the last event, at which `at` is known."""
        return self._computing.advisor(time).options(trace.sequence, time)

    def credits(self, trace: Trace) -> dict[int, Credit]:
        """For each order whose events are all known, by its first conversion: who is credited. Computed once."""
        computing = self._computing
        found = computing.credits.get(trace)
        if found is None:
            found = computing.credits[trace] = self._credit(trace, computing)
        return found

    @staticmethod
    def _credit(trace: Trace, computing: _Computing) -> dict[int, Credit]:
        found = {}
        orders = trace.sequence.orders(np.array([point.event_key for point in trace.points], np.int64))
        revenues = np.array([point.revenue for point in trace.points], np.float64)
        for place in np.flatnonzero(orders == np.arange(len(orders))).tolist():
            if place > trace.exact or not trace.sequence.before:
                explainer = computing.explainer(int(trace.sequence.timestamps[place]))
                credit = explainer.credit(trace.sequence, place)
                touches = np.flatnonzero(~np.isnan(credit))
                found[place] = Credit(touches, credit[touches], float(revenues[orders == place].sum()))
        return found

    def changes(self, trace: Trace) -> Propensities:
        """By how much each event changed the propensity (n) of the millisecond before; NaN where unknown.

        Events of one instant count one after another, each against the one before it.
        """
        after = np.array([point.propensity for point in trace.points], np.float64)
        if not len(after):
            return after
        stamps = trace.sequence.timestamps
        before = self._computing.propensity(trace.sequence, stamps - 1)
        same = np.flatnonzero(np.diff(stamps) == 0) + 1
        before[same] = after[same - 1]
        if trace.sequence.before:
            before[: trace.exact + 1] = np.nan
        changes: Propensities = after - before
        return changes
