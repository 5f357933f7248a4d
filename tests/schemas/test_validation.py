"""Every rule of a valid event, at its edge."""

from datetime import timedelta

import numba as nb
import numpy as np
import pytest
import xxhash
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.avro.codec import Codec
from schemas.compiled.hashing import xxh3
from schemas.dead_letters import REASONS
from schemas.events import Event
from schemas.messages import MessageBatch
from schemas.validation import FIRST_TIME, LAST_TIME, LONGEST_ID, VERDICTS, is_utf8
from tests.schemas.oracle import TIME, events

CODEC = Codec()
HOUR = 3_600_000


def outcome(event, time=None, max_skew=timedelta(hours=1)):
    """The event, or the reason why it is a dead letter."""
    batch = MessageBatch.of("s", 0, 0, [CODEC.encode_one(event)])
    if time is not None:
        batch = MessageBatch(batch.source, 0, batch.offsets, batch.data, batch.bounds, np.array([time], np.int64))
    decoded = CODEC.decode(batch, max_skew)
    if decoded.letters:
        assert not len(decoded.events)
        return decoded.letters[0].reason
    return decoded.events.event(0)


def event(event_id="e", user_id="u", timestamp=TIME, **fields):
    return Event(event_id, user_id, timestamp, "IM", **fields)


@pytest.mark.parametrize("name", ["event_id", "user_id"])
@pytest.mark.parametrize("text", ["x", "\0", " ", "x" * 1_024, "é" * 512, "🙂" * 256, "\n'\"<script>%_\\"])
def test_an_id_of_1_to_1024_bytes_is_kept_as_it_is(name, text):
    assert outcome(event(**{name: text})) == event(**{name: text})


@pytest.mark.parametrize("name", ["event_id", "user_id"])
@pytest.mark.parametrize("text", ["", "x" * 1_025, "é" * 512 + "x", "é" * 513, "🙂" * 256 + "x"])
def test_an_id_of_none_or_more_bytes_is_refused(name, text):
    """Bytes of UTF-8, not characters."""
    assert outcome(event(**{name: text})) == "id_length"


@pytest.mark.parametrize("time", [0, 1, 4_102_444_800_000 - 1, 4_102_444_800_000])
def test_a_timestamp_between_1970_and_2100_is_kept(time):
    assert outcome(event(timestamp=time)) == event(timestamp=time)


@pytest.mark.parametrize("time", [-1, 4_102_444_800_001, 253_402_300_799_999, -62_135_596_800_000])
def test_a_timestamp_outside_is_refused(time):
    assert outcome(event(timestamp=time)) == "time_range"


@pytest.mark.parametrize(
    ("over", "skew", "accepted"),
    [
        (0, timedelta(hours=1), True),
        (HOUR, timedelta(hours=1), True),
        (HOUR + 1, timedelta(hours=1), False),
        (0, timedelta(0), True),
        (1, timedelta(0), False),
        (-(10**9), timedelta(0), True),
        (1, timedelta(milliseconds=1), True),
        (2, timedelta(milliseconds=1), False),
    ],
)
def test_an_event_may_be_later_than_its_message_by_the_skew_and_no_more(over, skew, accepted):
    late = event(timestamp=TIME + over)
    assert outcome(late, TIME, skew) == (late if accepted else "time_ahead")


@pytest.mark.parametrize("time", [None, -1])
def test_a_message_without_a_time_puts_no_ceiling(time):
    assert outcome(event(timestamp=LAST_TIME), time) == event(timestamp=LAST_TIME)


def test_the_ceiling_is_each_messages_own():
    payloads = [CODEC.encode_one(event(f"e{number}")) for number in range(3)]
    batch = MessageBatch.of("s", 0, 0, payloads)
    times = np.array([TIME - HOUR - 1, TIME - HOUR, -1])
    decoded = CODEC.decode(MessageBatch("s", 0, batch.offsets, batch.data, batch.bounds, times))
    assert [letter.offset for letter in decoded.letters] == [0]
    assert [each.event_id for each in decoded.events.events()] == ["e1", "e2"]


@pytest.mark.parametrize("revenue", [0.0, -0.0, -1.5, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324])
def test_a_finite_revenue_is_kept_to_the_last_bit(revenue):
    found = outcome(event(revenue=revenue)).revenue
    assert np.float64(found).tobytes() == np.float64(revenue).tobytes()


@pytest.mark.parametrize("revenue", [float("nan"), float("inf"), float("-inf")])
def test_a_revenue_that_is_no_number_is_refused(revenue):
    assert outcome(event(revenue=revenue)) == "revenue"


@pytest.mark.parametrize("quantity", [0, -1, 2**31 - 1, -(2**31)])
def test_a_quantity_of_32_bits_is_kept(quantity):
    assert outcome(event(quantity=quantity)).quantity == quantity


@given(events)
def test_any_characters_survive(drawn):
    """NUL, quotes, markup, emoji and whatever else UTF-8 holds."""
    assert outcome(drawn) == drawn


@pytest.mark.parametrize("raw", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3"])
@pytest.mark.parametrize("field", ["event_id", "user_id", "state", "product"])
def test_text_that_is_not_utf8_is_refused(raw, field):
    good = event(**{field: "~" * len(raw)})
    payload = CODEC.encode_one(good)
    (letter,) = CODEC.decode(MessageBatch.of("s", 0, 0, [payload.replace(b"~" * len(raw), raw)])).letters
    assert letter.reason == "not_utf8"


def python_accepts(raw):
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


LEADS = st.sampled_from([0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF])
TAILS = st.sampled_from([0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0])


RAW = st.one_of(st.binary(max_size=12), st.lists(st.one_of(LEADS, TAILS), max_size=8).map(bytes))


@given(st.one_of(RAW, st.text().map(str.encode)))
@example(b"\xf4\x8f\xbf\xbf")
@example(b"\xe0\x9f\xbf")
def test_utf8_is_what_python_decodes(raw):
    padded = np.frombuffer(b"\x80" + raw + b"\x80\x80\x80", np.uint8)
    assert bool(is_utf8(padded, 1, 1 + len(raw))) == python_accepts(raw)


def test_every_lead_with_every_second_byte_is_judged_as_python_does():
    for lead in range(0x80, 0x100):
        for second in range(0x100):
            for rest in (b"", b"\x80", b"\x80\x80"):
                raw = bytes([lead, second]) + rest
                assert bool(is_utf8(np.frombuffer(raw, np.uint8), 0, len(raw))) == python_accepts(raw), raw


@nb.njit
def hashed(data, start, stop):
    return xxh3(data, start, stop)


@given(st.binary(max_size=600))
def test_the_hash_is_xxh3_of_any_length(raw):
    padded = np.frombuffer(b"<" + raw + b">", np.uint8)
    assert int(hashed(padded, 1, 1 + len(raw))) % 2**64 == xxhash.xxh3_64_intdigest(raw)


@given(st.lists(events, min_size=1, max_size=4))
def test_keys_and_user_hashes_are_xxh3_of_the_ids(drawn):
    """An event's key is signed, a user's hash is not."""
    payloads = [CODEC.encode_one(each) for each in drawn]
    rows = CODEC.decode(MessageBatch.of("s", 0, 0, payloads)).events.rows
    keys = [xxhash.xxh3_64_intdigest(each.event_id.encode()) for each in drawn]
    assert rows["event_key"].tolist() == [key - 2**64 * (key >= 2**63) for key in keys]
    assert rows["user_hash"].tolist() == [xxhash.xxh3_64_intdigest(each.user_id.encode()) for each in drawn]


def test_every_verdict_is_a_reason():
    assert set(VERDICTS[1:]) <= set(REASONS)
    assert (FIRST_TIME, LAST_TIME, LONGEST_ID) == (0, 4_102_444_800_000, 1_024)
