"""One user's stored events as a curve: exact at every moment, not only at the events."""

from __future__ import annotations

from collections.abc import Sequence as Listing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.curve import Curve, Sequence
from model.durations import to_milliseconds
from model.explanation import Explainer
from model.features import Count
from model.propensity import Model
from schemas.events import TYPES
from stores.base import Point

GRID = 480
"""Evenly spaced moments at which a curve is drawn, besides those at which it bends."""

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
            np.array([TYPES.index(point.event_type) for point in points], np.int64),
            tuple(point.campaign for point in points),
            before,
        )
        return cls(tuple(points), sequence, exact)

    def until(self, time: int) -> Trace:
        """The trace of the events up to a time (ms)."""
        count = int(np.searchsorted(self.sequence.timestamps, time, "right"))
        if count == len(self.points):
            return self
        stamps, types = self.sequence.timestamps[:count], self.sequence.types[:count]
        sequence = Sequence(stamps, types, self.sequence.campaigns[:count], self.sequence.before)
        return Trace(self.points[:count], sequence, min(self.exact, count))

    @property
    def exact_from(self) -> int | None:
        """The first event time from which on the curve is exact, None where there is no such event."""
        return self.points[self.exact].event_time if self.exact < len(self.points) else None


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of a curve: ascending times (n) in ms, and the propensities (n) at them."""

    times: Times
    propensities: Propensities


@dataclass(frozen=True, slots=True)
class Credit:
    """The touches before a conversion (n), oldest first, by their places, and the share (n) of each in its credit."""

    touches: NDArray[np.intp]
    shares: Propensities


class Tracer:
    """Computes curves under one model, with the newest `length` events of a user counting."""

    def __init__(self, model: Model, length: int) -> None:
        self.model, self.length = model, length
        self._curve, self._explainer = Curve(model, length), Explainer(model, length)
        nothing = Sequence(np.zeros(0, np.int64), np.zeros(0, np.int64), ())
        self._curve.propensity(nothing, np.zeros(1, np.int64))  # compiled before the first visitor comes
        self._look_backs = [
            (to_milliseconds(feature.look_back), feature.type)
            for feature in model.features
            if isinstance(feature, Count)
        ]

    def trace(self, points: Listing[Point]) -> Trace:
        """The trace of a user's newest stored points."""
        return Trace.of(points, self.length)

    def at(self, trace: Trace, time: int) -> float | None:
        """The propensity at a time (ms), None where it cannot be known exactly."""
        first = trace.exact_from
        if first is None or (trace.sequence.before and time < first):
            return None
        return float(self._curve.propensity(trace.sequence, np.array([time]))[0])

    def line(self, trace: Trace, start: int, end: int) -> Line:
        """The curve from `start` to `end` (ms, both included), from a millisecond before the first event on.

        Besides an even grid it has the moments right before and at every event, and right before and after an
        event leaves a look-back window: jumps are upright, whatever the width.
        """
        first = trace.exact_from
        if first is None:
            return Line(np.empty(0, np.int64), np.empty(0))
        start = max(start, first if trace.sequence.before else first - 1)
        if start > end:
            return Line(np.empty(0, np.int64), np.empty(0))
        grid = np.linspace(start, end, GRID).astype(np.int64)
        jumps = np.unique(np.concatenate([trace.sequence.timestamps, *self._departures(trace)]))
        jumps = jumps[np.searchsorted(jumps, start) : np.searchsorted(jumps, end, "right")]
        times = np.unique(np.concatenate([grid, jumps, np.maximum(jumps - 1, start)]))
        return Line(times, self._curve.propensity(trace.sequence, times))

    def _departures(self, trace: Trace) -> list[Times]:
        """When events leave the look-back windows: the first millisecond in which they no longer count."""
        stamps, types = trace.sequence.timestamps, trace.sequence.types
        return [
            (stamps if kind is None else stamps[types == TYPES.index(kind)]) + look_back + 1
            for look_back, kind in self._look_backs
        ]

    def credits(self, trace: Trace) -> dict[int, Credit]:
        """For each conversion whose events are all known, by its place: who is credited with it."""
        found = {}
        for place in np.flatnonzero(trace.sequence.types == TYPES.index("CN")).tolist():
            if place >= trace.exact or not trace.sequence.before:
                credit = self._explainer.credit(trace.sequence, place)
                touches = np.flatnonzero(~np.isnan(credit))
                found[place] = Credit(touches, credit[touches])
        return found

    def changes(self, trace: Trace) -> Propensities:
        """By how much each event changed the propensity (n) of the millisecond before; NaN where unknown.

        Events of one instant count one after another, each against the one before it.
        """
        after = np.array([point.propensity for point in trace.points], np.float64)
        if not len(after):
            return after
        stamps = trace.sequence.timestamps
        before = self._curve.propensity(trace.sequence, stamps - 1)
        same = np.flatnonzero(np.diff(stamps) == 0) + 1
        before[same] = after[same - 1]
        if trace.sequence.before:
            before[: trace.exact + 1] = np.nan
        changes: Propensities = after - before
        return changes
