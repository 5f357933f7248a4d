"""Schemas that a message's headers name: their ids are put where they stand without headers, in front of the datum.

What is decoded, kept as a dead letter and sent in again is then one run of bytes that says itself how it is read.
"""

from __future__ import annotations

from collections.abc import Mapping

VALUE_SCHEMA, KEY_SCHEMA = "__value_schema_id", "__key_schema_id"
"""Confluent's headers: an id (00 and 4 bytes) or a GUID (01 and 16 bytes), as in front of a datum."""
_APICURIO = ("apicurio.{part}.globalId", "apicurio.{part}.contentId", "apicurio.{part}.contentHash")
VALUE_HEADERS = (VALUE_SCHEMA, *(name.format(part="value") for name in _APICURIO))
"""Headers that say how a value is read; the first that a message has counts."""
KEY_HEADERS = (KEY_SCHEMA, *(name.format(part="key") for name in _APICURIO))
"""The same for a key."""
_APICURIO_ID = 8
_GUID, _ID = 17, 5


def prefix_of(name: str, header: bytes) -> bytes:
    """What stands in front of a datum whose schema this header names.

    >>> prefix_of("__value_schema_id", bytes([0, 0, 0, 0, 7])).hex()
    '0000000007'
    >>> prefix_of("apicurio.value.globalId", bytes([0, 0, 0, 0, 0, 0, 0, 7])).hex()
    '000000000000000007'
    """
    if name not in (VALUE_SCHEMA, KEY_SCHEMA):  # as Apicurio's own framing, which no registry of Confluent's knows
        return b"\0" + header[-_APICURIO_ID:].rjust(_APICURIO_ID, b"\0")
    size = _GUID if header[:1] == b"\1" else _ID
    if header[:1] not in (b"\0", b"\1") or len(header) < size:  # an id that no registry gives
        return b"\0\xff\xff\xff\xff"
    return header[:size]


def framed(datum: bytes, headers: Mapping[str, str | bytes | None], names: tuple[str, ...] = VALUE_HEADERS) -> bytes:
    """A value or a key behind what its headers say of its schema."""
    for name in names:
        header = headers.get(name)
        if name in headers:
            held = header if isinstance(header, bytes) else (header or "").encode()
            return prefix_of(name, held) + datum
    return datum
