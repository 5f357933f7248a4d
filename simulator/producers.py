"""Simulated events as the messages that two producers would send: marketing events, and conversions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.avro.codec import Codec
from schemas.event_types import INDEXES, IS_CONVERSION
from schemas.events import MISSING, EventBatch, Origin
from schemas.logs.columns import TextColumn, pack
from schemas.messages import MessageBatch
from simulator.event_columns import Day
from simulator.population import Population
from simulator.process import Simulator, State
from simulator.world import World

STREAMS = ("events", "conversions")
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DIGITS = 12


@dataclass(frozen=True)
class Place:
    """The position of a stream of messages: the simulation before a day, and the numbers sent since and in total."""

    day: State
    row: int
    sent: tuple[int, int]


class SimulatedStream:
    """An endless stream of simulated messages of both producers, in the order of event time.

    The bytes do not depend on how many are taken at a time. A message's own time is its event's.

    >>> from schemas.avro.codec import codec
    >>> stream = SimulatedStream(World(), users=100, seed=7, start_ms=0, codec=codec())
    >>> marketing, conversions = stream.take(50)
    >>> len(marketing) + len(conversions)
    50
    """

    def __init__(
        self, world: World, users: int, seed: int, start_ms: int, codec: Codec, place: Place | None = None
    ) -> None:
        self._world, self._codec = world, codec
        self._population = Population.draw(world, users, seed)
        self._spelling = Spelling(world, self._population)
        if place is None:
            self._simulator = Simulator(world, self._population, seed, start_ms)
            place = Place(self._simulator.state(), 0, (0, 0))
        else:
            self._simulator = Simulator.resume(world, self._population, seed, start_ms, place.day)
        self._before, self._row, self._sent = place.day, place.row, place.sent
        self._day = next(self._simulator)

    @property
    def place(self) -> Place:
        """The stream's position; a new stream can continue from it."""
        return Place(self._before, self._row, self._sent)

    def take(self, most: int) -> tuple[MessageBatch, MessageBatch]:
        """The next messages of both producers: `most` together, fewer at the end of a simulated day."""
        before = self._sent
        marketing, conversions = self.take_events(most)
        return self._send(marketing, before[0]), self._send(conversions, before[1])

    def take_events(self, most: int) -> tuple[EventBatch, EventBatch]:
        """The next events of both producers, as `take` sends them; their offsets are their numbers in the world."""
        while self._row == len(self._day):
            self._before, self._row, self._day = self._simulator.state(), 0, next(self._simulator)
        day = self._day[self._row : self._row + most]
        self._row += len(day)
        batch = events_of(day, self._spelling)
        converted = IS_CONVERSION[batch.rows["type"]]
        marketing, conversions = (
            EventBatch((Origin(stream, 0),), batch.rows[chosen], batch.data)
            for stream, chosen in zip(STREAMS, (~converted, converted), strict=True)
        )
        self._sent = (self._sent[0] + len(marketing), self._sent[1] + len(conversions))
        return marketing, conversions

    def _send(self, events: EventBatch, before: int) -> MessageBatch:
        encoded, bounds = self._codec.encode(events)
        offsets = before + np.arange(len(events))
        return MessageBatch(*events.origins[0], offsets, encoded, bounds, events.rows["timestamp"].copy())


class Spelling:
    """The texts behind the codes of a world's events."""

    def __init__(self, world: World, population: Population) -> None:
        self.users = TextColumn.of([f"user-{number:07d}" for number in range(len(population))])
        self.fields = {
            "campaign": TextColumn.of((*world.campaign_names, MISSING)),
            "publisher": TextColumn.of((*world.publishers, MISSING)),
            "creative": TextColumn.of((*world.creatives, MISSING)),
            "placement": TextColumn.of((*world.placements, MISSING)),
            "product": TextColumn.of((*world.products, MISSING)),
        }
        self.people = {
            "segment": TextColumn.of(world.segments).at(population.segment),
            "state": TextColumn.of(world.states).at(population.state),
        }


def events_of(day: Day, spelling: Spelling) -> EventBatch:
    """A simulated day, or a slice of one, as a batch of events. An event's id is its number in hexadecimal."""
    digits = (day.number[:, None] >> np.arange(4 * (_DIGITS - 1), -1, -4)) & 15
    start = np.arange(len(day)) * _DIGITS
    texts = {
        "event_id": TextColumn(_HEX[digits].ravel(), start, start + _DIGITS),
        "user_id": spelling.users.at(day.user),
        **{name: column.at(day.user) for name, column in spelling.people.items()},
        **{name: column.at(getattr(day, name)) for name, column in spelling.fields.items()},
    }
    numbers: dict[str, NDArray[Any]] = {
        "offset": day.number,
        "timestamp": day.timestamp,
        "type": INDEXES[day.type],
        "quantity": day.quantity,
        "revenue": day.revenue,
    }
    return pack("simulator", 0, numbers, texts)
