"""Older and newer writers: their messages are read by Avro's resolution rules, mixed freely in one batch."""

import copy
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro.codec import Codec, load_schema
from schemas.avro.framing import fingerprint
from schemas.events import TEXTS
from tests.schemas.oracle import (
    TIME,
    assert_as_judged,
    codec_of,
    damaged,
    event_schema,
    field,
    header_of,
    message_of,
)

EXTRAS = {
    "string": ("string", ["", "é🙂"]),
    "int": ("int", [-5, 2**31 - 1]),
    "long": ("long", [2**62, -1]),
    "float": ("float", [1.5]),
    "double": ("double", [2.5]),
    "boolean": ("boolean", [True, False]),
    "bytes": ("bytes", [b"", b"\xff\0"]),
    "null": ("null", [None]),
    "enum": ({"type": "enum", "name": "Mood", "symbols": ["GOOD", "BAD"]}, ["BAD"]),
    "fixed": ({"type": "fixed", "name": "Four", "size": 4}, [b"1234"]),
    "union": (["null", "string", "long"], [None, "x", 7]),
    "array": ({"type": "array", "items": "string"}, [[], ["a", "b"]]),
    "map": ({"type": "map", "values": "long"}, [{}, {"k": 3}]),
    "record": ({"type": "record", "name": "Sub", "fields": [{"name": "a", "type": "string"}]}, [{"a": "x"}]),
}


def with_extra(kind, place):
    schema = event_schema()
    schema["fields"].insert(place, {"name": "extra", "type": EXTRAS[kind][0]})
    return schema


def without(*names):
    schema = event_schema()
    schema["fields"] = [each for each in schema["fields"] if each["name"] not in names]
    return schema


def changed(name, /, **changes):
    """A version with another field; it lacks the placement too, since fingerprints see no logical types."""
    schema = without("placement")
    field(schema, name).update(changes)
    return schema


def reordered(seed):
    schema = event_schema()
    random.Random(seed).shuffle(schema["fields"])
    return schema


def symbols(*names, enum="EventType"):
    return changed("type", type={"type": "enum", "name": enum, "symbols": list(names)})


def renamed_record():
    schema = event_schema()
    schema["name"] = "OldEvent"
    return schema


MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
WRITERS = {
    **{f"an extra {kind} first": with_extra(kind, 0) for kind in EXTRAS},
    **{f"an extra {kind} in the middle": with_extra(kind, 5) for kind in EXTRAS},
    **{f"an extra {kind} last": with_extra(kind, 13) for kind in EXTRAS},
    **{f"no {name}": without(name) for name in (*TEXTS[2:], "quantity", "revenue")},
    "only what has no default": without(*TEXTS[2:], "quantity", "revenue"),
    "no user": without("user_id"),
    "no timestamp": without("timestamp"),
    **{f"another order ({seed})": reordered(seed) for seed in range(3)},
    "symbols in another order": symbols("CN", "IM", "PS", "CL"),
    "fewer symbols": symbols("CL", "CN"),
    "more symbols": symbols("XX", "IM", "CL", "PS", "CN", "YY"),
    "an enum of another name": symbols("IM", "CL", "PS", "CN", enum="Kind"),
    "a record of another name": renamed_record(),
    "a timestamp of 32 bits": changed("timestamp", type="int"),
    "a plain timestamp": changed("timestamp", type="long"),
    "a timestamp in microseconds": changed("timestamp", type={**MILLIS, "logicalType": "timestamp-micros"}),
    "a quantity of 64 bits": changed("quantity", type="long"),
    "an integer revenue": changed("revenue", type="int", default=0),
    "a long revenue": changed("revenue", type="long", default=0),
    "a float revenue": changed("revenue", type="float"),
    "a text quantity": changed("quantity", type="string", default="0"),
    "a campaign in bytes": changed("campaign", type="bytes"),
    "a campaign or null": changed("campaign", type=["null", "string"], default=None),
    "a type as text": changed("type", type="string"),
    "a state as symbol": changed("state", type={"type": "enum", "name": "State", "symbols": ["CA", "NA"]}),
    "a publisher under its alias": changed("publisher", name="channel"),
    "a string as a dict": changed("creative", type={"type": "string"}),
}
READER = event_schema()
field(READER, "publisher")["aliases"] = ["channel", "site"]
VALUES = {
    **{name: ["NA", "", "'<é>"] for name in TEXTS},
    "event_id": ["e", "event-7", "\0é🙂"],
    "user_id": ["u", "x" * 1_024],
    "timestamp": [TIME, 1, 4_102_444_800_000],
    "type": ["IM", "CL", "PS", "CN", "XX"],
    "state": ["CA", "NA"],
    "quantity": [0, -3, 2**31 - 1, 2**40],
    "revenue": [0.0, 19.5, 7],
}


def samples(schema, count=12, seed=1):
    """Messages of a writer; what the writer's own types cannot hold is left out."""
    rng, out = random.Random(seed), []
    while len(out) < count:
        datum = {}
        for each in schema["fields"]:
            name = "publisher" if each["name"] in ("channel", "site") else each["name"]
            kind = each["type"].get("type") if isinstance(each["type"], dict) else each["type"]
            value = rng.choice(EXTRAS[_kind(each)][1] if name == "extra" else VALUES[name])
            if kind == "int":
                value = int(value) % 2**31
            elif kind == "long" and name == "revenue":
                value = int(value)
            elif kind == "bytes" and isinstance(value, str):
                value = value.encode()
            elif kind == "string":
                value = str(value)
            datum[each["name"]] = value
        try:
            out.append(message_of(schema, datum))
        except (ValueError, TypeError, OverflowError):
            continue
    return out


def _kind(each):
    return next(kind for kind, (type_, _) in EXTRAS.items() if type_ == each["type"])


@pytest.mark.parametrize("name", WRITERS)
def test_a_writers_messages_are_read_as_fastavro_resolves_them(name):
    writer = copy.deepcopy(WRITERS[name])
    codec = codec_of(READER, writer)
    own = samples(READER, 4)
    mixed = own[:2] + samples(writer) + own[2:]
    assert_as_judged(codec, mixed, (READER, writer))


@cache
def codec_for(name):
    return codec_of(READER, WRITERS[name])


DAMAGED = [name for name in WRITERS if "in the middle" not in name and "first" not in name]


@settings(max_examples=150)
@given(st.data(), st.sampled_from(DAMAGED))
def test_a_writers_damaged_messages_are_read_as_fastavro_resolves_them(data, name):
    writer = WRITERS[name]
    payloads = data.draw(st.lists(damaged(samples(writer, 3)), min_size=1, max_size=6))
    assert_as_judged(codec_for(name), payloads, (READER, writer))


GOOD = [
    "only what has no default",
    "a publisher under its alias",
    "a plain timestamp",
    "a string as a dict",
    "symbols in another order",
    *(name for name in WRITERS if name.startswith(("an extra", "another order"))),
]


@pytest.mark.parametrize("name", GOOD)
def test_what_the_rules_resolve_is_not_lost(name):
    """Every message of such a writer is an event."""
    writer = WRITERS[name]
    payloads = samples(writer, 6, seed=3)
    decoded = assert_as_judged(codec_of(READER, writer), payloads, (READER, writer))
    assert all(letter.reason == "wrong_type" for letter in decoded.letters)
    assert len(decoded.events) >= 3


def test_any_number_of_versions_mix_in_one_batch():
    writers = [
        READER,
        without("placement", "product"),
        with_extra("string", 2),
        reordered(1),
        symbols("CN", "CL"),
    ]
    payloads = [message for writer in writers for message in samples(writer, 6)]
    random.Random(4).shuffle(payloads)
    assert_as_judged(codec_of(*writers), [*payloads, b"x"], tuple(writers))


def test_a_version_that_is_not_known_is_a_dead_letter():
    writer = without("placement")
    decoded = assert_as_judged(codec_of(READER), samples(writer, 2), (READER,))
    assert {letter.reason for letter in decoded.letters} == {"unknown_schema"}


def test_a_fingerprint_does_not_depend_on_documentation():
    plain = event_schema()
    plain.pop("doc")
    for each in plain["fields"]:
        each.pop("doc", None)
    assert fingerprint(plain) == fingerprint(event_schema())
    assert int(fingerprint(plain)).to_bytes(8, "little") == header_of(plain)[2:]


def test_the_schemas_of_the_folder_load():
    assert load_schema("propensity")["name"] == "Propensity"
    Codec(["event"])
