"""Messages that are broken in every way that we could think of: each becomes an event or one dead letter."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable

import pytest

from schemas.avro.codec import Codec
from schemas.event_types import TYPES
from schemas.events import Event
from schemas.messages import MessageBatch
from tests.faults.conftest import Amount

BATCH = 10_000
MEMORY = 256 << 20
"""Bytes by which the most memory that this process ever held may grow: a length prefix may claim far more."""

HUGE = (b"\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80" * 20)
"""Length prefixes: 2^31 - 1, -2^31, 2^63 - 1, and one that never ends."""

Mutation = Callable[[random.Random, bytes], bytes]


def truncated(chance: random.Random, message: bytes) -> bytes:
    return message[: chance.randrange(len(message))]


def flipped(chance: random.Random, message: bytes) -> bytes:
    changed = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def with_huge_length(chance: random.Random, message: bytes) -> bytes:
    place = chance.randrange(len(message))
    return message[:place] + chance.choice(HUGE) + message[place + 1 :]


def of_unknown_schema(chance: random.Random, message: bytes) -> bytes:
    frames = b"\xc3\x01" + chance.randbytes(8), b"\x00" + chance.randbytes(4)
    return chance.choice(frames) + message[10:]


def nested(chance: random.Random, message: bytes) -> bytes:
    """A part again and again: what a nested or repeated type would look like."""
    start, stop = sorted(chance.sample(range(len(message) + 1), 2))
    return message[:start] + message[start:stop] * chance.randint(2, 40) + message[stop:]


def spliced(chance: random.Random, message: bytes) -> bytes:
    place = chance.randrange(len(message) + 1)
    return message[:place] + chance.randbytes(chance.randint(1, 30)) + message[place:]


MUTATIONS: tuple[Mutation, ...] = (truncated, flipped, with_huge_length, of_unknown_schema, nested, spliced)


def messages(chance: random.Random) -> list[bytes]:
    """Valid ones, of texts from none to long."""
    return [
        Codec().encode_one(
            Event(
                f"e{number}", f"user-{number % 97}", 1_500_000_000_000 + number, chance.choice(TYPES),
                campaign="Frühling" * chance.randrange(9), product="p" * chance.randrange(200), quantity=number,
            )
        )
        for number in range(500)
    ]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_mutated_messages(mutation: Mutation, amount: Amount, chance: random.Random) -> None:
    """Guarantee: no message stops the flow or vanishes: each is one event or one dead letter, in bounded memory."""
    codec, valid, letters, done = Codec(), messages(chance), 0, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while done < amount.mutations // len(MUTATIONS):
        mutated = [mutation(chance, chance.choice(valid)) for _ in range(BATCH)]
        decoded = codec.decode(MessageBatch.of("topic", 0, done, mutated))
        offsets = [*decoded.events.rows["offset"].tolist(), *(letter.offset for letter in decoded.letters)]
        assert sorted(offsets) == list(range(done, done + BATCH))
        for letter in decoded.letters:
            assert letter.payload == mutated[letter.offset - done]
        letters, done = letters + len(decoded.letters), done + BATCH
    assert letters > done / 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1_024 < MEMORY
