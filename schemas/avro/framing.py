"""Which schema wrote a message: the ways in which a header identifies it, and the known writers' schemas.

- Avro's single-object encoding: `C3 01`, then the CRC-64-AVRO fingerprint of the writer's schema (8 bytes, little
  endian), then the datum (Avro 1.11 specification, "Single-object encoding");
- the wire formats of Confluent's serializers: `00`, then the schema's id in a registry (4 bytes, big endian), or `01`,
  then the schema's GUID (16 bytes), then the datum. The same bytes may stand in a header instead (`__value_schema_id`):
  who takes a message out of Kafka puts them in front of the datum.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast
from uuid import UUID

import fastavro
import fastavro.schema
import numpy as np
from numpy.typing import NDArray

from schemas.avro.foreign import APICURIO, unframed
from schemas.avro.resolution import Resolution, resolve
from schemas.avro.untrusted import check_schema
from schemas.compiled.compiling import compiled
from schemas.errors import NoSchemaError, Undecodable
from schemas.time_units import AUTO

MAGIC, CONFLUENT, CONFLUENT_GUID = b"\xc3\x01", b"\0", b"\1"
HEADER, SHORT_HEADER, GUID_HEADER = len(MAGIC) + 8, len(CONFLUENT) + 4, len(CONFLUENT_GUID) + 16
"""Bytes before the datum in single-object encoding, and in Confluent's with an id or a GUID."""
UNFRAMED, UNKNOWN, NEW = -1, -2, -3
"""In the place of a writer: no header; a fingerprint of no known schema; an id or GUID that has no writer."""
_LONGEST_DETAIL = 300


class SchemaLookup(Protocol):
    """Where schemas are found by their ids."""

    def schema(self, schema_id: int | UUID) -> Any:
        """The schema with this id or GUID, with all types that it names: always the same, once it was found.

        Raises:
            NoSchemaError: it does not exist, or could not be found in time.
        """


@dataclass(frozen=True, slots=True)
class Frames:
    """The headers of a batch: for each message (n) its writer's place and the size of its header in bytes.

    A place is an index into `Writers.schemas`, or negative. `refused` has the reason for each header whose schema
    cannot be found.
    """

    places: NDArray[np.int64]
    headers: NDArray[np.int64]
    refused: dict[bytes, str]


def fingerprint(schema: dict[str, Any]) -> int:
    """The CRC-64-AVRO fingerprint of a schema's canonical form, as an unsigned number."""
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return int.from_bytes(bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")), "little")


def header_of(schema: dict[str, Any], schema_id: int | None = None) -> bytes:
    """What a message of this schema starts with: Confluent's framing where the schema has an id in a registry."""
    if schema_id is not None:
        return CONFLUENT + schema_id.to_bytes(SHORT_HEADER - len(CONFLUENT), "big")
    return MAGIC + fingerprint(schema).to_bytes(HEADER - len(MAGIC), "little")


def id_of(header: bytes) -> int | UUID:
    """The id or the GUID in one of Confluent's headers.

    >>> id_of(bytes([0, 0, 0, 1, 2]))
    258
    """
    return UUID(bytes=header[1:]) if header[:1] == CONFLUENT_GUID else int.from_bytes(header[1:], "big")


def no_schema(header: bytes, why: str) -> Undecodable:
    """The error for a message whose schema cannot be found."""
    found = id_of(header)
    if isinstance(found, UUID):
        return Undecodable("unknown_schema", f"schema GUID {found}: {why}")
    return Undecodable("unknown_schema", f"schema id {found}: {why}{'' if found else f'; {APICURIO}'}")


class _Known(NamedTuple):
    """The schemas that headers may name, and their places in `Writers.schemas`.

    Attributes:
        fingerprints: CRC-64-AVRO (k) uint64 of the first k schemas, in their order.
        ids, id_places: a registry's ids (m) int64 and their places (m) int64.
        guids, guid_places: a registry's GUIDs (m, 16) uint8 and their places (m) int64.
        with_ids: whether headers with ids and GUIDs are read.
    """

    fingerprints: NDArray[np.uint64]
    ids: NDArray[np.int64]
    id_places: NDArray[np.int64]
    guids: NDArray[np.uint8]
    guid_places: NDArray[np.int64]
    with_ids: bool


@compiled
def _read_headers(data, bounds, known, places, headers):
    """Fill the place of the schema (n), or a negative number, and the size of the header (n) in bytes of each message.

    The messages lie in `data` (uint8) with the edges `bounds` (n + 1).
    """
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
            for place in range(len(known.fingerprints)):
                if known.fingerprints[place] == print_:
                    places[message] = place
        elif known.with_ids and size >= SHORT_HEADER and data[at] == 0:
            schema_id = np.int64(0)
            for byte in range(1, SHORT_HEADER):
                schema_id = schema_id << 8 | np.int64(data[at + byte])
            places[message], headers[message] = NEW, SHORT_HEADER
            if last < len(known.ids) and known.ids[last] == schema_id:  # neighbours mostly have one writer
                places[message] = known.id_places[last]
                continue
            for place in range(len(known.ids)):
                if known.ids[place] == schema_id:
                    places[message], last = known.id_places[place], place
                    break
        elif known.with_ids and size >= GUID_HEADER and data[at] == 1:
            places[message], headers[message] = NEW, GUID_HEADER
            for place in range(len(known.guids)):
                same = True
                for byte in range(1, GUID_HEADER):
                    if known.guids[place, byte - 1] != data[at + byte]:
                        same = False
                        break
                if same:
                    places[message] = known.guid_places[place]
                    break


class Writers:
    """The schemas that messages may be written with: some versions by fingerprint, and those of a registry by id.

    Args:
        versions: writers' schemas; the first is the reader's own.
        lookup: finds the schemas of ids; without one no message with an id is read.
        time_unit: the unit of times whose schema has none (`schemas.time_units`).

    Several threads may use it; a schema that was found stays.
    """

    def __init__(
        self, versions: Sequence[dict[str, Any]], lookup: SchemaLookup | None = None, time_unit: int = AUTO
    ) -> None:
        self.schemas = [_parsed(schema) for schema in versions]
        self.reader, self._time_unit = self.schemas[0], time_unit
        self.resolutions = [self._resolved(schema) for schema in self.schemas]
        self._fingerprints = np.array([fingerprint(schema) for schema in versions], np.uint64)
        self._lookup, self._lock = lookup, threading.Lock()
        self._ids, self._id_places = np.empty(0, np.int64), np.empty(0, np.int64)
        self._guids, self._guid_places = np.empty((0, 16), np.uint8), np.empty(0, np.int64)
        self._parts: dict[tuple[int, int], Any] = {}

    def _resolved(self, schema: dict[str, Any]) -> Resolution:
        return resolve(schema, self.reader, self._time_unit)

    def frames(self, data: NDArray[np.uint8], bounds: NDArray[np.int64]) -> Frames:
        """The headers of messages with these edges (n + 1) in `data`; each new id is looked up once."""
        places, headers = np.empty(len(bounds) - 1, np.int64), np.empty(len(bounds) - 1, np.int64)
        by_id, with_ids = (self._ids, self._id_places, self._guids, self._guid_places), self._lookup is not None
        _read_headers(data, bounds, _Known(self._fingerprints, *by_id, with_ids), places, headers)
        found, refused = dict[bytes, int](), dict[bytes, str]()
        for message in np.flatnonzero(places == NEW).tolist():
            header = data[bounds[message] : bounds[message] + headers[message]].tobytes()
            if header not in found:
                try:
                    found[header] = self._find(header)
                except NoSchemaError as error:
                    found[header], refused[header] = NEW, str(error)
            places[message] = found[header]
        return Frames(places, headers, refused)

    def frame(self, message: bytes) -> Frames:
        """The header of one message."""
        return self.frames(np.frombuffer(message, np.uint8), np.array([0, len(message)]))

    def _find(self, header: bytes) -> int:
        """The place of a registered schema, which is looked up now."""
        assert self._lookup is not None, "ids are only read with a lookup"
        schema_id = id_of(header)
        schema = self._lookup.schema(schema_id)
        if not isinstance(schema, dict):
            raise NoSchemaError("its schema is not a record")
        try:
            parsed = _parsed(schema)
            resolved = self._resolved(parsed)
        except Exception as error:  # whatever a broken schema provokes
            raise NoSchemaError(f"its schema cannot be used: {one_line(error)}") from error
        with self._lock:
            place = len(self.schemas)
            self.schemas.append(parsed)
            self.resolutions.append(resolved)
            if isinstance(schema_id, UUID):
                guids = np.vstack([self._guids, np.frombuffer(schema_id.bytes, np.uint8)])
                self._guid_places = np.append(self._guid_places, place)
                self._guids = guids
            else:
                self._id_places = np.append(self._id_places, place)
                self._ids = np.append(self._ids, schema_id)
            return place

    def read(self, frames: Frames, message: int, payload: bytes) -> dict[str, Any]:
        """The fields of one message as the reader's, by fastavro; times are ms since 1970.

        Raises:
            Undecodable: it has no header, its schema is unknown, or it cannot be read as the reader's.
        """
        place, header = int(frames.places[message]), int(frames.headers[message])
        if place == UNFRAMED:
            raise Undecodable("unframed", unframed(payload, self._lookup is not None))
        if place == UNKNOWN:
            raise Undecodable("unknown_schema", f"fingerprint {payload[len(MAGIC) : header].hex()}")
        if place == NEW:
            raise no_schema(payload[:header], frames.refused[payload[:header]])
        resolution = self.resolutions[place]
        if resolution.problem is not None:
            raise Undecodable(*resolution.problem)
        stream = io.BytesIO(payload[header:])
        try:
            datum = fastavro.schemaless_reader(stream, resolution.writer, resolution.reader)
        except UnicodeDecodeError as error:
            raise Undecodable("not_utf8", one_line(error)) from error
        except Exception as error:  # fastavro raises whatever the bytes provoke
            raise Undecodable("undecodable", one_line(error)) from error
        return resolution.values(cast("dict[str, Any]", datum))

    def prefix(
        self, frames: Frames, message: int, payload: bytes, wanted: frozenset[str] | None = None
    ) -> dict[str, Any]:
        """The first fields of one message as its writer's, as many as fastavro can read; none without a writer.

        Those that the reader has too are the reader's where they can be. With `wanted` no more than up to the last of
        these.
        """
        place, header = int(frames.places[message]), int(frames.headers[message])
        found: dict[str, Any] = {}
        if place < 0:
            return found
        resolution = self.resolutions[place]
        for count, field in enumerate(resolution.fields, 1):
            try:
                if (place, count) not in self._parts:
                    whole = {key: value for key, value in resolution.writer.items() if not key.startswith("__")}
                    part = whole | {"fields": whole["fields"][:count]}
                    self._parts[place, count] = fastavro.parse_schema(part)
                datum = fastavro.schemaless_reader(io.BytesIO(payload[header:]), self._parts[place, count], None)
            except Exception:  # fastavro raises whatever the bytes provoke
                break
            name, value = list(cast("dict[str, Any]", datum).items())[-1]
            if field is not None:
                try:
                    value = field.value(value)
                except Undecodable:
                    value = next(iter(value.values())) if field.is_union else value
            found[name] = value
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
    names = [field["name"] for field in parsed["fields"]]
    if len(set(names)) < len(names):
        raise ValueError("two fields have one name")
    return parsed


def one_line(error: Exception) -> str:
    """The message of an exception, without the address of a stream."""
    said = " ".join(str(error).partition(" from <")[0].split())
    return f"{type(error).__name__}: {said}"[:_LONGEST_DETAIL]
