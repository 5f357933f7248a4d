"""What other people's producers write, as whole messages: the events, or one letter that says plainly why not."""

from __future__ import annotations

import copy
import io
import json
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro.codec import Codec, load_schema
from schemas.avro.references import definitions, self_contained
from schemas.messages import MessageBatch
from tests.schemas.oracle import Shelf, assert_as_judged

TIME = 1_720_000_000_000
READER = load_schema("event")
VERSIONS = READER, load_schema("event_v1")
ENUM = {"type": "enum", "name": "EventType", "symbols": ["IM", "CL", "PS", "CN"]}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
UUID_TEXT = {"type": "string", "logicalType": "uuid"}
UUID_FIXED = {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}
A_UUID = "8D8AC610-566D-4EF0-9C22-186B2A5ED793"
ROW = {"event_id": "e", "user_id": "u", "timestamp": TIME, "type": "CN", "campaign": "spring", "revenue": 10.0}


def schema(**changed: Any) -> dict[str, Any]:
    """A producer's schema: less than the event's own, some of it of another type; None leaves a field out."""
    kinds = {"event_id": "string", "user_id": "string", "timestamp": MILLIS, "type": ENUM, "campaign": "string"}
    kinds = kinds | {"revenue": "double"} | changed
    fields = [{"name": name, "type": kind} for name, kind in kinds.items() if kind is not None]
    return {"type": "record", "name": "Event", "namespace": "adstreams", "fields": fields}


def bare(writer: Any, row: Any) -> bytes:
    """A datum; logical types are left to whoever calls."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(without_logical(copy.deepcopy(writer))), row)
    return out.getvalue()


def without_logical(kind: Any) -> Any:
    if isinstance(kind, dict):
        return {key: without_logical(value) for key, value in kind.items() if key != "logicalType"}
    return [without_logical(each) for each in kind] if isinstance(kind, list) else kind


def decoded(writer: dict[str, Any], *rows: dict[str, Any], unit: str = "auto") -> Any:
    """What becomes of rows that a registered schema wrote; both programs and the judge agree."""
    shelf = Shelf({7: writer})
    payloads = [b"\0\0\0\0\7" + bare(writer, ROW | row) for row in rows]
    return assert_as_judged(Codec(lookup=shelf, time_unit=unit), payloads, VERSIONS, shelf, unit)


def plain(monkeypatch: pytest.MonkeyPatch, writer: dict[str, Any], *rows: dict[str, Any]) -> Any:
    """The same without the compiled program."""
    monkeypatch.setattr("schemas.avro.codec.compile_program", lambda resolution: None)
    return decoded(writer, *rows)


def one(found: Any) -> Any:
    """The one event of what was decoded."""
    (event,) = found.events.events()
    assert not found.letters
    return event


def letter(found: Any) -> tuple[str, str]:
    """Reason and detail of the one letter."""
    (each,) = found.letters
    assert not len(found.events)
    return each.reason, each.detail


READ = {
    "a uuid": (schema(event_id=UUID_TEXT), {"event_id": A_UUID}, "event_id", A_UUID),
    "no uuid": (schema(user_id=UUID_TEXT), {"user_id": "not one"}, "user_id", "not one"),
    "a uuid or null": (schema(user_id=["null", UUID_TEXT]), {"user_id": A_UUID}, "user_id", A_UUID),
    "a uuid of 16 bytes": (schema(user_id=UUID_FIXED), {"user_id": UUID(A_UUID).bytes}, "user_id", A_UUID.lower()),
    "null first": (schema(campaign=["null", "string"]), {"campaign": None}, "campaign", "NA"),
    "null last": (schema(campaign=["string", "null"]), {"campaign": None}, "campaign", "NA"),
    "not null": (schema(campaign=["string", "null"]), {"campaign": "é"}, "campaign", "é"),
    "always null": (schema(campaign="null"), {"campaign": None}, "campaign", "NA"),
    "no revenue": (schema(revenue=["null", "double"]), {"revenue": None}, "revenue", 0.0),
    "a float or null": (schema(revenue=["null", "float"]), {"revenue": 1.5}, "revenue", 1.5),
    "a whole revenue": (schema(revenue=["long", "null"]), {"revenue": 12}, "revenue", 12.0),
    "a quantity of 64 bits": (schema(quantity=["null", "long"]), {"quantity": 3}, "quantity", 3),
    "no quantity": (schema(quantity=["null", "int"]), {"quantity": None}, "quantity", 0),
    "a type or null": (schema(type=["null", ENUM]), {"type": "PS"}, "type", "PS"),
    "three branches": (schema(campaign=["null", "long", "string"]), {"campaign": "x"}, "campaign", "x"),
    "text in bytes": (schema(campaign="bytes"), {"campaign": "ü".encode()}, "campaign", "ü"),
    "a decimal": (
        schema(revenue={"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
        {"revenue": b"\x03\xe9"},
        "revenue",
        10.01,
    ),
    "a negative decimal or null": (
        schema(revenue=["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 1}]),
        {"revenue": b"\xff\xfb"},
        "revenue",
        -0.5,
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_value_is_read_as_it_was_meant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the compiled program and by the plain one."""
    writer, row, field, expected = READ[name]
    for found in (decoded(writer, row), plain(monkeypatch, writer, row)):
        value = getattr(one(found), field)
        assert (type(value), value) == (type(expected), expected)


REFUSED = {
    "no user": (schema(user_id=["null", "string"]), {"user_id": None}, "missing", "user_id is null"),
    "no time": (schema(timestamp=["null", MILLIS]), {"timestamp": None}, "missing", "timestamp is null"),
    "no type": (schema(type=["null", ENUM]), {"type": None}, "missing", "type is null"),
    "no event id": (schema(event_id=["string", "null"]), {"event_id": None}, "missing", "event_id is null"),
    "no field for the user": (schema(user_id=None), {}, "missing", "the writer's schema has no user_id"),
    "ids that are numbers": (
        schema(user_id="long"), {"user_id": 42}, "wrong_type", "user_id is long in the writer's schema, not string",
    ),
    "an id of two types": (
        schema(user_id=["long", "string"]), {"user_id": 42}, "wrong_type", "user_id is of type long, not string",
    ),
    "a new symbol": (
        schema(type={**ENUM, "symbols": ["EM", *ENUM["symbols"]]}), {"type": "EM"}, "wrong_type",
        "type is 'EM', not enum adstreams.EventType",
    ),
    "many things": (
        schema(quantity=["null", "long"]), {"quantity": 3_000_000_000}, "wrong_type",
        "quantity is 3000000000, not int",
    ),
    "a date": (
        schema(timestamp={"type": "int", "logicalType": "date"}), {"timestamp": 20_000}, "wrong_type",
        "timestamp is int (date) in the writer's schema, not long (timestamp-millis)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_one_letter_that_says_why(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, row, reason, detail = REFUSED[name]
    assert letter(decoded(writer, row)) == (reason, detail)
    assert letter(plain(monkeypatch, writer, row)) == (reason, detail)


def test_the_messages_beside_a_new_symbol_go_on() -> None:
    writer = schema(type={**ENUM, "symbols": ["EM", *ENUM["symbols"]]})
    found = decoded(writer, {"type": "CL"}, {"type": "EM"}, {"type": "CN"})
    assert [event.type for event in found.events.events()] == ["CL", "CN"]
    assert [each.offset for each in found.letters] == [101]


DECLARED = {
    "timestamp-millis": [(TIME, TIME), (0, 0)],
    "timestamp-micros": [(TIME * 1_000 + 999, TIME), (1_999, 1)],
    "timestamp-nanos": [(TIME * 1_000_000 + 999_999, TIME)],
    "local-timestamp-millis": [(TIME, TIME)],
    "local-timestamp-micros": [(TIME * 1_000 + 1, TIME)],
    "local-timestamp-nanos": [(TIME * 1_000_000 + 1, TIME)],
}


@pytest.mark.parametrize("name", DECLARED)
@pytest.mark.parametrize("unit", ["auto", "s"])
def test_a_declared_time_counts_what_is_declared(name: str, unit: str) -> None:
    """Whatever the setting says; what is finer than a ms is cut off."""
    writer = schema(timestamp={"type": "long", "logicalType": name})
    for number, expected in DECLARED[name]:
        assert one(decoded(writer, {"timestamp": number}, unit=unit)).timestamp == expected


@pytest.mark.parametrize("number", [-1, -999, -1_000, -1_001])
def test_a_time_before_1970_is_cut_off_towards_the_past(number: int) -> None:
    """So it stays before 1970, and is refused."""
    writer = schema(timestamp={"type": "long", "logicalType": "timestamp-micros"})
    assert letter(decoded(writer, {"timestamp": number})) == ("time_range", f"timestamp is {number // 1_000}")


@pytest.mark.parametrize("kind", ["long", ["null", "long"], {"type": "long", "logicalType": "unheard-of"}])
@pytest.mark.parametrize("factor", [1, 1_000, 10**6, 10**9])
def test_an_undeclared_time_tells_its_unit_by_its_size(kind: Any, factor: int) -> None:
    seconds = TIME // 1_000
    found = decoded(schema(timestamp=kind), {"timestamp": seconds * factor}, {"timestamp": (seconds + 60) * factor})
    assert [event.timestamp for event in found.events.events()] == [TIME, TIME + 60_000]
    assert found.units == {("source", [1, 1_000, 10**6, 10**9].index(factor))}


def test_seconds_of_32_bits_are_seconds() -> None:
    assert one(decoded(schema(timestamp="int"), {"timestamp": TIME // 1_000})).timestamp == TIME


@pytest.mark.parametrize("number", [0, -1, 99_999_999, 4_102_444_801, 2**62, -(2**63), 4 * 10**18 + 2 * 10**17])
def test_a_size_of_no_unit_is_a_letter_that_names_the_setting(number: int) -> None:
    reason, detail = letter(decoded(schema(timestamp="long"), {"timestamp": number}))
    assert reason == "time_range"
    assert detail.startswith(f"timestamp is {number}, ")
    assert "ADSTREAMS_TIME_UNIT" in detail


@pytest.mark.parametrize(
    ("unit", "number", "time"), [("s", 5, 5_000), ("ms", 5, 5), ("us", 5_999, 5), ("ns", 5_999_999, 5)]
)
def test_the_setting_says_what_an_undeclared_time_counts(unit: str, number: int, time: int) -> None:
    assert one(decoded(schema(timestamp="long"), {"timestamp": number}, unit=unit)).timestamp == time
    assert letter(decoded(schema(timestamp="long"), {"timestamp": 2**62}, unit=unit))[0] == "time_range"


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["auto", "s", "ms", "us", "ns"]))
@settings(max_examples=60)
def test_any_number_is_the_time_that_the_judge_says(number: int, unit: str) -> None:
    for kind in ("long", *({"type": "long", "logicalType": name} for name in DECLARED)):
        decoded(schema(timestamp=kind), {"timestamp": number}, unit=unit)


@pytest.mark.parametrize("names", [("publisher", "site"), ("site", "publisher")])
@pytest.mark.parametrize("kinds", [("string", "string"), (["null", "string"], "string"), ("string", "long")])
def test_of_a_field_and_its_old_name_the_right_one_wins(
    names: tuple[str, str], kinds: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first, and whatever the other one's type is."""
    mine, other = kinds
    writer = schema(**{name: mine if name == "publisher" else other for name in names})
    row = {"publisher": "right", "site": "old" if other == "string" else 5}
    for found in (decoded(writer, row), plain(monkeypatch, writer, row)):
        assert one(found).publisher == "right"


def test_an_old_name_alone_is_read() -> None:
    assert one(decoded(schema(site=["null", "string"]), {"site": "old"})).publisher == "old"


BRANCHES: list[Any] = [
    "null", "string", "long", "double", "bytes", "boolean", "float", "int", UUID_FIXED,
    {"type": "enum", "name": "Mood", "symbols": ["CL", "NA"]}, ENUM, {"type": "array", "items": "string"},
]  # fmt: skip


@given(
    st.sampled_from(["user_id", "campaign", "timestamp", "type", "quantity", "revenue", "extra"]),
    st.lists(st.sampled_from(range(len(BRANCHES))), min_size=1, max_size=4, unique=True),
    st.binary(max_size=24),
)
@settings(max_examples=200)
def test_any_union_and_any_bytes_are_what_the_judge_says(field: str, places: list[int], noise: bytes) -> None:
    kinds = [BRANCHES[place] for place in places]
    if field != "type" and ENUM in kinds:
        kinds.remove(ENUM)
    writer = schema(**{field: kinds})
    shelf = Shelf({7: writer})
    payloads = [
        b"\0\0\0\0\7" + bare(schema(extra="string"), ROW | {"extra": ""})[:place] + noise for place in (2, 4, 30)
    ]
    assert_as_judged(Codec(lookup=shelf), payloads, VERSIONS, shelf)


GUID = UUID("89791762-2336-4186-9674-299b90a802e2")


def test_a_guid_in_front_of_the_datum_names_its_schema() -> None:
    """As Confluent's serializer writes it into a header, and a datum of a few bytes is read too."""
    shelf = Shelf({GUID: schema(), UUID(int=5): schema(campaign=["null", "string"]), 7: schema()})
    good, short = bare(schema(), ROW), {"campaign": None}
    payloads = [
        b"\1" + GUID.bytes + good,
        b"\1" + UUID(int=5).bytes + bare(schema(campaign=["null", "string"]), ROW | short),
        b"\1" + GUID.bytes + good,
        b"\0\0\0\0\7" + good,
        b"\1" + UUID(int=6).bytes + good,
        b"\1" + good[:3],
    ]
    found = assert_as_judged(Codec(lookup=shelf), payloads, VERSIONS, shelf)
    assert [each.offset for each in found.letters] == [104, 105]
    assert found.letters[0].detail == f"schema GUID {UUID(int=6)}: not on the shelf"
    assert [repr(each) for each in shelf.asked].count(repr(GUID)) == 1


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"user_id": "u"}', "JSON"),
        (b"[1]", "JSON"),
        (b"\3\0" + GUID.bytes + b"x", f"AWS Glue's framing, schema version {GUID}"),
        (b"\3\5" + GUID.bytes + b"x", "AWS Glue's compressed framing"),
        (b"\0\0\0\0\0\0\0\0\7rest", "Apicurio"),
        (b"Obj\x01\0", "container"),
        (b"\2e\2u", "its schema is unknown"),
        (b"", "no bytes"),
    ],
)
def test_what_stays_unread_says_what_it_is(payload: bytes, said: str) -> None:
    (each,) = Codec(lookup=Shelf({})).decode(MessageBatch.of("s", 0, 0, [payload])).letters
    assert said in each.detail
    assert each.payload == payload


def test_a_schema_holds_the_types_that_it_refers_to_once() -> None:
    """Types in types, in other namespaces, used twice, and by their short names."""
    place = {"type": "record", "name": "Place", "namespace": "geo", "fields": [{"name": "kind", "type": "t.Kind"}]}
    kind = {"type": "enum", "name": "t.Kind", "symbols": ["A", "B"]}
    fields = [
        {"name": "a", "type": "Place"},
        {"name": "b", "type": ["null", "geo.Place"]},
        {"name": "c", "type": "t.Kind"},
    ]
    whole = self_contained(
        {"type": "record", "name": "R", "namespace": "geo", "fields": fields}, definitions([place, kind])
    )
    parsed = fastavro.parse_schema(json.loads(json.dumps(whole)))
    out = io.BytesIO()
    row = {"a": {"kind": "B"}, "b": {"kind": "A"}, "c": "B"}
    fastavro.schemaless_writer(out, parsed, row)
    assert fastavro.schemaless_reader(io.BytesIO(out.getvalue()), parsed, None) == row
