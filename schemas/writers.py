"""Which schema wrote a message: the two ways in which a message says so, and the writers' schemas that are known.

- Avro's single-object encoding: `C3 01`, then the CRC-64-AVRO fingerprint of the writer's schema (8 bytes, little
  endian), then the datum (Avro 1.11 specification, "Single-object encoding");
- the wire format of Confluent's serializers: `00`, then the schema's id in a registry (4 bytes, big endian), then the
  datum (Confluent documentation, "Wire format").
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Any, Protocol, cast

import fastavro
import fastavro.schema
import numpy as np
from numpy.typing import NDArray

from schemas.compiling import compiled
from schemas.untrusted import check_schema

MAGIC, CONFLUENT = b"\xc3\x01", b"\0"
HEADER, SHORT_HEADER = len(MAGIC) + 8, len(CONFLUENT) + 4
"""Bytes before the datum in single-object encoding, and in Confluent's."""
UNFRAMED, UNKNOWN, NEW = -1, -2, -3
"""In the place of a writer: no header; a fingerprint of no known schema; `NEW - id` is an id that has no writer."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_LONGEST_DETAIL = 300
_PYTHON: dict[str, tuple[type, ...]] = {
    "null": (NoneType,), "string": (str,), "enum": (str,), "int": (int,), "long": (int,), "double": (float, int),
    "boolean": (bool,),
}  # fmt: skip


class Undecodable(ValueError):
    """A message that cannot be read; `reason` is one of `schemas.dead_letters.REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class NoSchemaError(LookupError):
    """A schema that cannot be had; the message is the reason, without the id."""


class SchemaLookup(Protocol):
    """Where schemas are found by their ids."""

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema with this id: always the same, once it was found.

        Raises:
            NoSchemaError: there is none, or it could not be found in time.
        """


@dataclass(frozen=True, slots=True)
class Frames:
    """What the headers of a batch say: for each message (n) its writer's place and the size of its header in bytes.

    A place is an index into `Writers.schemas`, or negative. `refused` says, for each id without a writer, why.
    """

    places: NDArray[np.int64]
    headers: NDArray[np.int64]
    refused: dict[int, str]


def fingerprint(schema: dict[str, Any]) -> int:
    """The CRC-64-AVRO fingerprint of a schema's canonical form, as an unsigned number."""
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return int.from_bytes(bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")), "little")


def header_of(schema: dict[str, Any], schema_id: int | None = None) -> bytes:
    """What a message of this schema starts with: Confluent's framing where the schema has an id in a registry."""
    if schema_id is not None:
        return CONFLUENT + schema_id.to_bytes(SHORT_HEADER - len(CONFLUENT), "big")
    return MAGIC + fingerprint(schema).to_bytes(HEADER - len(MAGIC), "little")


@compiled
def _read_headers(data, bounds, fingerprints, ids, with_ids, places, headers):
    """Fill each message's place and header; the places of `ids` follow those of the fingerprints."""
    last = 0
    for message in range(len(places)):
        at = bounds[message]
        size = bounds[message + 1] - at
        places[message], headers[message] = UNFRAMED, 0
        if size >= HEADER and data[at] == 0xC3 and data[at + 1] == 0x01:
            print_ = np.uint64(0)
            for byte in range(8):
                print_ |= np.uint64(data[at + 2 + byte]) << np.uint64(8 * byte)
            places[message], headers[message] = UNKNOWN, HEADER
            for place in range(len(fingerprints)):
                if fingerprints[place] == print_:
                    places[message] = place
        elif with_ids and size >= SHORT_HEADER and data[at] == 0:
            schema_id = np.int64(0)
            for byte in range(1, SHORT_HEADER):
                schema_id = schema_id << 8 | np.int64(data[at + byte])
            places[message], headers[message] = NEW - schema_id, SHORT_HEADER
            if last < len(ids) and ids[last] == schema_id:  # neighbours mostly have one writer
                places[message] = len(fingerprints) + last
                continue
            for place in range(len(ids)):
                if ids[place] == schema_id:
                    places[message], last = len(fingerprints) + place, place
                    break


class Writers:
    """The schemas that messages may be written with: some versions by fingerprint, and those of a registry by id.

    Args:
        versions: writers' schemas; the first is the reader's own.
        lookup: finds the schemas of ids; without one no message with an id is read.

    Several threads may use it; a schema that was found stays.
    """

    def __init__(self, versions: Sequence[dict[str, Any]], lookup: SchemaLookup | None = None) -> None:
        self.schemas = [_parsed(schema) for schema in versions]
        self.reader = self.schemas[0]
        self._kinds = {field["name"]: _python_types(field["type"]) for field in self.reader["fields"]}
        self._fingerprints = np.array([fingerprint(schema) for schema in versions], np.uint64)
        self._lookup, self._lock = lookup, threading.Lock()
        self._ids = np.empty(0, np.int64)
        self._parts: dict[tuple[int, int], dict[str, Any]] = {}

    def frames(self, data: NDArray[np.uint8], bounds: NDArray[np.int64]) -> Frames:
        """The headers of messages with these edges (n + 1) in `data`; each new id is looked up once."""
        places, headers = np.empty(len(bounds) - 1, np.int64), np.empty(len(bounds) - 1, np.int64)
        _read_headers(data, bounds, self._fingerprints, self._ids, self._lookup is not None, places, headers)
        refused: dict[int, str] = {}
        new = np.flatnonzero(places <= NEW)
        if len(new):
            codes, which = np.unique(places[new], return_inverse=True)
            for index, schema_id in enumerate((NEW - codes).tolist()):
                try:
                    codes[index] = self._find(schema_id)
                except NoSchemaError as error:
                    refused[schema_id] = str(error)
            places[new] = codes[which]
        return Frames(places, headers, refused)

    def frame(self, message: bytes) -> Frames:
        """The header of one message."""
        return self.frames(np.frombuffer(message, np.uint8), np.array([0, len(message)]))

    def _find(self, schema_id: int) -> int:
        """The place of a registered schema, which is looked up now."""
        assert self._lookup is not None, "ids are only read with a lookup"
        schema = self._lookup.schema(schema_id)
        try:
            parsed = _parsed(schema)
        except Exception as error:  # whatever a broken schema provokes
            raise NoSchemaError(f"its schema cannot be used: {_one_line(error)}") from error
        with self._lock:
            self.schemas.append(parsed)
            self._ids = np.append(self._ids, schema_id)
            return len(self.schemas) - 1

    def read(self, frames: Frames, message: int, payload: bytes) -> dict[str, Any]:
        """The fields of one message as the reader's, by fastavro; times are ms since 1970.

        Raises:
            Undecodable: it has no header, its schema is unknown, or fastavro cannot read it.
        """
        place, header = int(frames.places[message]), int(frames.headers[message])
        if place == UNFRAMED:
            raise Undecodable("unframed", f"the message starts with {payload[:2].hex() or 'nothing'}")
        if place == UNKNOWN:
            raise Undecodable("unknown_schema", f"fingerprint {payload[len(MAGIC) : header].hex()}")
        if place <= NEW:
            raise Undecodable("unknown_schema", f"schema id {NEW - place}: {frames.refused[NEW - place]}")
        try:
            datum = fastavro.schemaless_reader(io.BytesIO(payload[header:]), self.schemas[place], self.reader)
        except Exception as error:  # fastavro raises whatever the bytes provoke
            raise Undecodable("undecodable", _one_line(error)) from error
        fields: dict[str, Any] = dict(cast("dict[str, Any]", datum))
        for name, kinds in self._kinds.items():
            value = fields[name] = _milliseconds(fields[name])
            if not isinstance(value, kinds):
                raise Undecodable("wrong_type", f"{name} is {value!r}"[:_LONGEST_DETAIL])
        return fields

    def prefix(
        self, frames: Frames, message: int, payload: bytes, wanted: frozenset[str] | None = None
    ) -> dict[str, Any]:
        """The first fields of one message as its writer's, as many as fastavro can read; none without a writer.

        With `wanted` no more than up to the last of these.
        """
        place, header = int(frames.places[message]), int(frames.headers[message])
        found: dict[str, Any] = {}
        fields = self.schemas[place]["fields"] if place >= 0 else []
        for count in range(1, len(fields) + 1):
            try:
                if (place, count) not in self._parts:
                    self._parts[place, count] = _parsed({**self.schemas[place], "fields": fields[:count]})
                datum = fastavro.schemaless_reader(io.BytesIO(payload[header:]), self._parts[place, count], None)
            except Exception:  # fastavro raises whatever the bytes provoke
                break
            found = {name: _milliseconds(value) for name, value in cast("dict[str, Any]", datum).items()}
            if wanted is not None and wanted <= found.keys():
                break
        return found


def _parsed(schema: dict[str, Any]) -> dict[str, Any]:
    """A record's schema as fastavro wants it.

    Raises:
        Exception: whatever fastavro raises for a schema that is broken.
    """
    plain = {key: value for key, value in schema.items() if not key.startswith("__")}  # fastavro's own marks
    parsed = cast("dict[str, Any]", fastavro.parse_schema(plain))
    check_schema(parsed)
    return parsed


def _python_types(kind: Any) -> tuple[type, ...]:
    """The types of a field's values in Python."""
    if isinstance(kind, list):
        return tuple(each for option in kind for each in _python_types(option))
    return _PYTHON[kind["type"] if isinstance(kind, dict) else kind]


def _milliseconds(value: Any) -> Any:
    """A time as whole ms since 1970, one of no zone as UTC; any other value as it is."""
    if not isinstance(value, datetime):
        return value
    return (value.replace(tzinfo=value.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1)


def _one_line(error: Exception) -> str:
    """What an exception says, without the address of the stream that it was about."""
    said = " ".join(str(error).partition(" from <")[0].split())
    return f"{type(error).__name__}: {said}"[:_LONGEST_DETAIL]
