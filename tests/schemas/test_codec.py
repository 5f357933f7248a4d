"""The codec decodes a batch exactly as fastavro does message by message, and encodes as fastavro does."""

import io
import pickle
from dataclasses import asdict, replace
from itertools import pairwise

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro.codec import Codec, load_schema
from schemas.dead_letters import REASONS
from schemas.errors import Undecodable
from schemas.event_types import BY_NUMBER
from schemas.events import TEXTS, Event, EventBatch
from schemas.messages import MessageBatch
from tests.schemas.oracle import (
    TIME,
    assert_as_judged,
    codec_of,
    damaged,
    event_schema,
    events,
    header_of,
    message_of,
)

CODEC = Codec()
SCHEMA = load_schema("event")
EVENT = Event("e", "u", TIME, "CL", campaign="Spring", quantity=2, revenue=9.5)
MESSAGE = CODEC.encode_one(EVENT)
batches = st.lists(events, max_size=8)


def encoded(drawn):
    return [CODEC.encode_one(each) for each in drawn]


def decoded(drawn):
    """Events as a batch."""
    return CODEC.decode(MessageBatch.of("s", 1, 7, encoded(drawn))).events


@given(batches)
def test_what_was_encoded_is_decoded_as_the_same(drawn):
    batch = assert_as_judged(CODEC, encoded(drawn), (SCHEMA,))
    assert not batch.letters
    assert list(batch.events.events()) == drawn
    assert [CODEC.decode_one(message) for message in encoded(drawn)] == drawn


@given(batches)
def test_a_batch_is_encoded_to_fastavros_bytes(drawn):
    data, bounds = CODEC.encode(decoded(drawn))
    assert data == b"".join(encoded(drawn))
    assert [data[start:stop] for start, stop in pairwise(bounds)] == encoded(drawn)
    assert encoded(drawn) == [message_of(SCHEMA, asdict(each)) for each in drawn]


@settings(max_examples=400)
@given(st.data(), st.lists(events, min_size=1, max_size=4))
def test_a_damaged_batch_is_decoded_as_fastavro_decodes_each_message(data, drawn):
    """Changed, cut, longer, spliced and invented bytes: the same acceptance and the same fields."""
    payloads = data.draw(st.lists(damaged(encoded(drawn)), min_size=1, max_size=8))
    assert_as_judged(CODEC, payloads, (SCHEMA,))


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_are_events_or_dead_letters(payloads):
    assert_as_judged(CODEC, payloads, (SCHEMA,))


@settings(max_examples=400)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_behind_the_right_header_are_events_or_dead_letters(payloads):
    assert_as_judged(CODEC, [header_of(SCHEMA) + payload for payload in payloads], (SCHEMA,))


def number(value):
    """A zig-zag varint."""
    value, out = (value << 1) ^ (value >> 63), b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


ONE, TWO, NOW = number(1), number(2), number(TIME)


def handmade(timestamp=NOW, kind=ONE, quantity=TWO, length=ONE, revenue=b"\0" * 8):
    """A message whose numbers are given as bytes."""
    texts = b"".join(number(2) + b"NA" for _ in range(7))
    return header_of(SCHEMA) + number(1) + b"e" + length + b"u" + timestamp + kind + texts + quantity + revenue


@pytest.mark.parametrize(
    "payload",
    [
        handmade(),
        handmade(kind=number(4)),
        handmade(kind=number(-1)),
        handmade(kind=number(-4)),
        handmade(kind=number(-5)),
        handmade(kind=number(2**40)),
        handmade(length=number(-1)),
        handmade(length=number(-(2**62))),
        handmade(length=number(2**62)),
        handmade(length=number(10**4)),
        handmade(length=b"\x82\x00"),
        handmade(length=b"\x82\x80\x80\x80\x80\x80\x80\x80\x00"),
        handmade(length=b"\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        handmade(length=b"\x82" + b"\x80" * 30 + b"\x00"),
        handmade(quantity=number(2**31 - 1)),
        handmade(quantity=number(2**31)),
        handmade(quantity=number(-(2**31))),
        handmade(quantity=number(-(2**31) - 1)),
        handmade(quantity=b"\xff" * 9 + b"\x01"),
        handmade(quantity=b"\xff" * 9 + b"\x7f"),
        handmade(quantity=b"\xff" * 12),
        handmade(timestamp=number(-(2**63))),
        handmade(timestamp=number(2**63 - 1)),
        handmade(timestamp=number(253_402_300_800_000)),
        handmade(timestamp=number(-62_135_596_800_001)),
        handmade(revenue=b"\0" * 7),
        handmade(revenue=np.float64(np.nan).tobytes()),
        handmade(revenue=np.float64(-np.inf).tobytes()),
        handmade(revenue=b"\0" * 7 + b"\x80"),
        handmade() + b"more",
    ],
)
def test_odd_numbers_are_read_as_fastavro_reads_them(payload):
    """Numbers longer than they need be, negative lengths and symbols, and what no field can hold."""
    assert_as_judged(CODEC, [MESSAGE, payload, MESSAGE], (SCHEMA,))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "unframed"),
        (b"\xc3", "unframed"),
        (b"{}", "unframed"),
        (MESSAGE[:9], "unframed"),
        (b"\xc3\x02" + MESSAGE[2:], "unframed"),
        (MESSAGE[10:], "unframed"),
        (MESSAGE[:2] + b"\0" * 8 + MESSAGE[10:], "unknown_schema"),
        (MESSAGE[:10], "undecodable"),
        (MESSAGE[:-1], "undecodable"),
        (handmade(kind=number(4)), "undecodable"),
        (handmade(quantity=number(2**31)), "wrong_type"),
        (handmade(revenue=np.float64(np.nan).tobytes()), "revenue"),
        (CODEC.encode_one(Event("", "u", TIME, "IM")), "id_length"),
        (CODEC.encode_one(Event("e", "u", -1, "IM")), "time_range"),
    ],
)
def test_a_rejected_message_gives_its_reason(payload, reason):
    assert reason in REASONS
    (letter,) = CODEC.decode(MessageBatch.of("events", 2, 41, [payload])).letters
    assert (letter.source, letter.partition, letter.offset, letter.payload) == ("events", 2, 41, payload)
    assert letter.reason == reason
    assert "\n" not in letter.detail


@pytest.mark.parametrize("payload", [b"", b"{}", MESSAGE[:2] + b"\0" * 8, MESSAGE[:-1]])
def test_decode_one_raises_what_a_batch_makes_a_dead_letter_of(payload):
    (letter,) = CODEC.decode(MessageBatch.of("s", 0, 0, [payload])).letters
    with pytest.raises(Undecodable) as error:
        CODEC.decode_one(payload)
    assert (error.value.reason, error.value.detail) == (letter.reason, letter.detail)


def test_an_empty_batch_is_an_empty_batch():
    decoded_ = CODEC.decode(MessageBatch.of("s", 0, 0, []))
    assert (len(decoded_.events), decoded_.letters) == (0, [])
    assert CODEC.encode(decoded_.events)[0] == b""


@given(st.lists(st.binary(max_size=5), max_size=6), st.integers(0, 7), st.integers(0, 7), st.booleans())
def test_some_of_the_messages_are_a_batch_of_their_own(payloads, start, size, timed):
    batch = MessageBatch.of("s", 4, 50, payloads)
    times = 1_000 + np.arange(len(payloads))
    cut = slice(start, start + size)
    part = replace(batch, times=times if timed else None)[cut]
    assert [part.payload(message) for message in range(len(part))] == payloads[cut]
    assert part.offsets.tolist() == batch.offsets[cut].tolist()
    assert part.times is None if not timed else part.times.tolist() == times[cut].tolist()
    assert (part.source, part.partition, part.data) == ("s", 4, b"".join(payloads[cut]))


messages = st.lists(st.one_of(st.binary(max_size=5), events.map(CODEC.encode_one)), max_size=5)


@given(st.lists(st.tuples(messages, st.booleans()), min_size=1, max_size=4))
def test_joined_batches_are_read_as_each_by_itself(drawn):
    """With the times of their messages, some of which make an event one from the future, and where each came from."""
    parts = [
        replace(
            MessageBatch.of(f"s{place}", place, 100 * place, payloads),
            times=np.full(len(payloads), TIME) if timed else None,
        )
        for place, (payloads, timed) in enumerate(drawn)
    ]
    alone = [CODEC.decode(part) for part in parts]
    together = CODEC.decode(MessageBatch.join(parts))
    assert together.letters == [letter for each in alone for letter in each.letters]
    rows = [(each.events, row) for each in alone for row in range(len(each.events))]
    assert len(rows) == len(together.events)
    for row, (events_, own) in enumerate(rows):
        assert together.events.origin(row) == events_.origin(own)
        assert together.events.event(row) == events_.event(own)
        assert together.events.payload(row) == events_.payload(own)
        assert together.events.rows["offset"][row] == events_.rows["offset"][own]


def test_letters_come_in_the_order_of_their_offsets():
    payloads = [b"x", MESSAGE, MESSAGE[:-1], CODEC.encode_one(Event("e", "u", -1, "IM")), MESSAGE, b"y"]
    found = CODEC.decode(MessageBatch.of("s", 0, 10, payloads))
    assert [letter.offset for letter in found.letters] == [10, 12, 13, 15]
    assert found.events.rows["offset"].tolist() == [11, 14]


def test_a_writer_that_is_not_python_is_read():
    """The header and the datum are those of the Avro specification, byte by byte."""
    datum = io.BytesIO()
    fastavro.schemaless_writer(datum, fastavro.parse_schema(event_schema()), asdict(EVENT))
    assert header_of(SCHEMA) + datum.getvalue() == MESSAGE
    assert handmade() == CODEC.encode_one(Event("e", "u", TIME, "CL", quantity=2))


def equal(one: EventBatch, other: EventBatch):
    assert one.origins == other.origins
    assert list(one.events()) == list(other.events())
    assert [one.payload(row) for row in range(len(one))] == [other.payload(row) for row in range(len(other))]
    for name in ("offset", "event_key", "user_hash", "body"):
        assert one.rows[name].tolist() == other.rows[name].tolist()


@given(batches)
def test_a_pickled_batch_is_the_same_batch(drawn):
    batch = decoded(drawn)
    equal(pickle.loads(pickle.dumps(batch)), batch)


@given(st.data(), st.lists(events, min_size=1, max_size=6))
def test_taking_rows_keeps_their_events_and_payloads(data, drawn):
    """Any rows in any order, one more than once too, and only the bytes that they need."""
    batch = decoded(drawn)
    order = np.array(data.draw(st.lists(st.integers(0, len(drawn) - 1), max_size=10)), np.int64)
    taken = batch.take(order)
    assert list(taken.events()) == [drawn[row] for row in order]
    assert [taken.payload(row) for row in range(len(taken))] == [batch.payload(row) for row in order]
    assert taken.rows["offset"].tolist() == batch.rows["offset"][order].tolist()
    assert len(taken.data) == sum(len(batch.payload(row)) for row in order)
    again = taken.take(np.arange(len(taken)))
    equal(again, taken)


def test_taking_rows_keeps_texts_that_are_not_in_the_payload():
    """A default lies behind the messages: it goes along."""
    older = event_schema()
    older["fields"] = [each for each in older["fields"] if each["name"] not in ("state", "product")]
    codec = codec_of(event_schema(), older)
    values = {name: value for name, value in asdict(EVENT).items() if name not in ("state", "product")}
    payloads = [message_of(older, values), MESSAGE, message_of(older, values)]
    batch = codec.decode(MessageBatch.of("s", 0, 0, payloads)).events
    taken = pickle.loads(pickle.dumps(batch.take(np.array([2, 1]))))
    assert list(taken.events()) == [EVENT, EVENT]
    assert [taken.payload(row) for row in range(2)] == [payloads[2], MESSAGE]
    assert list(taken.take(np.array([1, 0, 0])).events()) == [EVENT] * 3
    assert codec.encode(taken)[0] == MESSAGE * 2


@given(st.lists(events, min_size=1, max_size=6))
def test_texts_are_read_row_by_row_or_all_at_once(drawn):
    batch = decoded(drawn)
    for field, name in enumerate(TEXTS):
        expected = [getattr(each, name) for each in drawn]
        assert batch.texts(field) == expected
        assert [batch.text(row, field) for row in range(len(drawn))] == expected
        assert batch.texts(field, np.array([0, 0])) == expected[:1] * 2


def test_the_symbols_of_the_schema_are_the_table_of_types():
    symbols = next(each for each in SCHEMA["fields"] if each["name"] == "type")["type"]["symbols"]
    assert symbols == [each.code for each in BY_NUMBER]
