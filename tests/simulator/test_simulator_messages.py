"""Simulated messages: the bytes that two producers would send."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.avro.codec import codec
from schemas.event_types import TYPES
from schemas.events import Event
from simulator import World
from simulator.producers import SimulatedStream

START = 1_497_484_800_000
TOTAL = 6_000


def stream(**changes: int) -> SimulatedStream:
    return SimulatedStream(World(), codec=codec(), **({"users": 500, "seed": 7, "start_ms": START} | changes))


def sent(simulated: SimulatedStream, size: int, resume: bool = False) -> list[list[bytes]]:
    """The messages of both producers, `TOTAL` in all, taken `size` at a time; resumed after each take on request."""
    payloads: list[list[bytes]] = [[], []]
    while (left := TOTAL - sum(map(len, payloads))) > 0:
        for producer, batch in zip(payloads, simulated.take(min(size, left)), strict=True):
            assert batch.offsets.tolist() == list(range(len(producer), len(producer) + len(batch)))
            producer += [batch.payload(message) for message in range(len(batch))]
        if resume:
            simulated = SimulatedStream(World(), 500, 7, START, codec(), simulated.place)
    return payloads


@pytest.fixture(scope="module")
def whole() -> list[list[bytes]]:
    return sent(stream(), TOTAL)


@pytest.mark.parametrize(("size", "resume"), [(1, False), (13, False), (997, True), (4_000, True)])
def test_bytes_do_not_depend_on_the_batch_size_or_an_interruption(
    size: int, resume: bool, whole: list[list[bytes]]
) -> None:
    assert sent(stream(), size, resume) == whole


@pytest.mark.parametrize("changes", [{"seed": 8}, {"users": 501}, {"start_ms": START + 86_400_000}])
def test_another_world_sends_other_bytes(changes: dict[str, int], whole: list[list[bytes]]) -> None:
    assert sent(stream(**changes), TOTAL) != whole


def test_conversions_have_a_producer_of_their_own(whole: list[list[bytes]]) -> None:
    """As in the original system; both send in the order of event time, each event once."""
    marketing, conversions = ([codec().decode_one(payload) for payload in payloads] for payloads in whole)
    assert {event.type for event in marketing} == set(TYPES) - {"CN"}
    assert {event.type for event in conversions} == {"CN"}
    for events in (marketing, conversions):
        times = [event.timestamp for event in events]
        assert times == sorted(times)
    everything = marketing + conversions
    assert len({event.event_id for event in everything}) == TOTAL
    assert sum(event.revenue for event in conversions) > 0
    assert all(event.product == "NA" and event.revenue == 0 for event in marketing)


def test_a_message_carries_its_events_time() -> None:
    """As Kafka's timestamp, and all that a user's segment and state say stays the same."""
    people: dict[str, set[tuple[str, str]]] = {}
    for batch in stream().take(3_000):
        decoded = codec().decode(batch)
        assert not decoded.letters
        assert batch.times is not None
        assert np.array_equal(batch.times, decoded.events.rows["timestamp"])
        for event in decoded.events.events():
            assert isinstance(event, Event)
            people.setdefault(event.user_id, set()).add((event.segment, event.state))
    assert all(len(kinds) == 1 for kinds in people.values())
