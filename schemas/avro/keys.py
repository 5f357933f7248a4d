"""Keys of messages without a value: the user whom an erasure request names.

A key is a user id as plain text, or Avro behind any of the framings of values (`schemas.avro.framing`): a string, or a
record with a string `user_id`. What may be framed and cannot be read, or looks like JSON, is not an id: it is never
taken for another one.
"""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import fastavro

from schemas.avro.framing import (
    CONFLUENT,
    CONFLUENT_GUID,
    GUID_HEADER,
    HEADER,
    MAGIC,
    SHORT_HEADER,
    SchemaLookup,
    header_of,
    id_of,
    no_schema,
    one_line,
)
from schemas.avro.resolution import Resolution, resolve, shown
from schemas.avro.untrusted import check_schema
from schemas.errors import NoSchemaError, Undecodable
from schemas.validation import LONGEST_ID

_NAME = "user_id"
_READER = {"type": "record", "name": "Key", "fields": [{"name": _NAME, "type": "string"}]}


class Keys:
    """Finds the user ids in keys. Several threads may use it; a schema that was found stays.

    >>> Keys().user_id(b"user-17")
    'user-17'
    """

    def __init__(self, lookup: SchemaLookup | None = None) -> None:
        self._lookup, self._lock = lookup, threading.Lock()
        self._known: dict[bytes, Resolution] = {header_of({"type": "string"}): _resolved("string")}

    def user_id(self, key: bytes) -> str:
        """The user id in a key.

        Raises:
            Undecodable: the key has no user id, or it cannot be read.
        """
        header = key[: _header_size(key)]
        user_id = self._framed(header, key[len(header) :]) if header else _plain(key)
        size = len(user_id.encode())
        if not 0 < size <= LONGEST_ID:
            raise Undecodable("id_length", f"user_id has {size} bytes")
        return user_id

    def _framed(self, header: bytes, datum: bytes) -> str:
        if header[:1] == CONFLUENT and len(header) < SHORT_HEADER:
            raise Undecodable("unframed", "it starts like Confluent's framing but is too short")
        resolution = self._resolution(header)
        if resolution.problem is not None:
            raise Undecodable(*resolution.problem)
        stream = io.BytesIO(datum)
        try:
            read: Any = fastavro.schemaless_reader(stream, resolution.writer, resolution.reader)
        except Exception as error:  # fastavro raises whatever the bytes provoke
            raise Undecodable("undecodable", one_line(error)) from error
        if stream.read(1):
            raise Undecodable("undecodable", "the key has bytes after its datum")
        return str(resolution.values(read)[_NAME])

    def _resolution(self, header: bytes) -> Resolution:
        if header in self._known:
            return self._known[header]
        if header[: len(MAGIC)] == MAGIC:
            raise Undecodable("unknown_schema", f"fingerprint {header[len(MAGIC) :].hex()}")
        if self._lookup is None:
            raise Undecodable("unframed", "it starts like Confluent's framing: set ADSTREAMS_SCHEMA_REGISTRY_URL")
        try:
            schema = self._lookup.schema(id_of(header))
        except NoSchemaError as error:
            raise no_schema(header, str(error)) from None
        try:
            found = _resolved(schema)
        except Exception as error:  # whatever a broken schema provokes
            raise no_schema(header, f"its schema cannot be used: {one_line(error)}") from None
        with self._lock:
            return self._known.setdefault(header, found)


def _resolved(schema: Any) -> Resolution:
    """How keys of a schema are read: one that is no record is written like a record of it alone."""
    if not (isinstance(schema, dict) and schema.get("type") == "record"):
        schema = {"type": "record", "name": "Key", "fields": [{"name": _NAME, "type": schema}]}
    parsed: Any = fastavro.parse_schema(schema)
    check_schema(parsed)
    return resolve(parsed | {"name": "Key"}, _READER)


def _header_size(key: bytes) -> int:
    """Bytes before the datum; 0 where a key is plain text."""
    if key[:1] == CONFLUENT:
        return min(SHORT_HEADER, len(key))
    if key[:1] == CONFLUENT_GUID and len(key) >= GUID_HEADER:
        return GUID_HEADER
    return HEADER if key[: len(MAGIC)] == MAGIC and len(key) >= HEADER else 0


def _plain(key: bytes) -> str:
    try:
        text = key.decode()
    except UnicodeDecodeError:
        raise Undecodable("not_utf8", "user_id is neither text nor framed") from None
    if text[:1] in ('"', "{", "["):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return text
        raise Undecodable("wrong_type", f"it is JSON, not a user id: {shown(text)}")
    return text
