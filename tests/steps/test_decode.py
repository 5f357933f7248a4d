"""Batches that came at one time become one, of a bounded size."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.avro.codec import codec
from schemas.events import Event, Origin
from schemas.messages import MessageBatch
from steps import decode
from steps.decode import decoder


def messages(source: str, *ids: str) -> MessageBatch:
    return MessageBatch.of(
        source, 0, 0, [codec().encode_one(Event(each, "u", 1_500_000_000_000, "CL")) for each in ids]
    )


def shape(batches: list[MessageBatch]) -> list[tuple[Origin, ...]]:
    return [decoded.events.origins for decoded in decoder(codec(), timedelta(hours=1))(batches)]


def test_what_came_at_one_time_is_one_batch() -> None:
    batches = [messages("a", "1", "2"), messages("b", "3")]
    (decoded,) = decoder(codec(), timedelta(hours=1))(batches)
    assert [event.event_id for event in decoded.events.events()] == ["1", "2", "3"]
    assert [decoded.events.origin(row).source for row in range(3)] == ["a", "a", "b"]
    assert shape([]) == []


def test_a_batch_is_bounded_in_bytes_and_in_what_it_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [messages(name, "1") for name in "abcde"]
    a, b, c, d, e = (Origin(name, 0) for name in "abcde")
    monkeypatch.setattr(decode, "MOST_BYTES", 2 * len(batches[0].data))
    assert shape(batches) == [(a, b), (c, d), (e,)]
    monkeypatch.setattr(decode, "MOST_BATCHES", 1)
    assert shape(batches) == [(a,), (b,), (c,), (d,), (e,)]
