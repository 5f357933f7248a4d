"""What goes wrong on the way: exactly as much as was asked for, and the same at every run."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from schemas.avro.codec import Codec, codec
from schemas.events import USER_ID, Event
from schemas.messages import MessageBatch
from simulator import World
from simulator.mishaps import DELAY_MS, Kind, Mishaps, Mixer, draw
from simulator.producers import SimulatedStream

START = 1_497_484_800_000
TOTAL = 6_000
ALL = Mishaps(repeats=0.2, late=0.2, broken=0.05)
Sent = list[tuple[bytes, bytes, int]]


def sent(
    mishaps: Mishaps, size: int = TOTAL, seed: int = 7, encoder: Codec | None = None
) -> tuple[Sent, Counter[Kind]]:
    """The marketing messages of `TOTAL` events that are taken `size` at a time, and their kinds."""
    stream = SimulatedStream(World(), 500, 7, START, codec())
    mixer, messages, kinds, left = Mixer(encoder or codec(), seed, mishaps), [], Counter[Kind](), TOTAL
    mixed = []
    while left:
        batches = stream.take_events(min(size, left))
        left -= sum(map(len, batches))
        mixed.append(mixer.take(batches[0], max(int(each.rows["timestamp"].max(initial=0)) for each in batches)))
    for each in (*mixed, mixer.rest()):
        messages += zip(each.keys, each.values, each.times, strict=True)
        kinds.update(each.kinds)
    return messages, kinds


def events_of(messages: Sent, decoder: Codec | None = None) -> tuple[list[Event], list[str]]:
    """The valid events in their order, and the reasons of the others."""
    decoded = (decoder or codec()).decode(MessageBatch.of("events", 0, 0, [value for _, value, _ in messages]))
    return list(decoded.events.events()), [letter.reason for letter in decoded.letters]


@pytest.mark.parametrize("size", [1, 13, 997])
def test_messages_do_not_depend_on_the_batch_size(size: int) -> None:
    assert sent(ALL, size) == sent(ALL)


def test_another_seed_has_other_mishaps() -> None:
    assert sent(ALL, seed=8) != sent(ALL)


def test_without_mishaps_every_event_is_sent_once_in_order() -> None:
    messages, kinds = sent(Mishaps())
    events, reasons = events_of(messages)
    assert not reasons
    assert kinds == {Kind.EVENT: len(messages), Kind.REPEAT: 0, Kind.BROKEN: 0}
    assert [event.timestamp for event in events] == sorted(time for _, _, time in messages)
    assert [event.user_id.encode() for event in events] == [key for key, _, _ in messages]


def test_mishaps_add_messages_and_take_none_away() -> None:
    """The counts are exact: every broken message is a dead letter, and no other is."""
    plain, _ = sent(Mishaps())
    messages, kinds = sent(ALL)
    events, reasons = events_of(messages)
    assert kinds[Kind.EVENT] == len(plain)
    assert kinds[Kind.BROKEN] == len(reasons)
    assert kinds[Kind.REPEAT] == len(events) - len(plain)
    assert kinds.total() == len(messages)
    for kind, share in ((Kind.REPEAT, ALL.repeats), (Kind.BROKEN, ALL.broken)):
        assert kinds[kind] == pytest.approx(share * len(plain), rel=0.2)
    assert {message[1] for message in plain} <= {message[1] for message in messages}


def test_broken_messages_are_of_several_kinds() -> None:
    _, reasons = events_of(sent(Mishaps(broken=1.0))[0])
    assert {"unframed", "unknown_schema", "undecodable", "time_range", "id_length"} <= set(reasons)


def test_a_repeat_has_the_same_bytes_and_follows_its_event() -> None:
    messages, kinds = sent(Mishaps(repeats=0.3))
    seen: dict[bytes, int] = {}
    gaps = [place - seen.setdefault(value, place) for place, (_, value, _) in enumerate(messages)]
    assert sum(gap > 0 for gap in gaps) == kinds[Kind.REPEAT]
    assert max(gaps) > 20


def test_a_late_event_overtakes_nobody_and_is_late_by_hours_at_the_most() -> None:
    """Of the others each comes when its turn is."""
    messages, _ = sent(Mishaps(late=0.2))
    times = np.array([time for _, _, time in messages])
    behind = np.maximum.accumulate(times) - times
    assert 0.1 < np.mean(behind > 0) < 0.25
    assert DELAY_MS / 2 < behind.max() <= DELAY_MS
    assert sorted(messages) == sorted(sent(Mishaps())[0])


def test_no_user_has_so_many_events_that_a_late_one_is_too_late() -> None:
    """A late event and its repeat wait 12 hours together; a sequence keeps a user's newest 1,000 events."""
    stream, most = SimulatedStream(World(), 2_000, 7, START, codec()), 0
    for _ in range(20):  # days
        users = Counter(user for batch in stream.take_events(10**6) for user in batch.texts(USER_ID))
        most = max(most, *users.values())
    assert 10 < most < 500


def test_uniform_draws_are_uniform() -> None:
    """Of one purpose, and of neighbouring purposes, seeds and numbers together."""
    numbers = np.arange(100_000)
    one, purpose, seed = draw(7, 0, numbers), draw(7, 1, numbers), draw(8, 0, numbers)
    for values in (one, purpose, seed):
        assert np.histogram(values, 10, (0, 1))[0] == pytest.approx(10_000, rel=0.05)
    for a, b in ((one, purpose), (one, seed), (one[1:], one[:-1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.02
