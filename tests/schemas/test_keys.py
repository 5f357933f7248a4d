"""Whom a message without a value means: the user id, or nobody, and never another one."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.avro.keys import Keys
from schemas.errors import Undecodable
from tests.schemas.oracle import Shelf, header_of
from tests.schemas.test_others_producers import A_UUID, GUID, UUID_TEXT, bare

RECORD = {
    "type": "record",
    "name": "UserKey",
    "fields": [{"name": "tenant", "type": "int"}, {"name": "user_id", "type": "string"}],
}
SHELF: dict[Any, Any] = {
    1: "string", 2: UUID_TEXT, 3: RECORD, 4: "long", 5: {"type": "record", "name": "Other", "fields": []},
    6: ["null", "string"], GUID: "string", 7: "its schema is gone",
}  # fmt: skip
SHELF_ERRORS = {7}


class KeyShelf(Shelf):
    """A shelf whose schemas may be names of types."""

    def schema(self, schema_id: Any) -> Any:
        return super().schema(schema_id) if schema_id in SHELF_ERRORS or schema_id not in SHELF else SHELF[schema_id]


def framed(schema_id: int, datum: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + datum


@pytest.mark.parametrize(
    ("key", "user"),
    [
        (b"u1", "u1"), ("é🙂".encode(), "é🙂"), (b"\1x", "\1x"), (b'"', '"'), (b"{u", "{u"), (b"42", "42"),
        (framed(1, bare("string", "u1")), "u1"),
        (framed(2, bare("string", A_UUID)), A_UUID),
        (framed(3, bare(RECORD, {"tenant": 5, "user_id": "u"})), "u"),
        (framed(6, bare(["null", "string"], "u")), "u"),
        (b"\1" + GUID.bytes + bare("string", "u1"), "u1"),
        (header_of({"type": "string"}) + bare("string", "u1"), "u1"),
    ],
)  # fmt: skip
def test_a_key_names_its_user(key: bytes, user: str) -> None:
    assert Keys(KeyShelf(SHELF)).user_id(key) == user


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"", "id_length"), (b"x" * 1_025, "id_length"), (b"\xff", "not_utf8"), (b"\0", "unframed"),
        (b"\0abc", "unframed"), (b'"u1"', "wrong_type"), (b'{"user_id": "u1"}', "wrong_type"),
        (framed(1, b""), "undecodable"), (framed(1, bare("string", "u") + b"x"), "undecodable"),
        (framed(1, bare("string", "")), "id_length"), (framed(4, bare("long", 42)), "wrong_type"),
        (framed(5, b""), "missing"), (framed(6, bare(["null", "string"], None)), "missing"),
        (framed(7, bare("string", "u")), "unknown_schema"), (framed(9, bare("string", "u")), "unknown_schema"),
        ((42).to_bytes(8, "big"), "unknown_schema"), (b"\1" + bytes(16) + bare("string", "u"), "unknown_schema"),
        (b"\xc3\1" + bytes(8) + bare("string", "u"), "unknown_schema"),
    ],
)  # fmt: skip
def test_a_key_that_nobody_can_read_names_nobody(key: bytes, reason: str) -> None:
    with pytest.raises(Undecodable) as error:
        Keys(KeyShelf(SHELF)).user_id(key)
    assert error.value.reason == reason


@pytest.mark.parametrize("key", [framed(1, bare("string", "u1")), b"\1" + GUID.bytes + bare("string", "u1")])
def test_without_a_registry_a_framed_key_names_nobody(key: bytes) -> None:
    with pytest.raises(Undecodable, match="ADSTREAMS_SCHEMA_REGISTRY_URL"):
        Keys().user_id(key)
