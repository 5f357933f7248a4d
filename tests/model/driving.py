"""Drives buckets as the stream does, and keeps their rows as a store does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from model.actions.catalogue import Actions
from model.attribution.rules import Attribution
from model.bucket import Bucket, Update
from model.scoring.propensity import Model
from model.sequences.merging import DISPUTED, TOO_LATE
from model.timeline import Models
from schemas.avro.codec import Codec
from schemas.event_types import TYPES
from schemas.events import Event, EventBatch
from schemas.messages import MessageBatch
from schemas.scored import COMPUTED_AGAIN, ScoredRows
from tests import reference

CODEC = Codec()
TIME = 1_500_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


def event(event_id: str = "e", time: int = 0, type_: str = "IM", user: str = "u", **fields) -> Event:
    """An event `time` ms after TIME."""
    return Event(event_id, user, TIME + time, type_, **fields)


def batch_of(events: Iterable[Event]) -> EventBatch:
    """Events as the stream carries them."""
    decoded = CODEC.decode(MessageBatch.of("events", 0, 0, [CODEC.encode_one(each) for each in events]))
    assert not decoded.letters
    return decoded.events


def chunks(events: Sequence[Event], cuts: Iterable[int]) -> list[list[Event]]:
    """Events in pieces, cut at the given places."""
    edges = [0, *sorted({min(cut, len(events)) for cut in cuts}), len(events)]
    return [list(events[start:stop]) for start, stop in pairwise(edges) if start < stop]


def merged(held: Event, other: Event) -> Event:
    """What is shown of two bodies of one identity: the greater type's; of one type, each field's greater value."""
    if held.type != other.type:
        return max(held, other, key=lambda body: TYPES.index(body.type))
    pairs = {name: (value, getattr(other, name)) for name, value in asdict(held).items() if name != "timestamp"}
    return replace(held, **{name: max(pair, key=reference.in_bytes) for name, pair in pairs.items()})


@dataclass(frozen=True)
class Write:
    """A row on its way to the table; without an event it only changes what is computed, a rival only the event."""

    key: tuple[str, int, int]
    version: int
    type: str
    seen: int
    propensity: float
    event: Event | None
    newest: bool


RIVAL = -1
"""The version of a write that computes nothing."""


def writes_of(batch: EventBatch, update: Update, propensities: np.ndarray) -> list[Write]:
    """A batch's rows, one by one."""
    writes = []
    for outcome, propensity in zip(update.outcomes, propensities, strict=True):
        user = batch.event(outcome["user_row"]).user_id
        shown = None if outcome["body_row"] == COMPUTED_AGAIN else batch.event(outcome["body_row"])
        writes.append(
            Write(
                key=(user, int(outcome["timestamp"]), int(outcome["event_key"])),
                version=int(outcome["version"]),
                type=TYPES[outcome["type"]],
                seen=int(outcome["seen"]),
                propensity=float(propensity),
                event=shown,
                newest=bool(outcome["newest"]),
            )
        )
    for row in update.rivals:
        rival = batch.event(row)
        key = rival.user_id, rival.timestamp, int(batch.rows["event_key"][row])
        writes.append(Write(key, RIVAL, rival.type, 0, 0.0, rival, False))
    return writes


@dataclass(frozen=True)
class Cell:
    """A stored row: its version and what is computed, and the event that it shows."""

    version: int
    seen: int
    propensity: float
    event: Event


class Table:
    """What a store holds after some writes, by its rules.

    What is computed goes by version, the greater or equal one wins; the event is merged by a rule of its own, so that
    a conflict ends the same whatever was written before or after it. No row begins without either.
    """

    def __init__(self, writes: Iterable[Write] = ()) -> None:
        self.rows: dict[tuple[str, int, int], Cell] = {}
        self.latest: dict[str, Write] = {}
        for write in writes:
            self.apply(write)

    def apply(self, write: Write) -> None:
        """Take one write."""
        held = self.rows.get(write.key)
        if held is None and write.event is not None and write.version != RIVAL:
            held = Cell(write.version, 0, 0.0, write.event)
        if held is not None:
            if write.event is not None:
                held = replace(held, event=merged(held.event, write.event))
            if write.version >= held.version:
                held = replace(held, version=write.version, seen=write.seen, propensity=write.propensity)
            self.rows[write.key] = held
        user = write.key[0]
        if write.newest and (user not in self.latest or write.version >= self.latest[user].version):
            self.latest[user] = replace(write, event=None)


class Run:
    """A bucket under a model, the rows that it gave and the fates of what it was given."""

    def __init__(self, model: Model, length: int, bucket: Bucket | None = None, actions: Actions | None = None) -> None:
        self.models, self.length = Models(model, actions=actions or Actions.none()), length
        self.attribution = Attribution(self.models)
        self.bucket = Bucket(self.models.plan, length) if bucket is None else bucket
        self.writes: list[Write] = []
        self.scored: list[ScoredRows] = []
        self.fates: list[int] = []
        self.given: list[Event] = []

    def feed(self, *batches: Sequence[Event]) -> Run:
        """Give it batches."""
        for events in batches:
            batch = batch_of(events)
            update = self.bucket.update(batch, self.attribution)
            propensities, which = self.models.score(update.features, update.outcomes["timestamp"])
            advice = self.models.advise(update.features, propensities, which, batch, update.outcomes["user_row"])
            found = update.outcomes, propensities, self.models.ids, which, update.rivals, advice, update.credits
            self.scored.append(ScoredRows(batch, *found))
            self.writes += writes_of(batch, update, propensities)
            self.fates += update.fates.tolist()
            self.given += events
        return self

    @property
    def table(self) -> Table:
        """What a store holds now."""
        return Table(self.writes)

    @property
    def accepted(self) -> list[Event]:
        """The events that were given and are not dead letters."""
        return [each for each, fate in zip(self.given, self.fates, strict=True) if fate not in (TOO_LATE, DISPUTED)]


def near(propensity: float) -> object:
    """What is equal to a propensity within 1e-12."""
    return pytest.approx(propensity, abs=1e-12, rel=0)


def assert_reference(run: Run, document: dict) -> None:
    """A run's table holds just the rows that the plain-Python reference gives for what it accepted."""
    expected = {
        (user, time, reference.event_key(event_id)): row
        for (user, time, event_id), row in reference.final_rows(map(asdict, run.accepted), document, run.length).items()
    }
    rows = run.table.rows
    assert rows.keys() == expected.keys()
    for key, row in expected.items():
        cell = rows[key]
        assert (cell.event.type, cell.event.campaign, cell.seen) == (row.type, row.campaign, row.seen), key
        assert reference.body_of(asdict(cell.event)) == row.body, key
        assert cell.propensity == near(row.propensity), key
    newest = {}
    for key in sorted(expected, key=lambda key: expected[key].seen):
        newest[key[0]] = key
    assert {user: write.key for user, write in run.table.latest.items()} == newest
    for user, write in run.table.latest.items():
        cell = rows[write.key]
        assert (write.type, write.seen, write.propensity) == (cell.event.type, cell.seen, cell.propensity), user
