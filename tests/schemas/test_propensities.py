"""Propensities are encoded as fastavro encodes them, many at once, and read whatever version wrote them."""

import copy
from dataclasses import asdict, fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.advice import ADVICE, NO_ACTION, Advice
from schemas.avro.codec import FOLDER, codec, load_schema
from schemas.avro.propensity_codec import VERSIONS, PropensityCodec
from schemas.dead_letters import REASONS
from schemas.errors import Undecodable
from schemas.event_types import BY_NUMBER, TYPES
from schemas.events import Event
from schemas.messages import MessageBatch
from schemas.scored import COMPUTED_AGAIN, OUTCOME, Propensity, ScoredRows
from tests.schemas.oracle import TIME, Shelf, damaged, events, field, header_of, message_of, registered_message_of

SCHEMA = load_schema("propensity")
ROW = Propensity("u", TIME, -7, "e", "CN", 0.25, 3, TIME * 1_000 + 3, "seed")
longs = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([-(2**63), -65, -64, 0, 63, 64, 2**63 - 1]))


@st.composite
def scored_rows(draw):
    """Outcomes over a batch of events, with an own body or none, in any order."""
    drawn = draw(st.lists(events, min_size=1, max_size=6))
    batch = codec().decode(MessageBatch.of("s", 0, 0, [codec().encode_one(event) for event in drawn])).events
    places = st.integers(0, len(drawn) - 1)
    outcomes = draw(
        st.lists(
            st.tuples(
                *(st.integers(0, 4_102_444_800_000), longs, longs, longs),
                *(places, st.one_of(st.just(COMPUTED_AGAIN), places), st.integers(0, 3), st.booleans()),
            ),
            max_size=8,
        )
    )
    propensities = draw(st.lists(st.floats(0, 1), min_size=len(outcomes), max_size=len(outcomes)))
    ids = draw(st.lists(st.text(max_size=9), min_size=1, max_size=3))
    which = draw(st.lists(st.integers(0, len(ids) - 1), min_size=len(outcomes), max_size=len(outcomes)))
    scores, numbers = np.array(propensities, np.float64), np.array(which, np.uint8)
    actions = draw(st.lists(st.text(max_size=9), max_size=3))
    action = st.one_of(st.just(NO_ACTION), st.sampled_from(range(len(actions)))) if actions else st.just(NO_ACTION)
    said = st.tuples(action, st.floats(0, 1), st.floats(allow_nan=False), st.booleans(), st.booleans())
    advice = Advice(np.array([draw(said) for _ in outcomes], ADVICE), tuple(actions))
    found = np.array(outcomes, OUTCOME), scores, tuple(ids), numbers, np.empty(0, np.int64), advice
    return ScoredRows(batch, *found)


def one_by_one(rows):
    """Each scored row, for a person."""
    names = ("best_action", "gain", "net", "hold_out")
    advice = [dict(zip(names, said, strict=True)) for said in rows.advice.said(range(len(rows)))]
    return [
        Propensity(
            user_id=rows.events.event(outcome["user_row"]).user_id,
            event_id=None if outcome["body_row"] < 0 else rows.events.event(outcome["body_row"]).event_id,
            type=TYPES[outcome["type"]],
            propensity=float(propensity),
            model_id=rows.models[number],
            **{name: int(outcome[name]) for name in ("timestamp", "event_key", "seen", "version")},
            **said,
        )
        for outcome, propensity, number, said in zip(rows.outcomes, rows.propensities, rows.model, advice, strict=True)
    ]


def split(joined):
    data, bounds = joined
    assert bounds[0] == 0
    assert bounds[-1] == len(data)
    return [data[start:stop] for start, stop in pairwise(bounds)]


@given(scored_rows())
def test_rows_are_encoded_to_fastavros_bytes(rows):
    codec_ = PropensityCodec()
    expected = [message_of(SCHEMA, asdict(row)) for row in one_by_one(rows)]
    assert split(codec_.encode(rows)) == expected
    assert [codec_.encode_one(row) for row in one_by_one(rows)] == expected
    assert split(codec_.keys(rows)) == [row.user_id.encode() for row in one_by_one(rows)]


@given(scored_rows(), st.sampled_from([0, 9, 2**32 - 1]))
def test_what_was_encoded_is_decoded_as_the_same_in_either_framing(rows, schema_id):
    bare, framed = PropensityCodec(), PropensityCodec(schema_id, Shelf({schema_id: SCHEMA}))
    messages = split(framed.encode(rows))
    assert messages == [registered_message_of(SCHEMA, schema_id, asdict(row)) for row in one_by_one(rows)]
    both = [*messages, *split(bare.encode(rows))]
    assert framed.decode(MessageBatch.of("s", 0, 0, both)) == (one_by_one(rows) * 2, [])
    assert [framed.decode_one(message) for message in both] == one_by_one(rows) * 2


def test_the_fields_are_the_schemas():
    assert [each.name for each in fields(Propensity)] == [each["name"] for each in SCHEMA["fields"]]
    symbols = field(SCHEMA, "type")["type"]["symbols"]
    assert symbols == [each.code for each in BY_NUMBER]


def test_older_and_newer_writers_are_read():
    """What is new is ignored, what is missing has its default; a row without a default for it is a dead letter."""
    newer, older, oldest = (copy.deepcopy(SCHEMA) for _ in range(3))
    newer["fields"].append({"name": "mood", "type": ["null", "string"], "default": None})
    older["fields"] = [each for each in SCHEMA["fields"] if each["name"] != "event_id"]
    oldest["fields"] = [each for each in SCHEMA["fields"] if each["name"] != "seen"]
    shelf = Shelf({1: newer, 2: older, 3: oldest})
    payloads = [
        registered_message_of(newer, 1, {**asdict(ROW), "mood": "good"}),
        registered_message_of(older, 2, asdict(ROW)),
        registered_message_of(oldest, 3, asdict(ROW)),
    ]
    rows, letters = PropensityCodec(lookup=shelf).decode(MessageBatch.of("s", 0, 0, payloads))
    assert rows == [ROW, Propensity(**{**asdict(ROW), "event_id": None})]
    assert [(letter.offset, letter.reason) for letter in letters] == [(2, "missing")]


def test_messages_of_the_version_before_advice_are_read():
    """By their fingerprint: nothing is recommended, and nobody is held out."""
    advised = replace(ROW, best_action="show", gain=0.01, net=0.3, hold_out=True)
    old = message_of(load_schema("propensity_v1"), asdict(advised))
    assert PropensityCodec().decode_one(old) == ROW
    assert PropensityCodec().decode_one(PropensityCodec().encode_one(advised)) == advised


def test_every_version_of_the_schema_is_one_that_is_read():
    assert {path.stem for path in FOLDER.glob("propensity*.avsc")} == set(VERSIONS)


@given(st.data())
def test_any_bytes_are_rows_or_dead_letters(data):
    codec_ = PropensityCodec(lookup=Shelf({5: SCHEMA}))
    own = [codec_.encode_one(ROW), registered_message_of(SCHEMA, 5, asdict(ROW))]
    payloads = data.draw(st.lists(st.one_of(damaged(own, header=5), st.binary(max_size=30)), max_size=6))
    rows, letters = codec_.decode(MessageBatch.of("s", 3, 40, payloads))
    assert len(rows) + len(letters) == len(payloads)
    for letter in letters:
        assert (letter.source, letter.partition, letter.payload) == ("s", 3, payloads[letter.offset - 40])
        assert letter.reason in REASONS
        with pytest.raises(Undecodable) as error:
            codec_.decode_one(letter.payload)
        assert (error.value.reason, error.value.detail) == (letter.reason, letter.detail)


def test_an_event_is_no_propensity():
    message = codec().encode_one(Event("e", "u", TIME, "CL"))
    with pytest.raises(Undecodable, match="unknown_schema"):
        PropensityCodec().decode_one(message)
    assert PropensityCodec().encode_one(ROW)[:10] == header_of(SCHEMA)
