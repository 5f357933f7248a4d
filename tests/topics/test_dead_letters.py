"""Dead letters in their topic: the newest of each place, until it is cleared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import REASONS, DeadLetter
from tests.services.kafka import Kafka as Server
from topics.client import Kafka
from topics.letter_topic import Rejection, letter_headers, letter_key, read_dead_letters, rejection
from topics.publisher import Publisher

TIME = 1_600_000_000_000
numbers = st.integers(0, 2**63 - 1)
letters = st.builds(
    DeadLetter, st.text(min_size=1), numbers, numbers, st.sampled_from(sorted(REASONS)), st.text(), st.binary()
)


@given(letters, numbers)
def test_a_letter_is_what_its_message_says(letter: DeadLetter, time: int) -> None:
    assert rejection(letter.payload, letter_headers(letter, time)) == Rejection(letter, time)


@given(letters, letters)
def test_a_place_has_a_key_of_its_own(one: DeadLetter, other: DeadLetter) -> None:
    places = [(letter.source, letter.partition, letter.offset) for letter in (one, other)]
    assert (letter_key(one) == letter_key(other)) == (places[0] == places[1])


def test_the_newest_letter_of_a_place_counts_until_it_is_cleared(
    kafka: Server, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What somebody else sent there is told and left out."""
    topic, cluster = f"{topic_prefix}letters", Kafka([kafka.brokers])
    cluster.make(topic, 3, compacted=True)
    publisher = Publisher(cluster, topic)

    def send(letter: DeadLetter, time: int) -> None:
        publisher.send_one(letter_key(letter), letter.payload, letter_headers(letter, time))

    first, second, third = (DeadLetter("events", 2, offset, "unframed", "", b"") for offset in (100, 20, 3))
    for letter in (first, second, third):
        send(letter, TIME)
    publisher.send_one(letter_key(second), None)
    publisher.send_one(b"strange", b"value")
    mended = DeadLetter("events", 2, 3, "unknown_schema", "fingerprint 00", b"\xc3\x01")
    send(mended, TIME + 5)
    publisher.flush()
    assert read_dead_letters(cluster, topic) == [Rejection(mended, TIME + 5), Rejection(first, TIME)]
    assert f"topic {topic}: 1 messages are no dead letters" in caplog.text
    for letter in (first, third):
        publisher.send_one(letter_key(letter), None)
    publisher.flush()
    assert read_dead_letters(cluster, topic) == []
