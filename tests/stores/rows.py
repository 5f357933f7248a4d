"""Rows for a store, made by hand."""

from __future__ import annotations

import numpy as np

from schemas.advice import ADVICE, Advice
from schemas.event_fields import STORED
from schemas.event_types import TYPES
from schemas.events import Event
from schemas.scored import COMPUTED_AGAIN, OUTCOME, ScoredRows
from stores.answers import Latest, Point
from tests.model.driving import batch_of
from tests.reference import event_key

ACTIONS = ("Zoë's click", "impression")
TIME = 1_500_000_000_000


def event(event_id="e", time=0, type_="IM", user="u", **fields) -> Event:
    """An event `time` ms after TIME."""
    return Event(event_id, user, TIME + time, type_, **fields)


def scored(*events, version=1, seen=1, propensity=0.5, again=False, model_id="m", advice=None) -> ScoredRows:
    """Rows that came with these events; `version` and `propensity` are one for all, or one for each.

    `advice` is of each a place among `ACTIONS`, its gain and its net, and whether the user is held out.
    """
    batch = batch_of(events)
    outcomes = np.zeros(len(events), OUTCOME)
    for name in ("timestamp", "event_key", "type"):
        outcomes[name] = batch.rows[name]
    outcomes["version"], outcomes["seen"] = version, seen
    outcomes["user_row"] = outcomes["body_row"] = np.arange(len(events))
    if again:
        outcomes["body_row"] = COMPUTED_AGAIN
    last = {each.user_id: row for row, each in enumerate(events)}
    outcomes["newest"][list(last.values())] = True
    propensities = np.broadcast_to(np.asarray(propensity, np.float64), len(events)).copy()
    which = np.zeros(len(events), np.uint8)
    said = (
        Advice.none(len(events))
        if advice is None
        else Advice(np.array([(*each, False) for each in advice], ADVICE), ACTIONS)
    )
    return ScoredRows(batch, outcomes, propensities, (model_id,), which, np.empty(0, np.int64), said)


def point(of: Event, propensity=0.5, seen=1, model_id="m") -> Point:
    """What a store gives for an event."""
    return Point(
        event_time=of.timestamp,
        event_key=event_key(of.event_id),
        event_id=of.event_id,
        event_type=of.type,
        propensity=propensity,
        seen=seen,
        model_id=model_id,
        **{column.name: getattr(of, column.name) for column in STORED},
    )


def latest(of: Event, propensity=0.5, seen=1, model_id="m", **advice) -> Latest:
    """Where a user stands whose newest event this is."""
    return Latest(of.user_id, of.timestamp, of.type, propensity, seen, model_id, **advice)


def in_order(*events: Event) -> list[Event]:
    """Events in the sequence's order."""
    return sorted(events, key=lambda each: (each.timestamp, TYPES.index(each.type), event_key(each.event_id)))
