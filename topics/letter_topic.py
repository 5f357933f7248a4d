"""Dead letters as messages of a compacted topic: a letter is kept until its key is sent without a value."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from schemas.dead_letters import DeadLetter
from topics.client import Kafka
from topics.whole_topic import Headers, Note, read_topic

LONGEST_VALUE, LONGEST_HEADER = 900_000, 10_000
"""Bytes that brokers take by default, together with the rest of a message (a million)."""

log = logging.getLogger("adstreams.kafka")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A dead letter, and when it was rejected (ms since 1970), where that is known."""

    letter: DeadLetter
    time: int | None


def letter_key(letter: DeadLetter) -> bytes:
    """The key of a letter's message: where what it holds came from.

    >>> letter_key(DeadLetter("events", 3, 17, "unframed", "", b""))
    b'events/3/17'
    """
    return f"{letter.source}/{letter.partition}/{letter.offset}".encode(errors="backslashreplace")


def letter_headers(letter: DeadLetter, time: int) -> Headers:
    """The headers of a letter's message, whose value is the letter's payload; `time` is when it was rejected."""
    fields = {
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "partition": letter.partition,
        "offset": letter.offset,
        "time": time,
    }
    if len(letter.payload) > LONGEST_VALUE:
        fields["cut"] = len(letter.payload)
    return {name: str(value).encode(errors="backslashreplace")[:LONGEST_HEADER] for name, value in fields.items()}


def letter_value(letter: DeadLetter) -> bytes:
    """The value of a letter's message: what was rejected, up to `LONGEST_VALUE` bytes; the store keeps the whole."""
    return letter.payload[:LONGEST_VALUE]


def rejection(value: bytes, headers: Headers) -> Rejection:
    """The dead letter of a message.

    Raises:
        ValueError: its headers are not those of a dead letter.

    >>> letter = DeadLetter("events", 3, 17, "unframed", "the message starts with 7b22", b"{}")
    >>> rejection(letter.payload, letter_headers(letter, 1_500_000_000_000)) == Rejection(letter, 1_500_000_000_000)
    True
    """

    def text(name: str) -> str:
        held = headers.get(name)
        if not isinstance(held, bytes):
            raise ValueError(f"no header {name!r}")  # noqa: TRY004 what a message holds is no error of type
        return held.decode()

    place = text("source"), int(text("partition")), int(text("offset"))
    return Rejection(DeadLetter(*place, text("reason"), text("detail"), value), int(text("time")))


def read_dead_letters(kafka: Kafka, topic: str, note: Note | None = None) -> list[Rejection]:
    """The letters that a topic keeps: the newest of each key, without those that were cleared, in order of place.

    Messages that somebody else sent there are left out, with a line in the log.

    Raises:
        TopicError: as `read_topic`.
    """
    found: dict[bytes, Rejection] = {}
    strange = 0
    for messages in read_topic(kafka, topic, note):
        for message in messages:
            key = message.key or b""
            found.pop(key, None)
            if message.value is not None:
                try:
                    found[key] = rejection(message.value, message.headers)
                except ValueError:
                    strange += 1
    if strange:
        log.warning("topic %s: %s messages are no dead letters", topic, f"{strange:,}")
    return sorted(found.values(), key=lambda each: each.letter.place)
