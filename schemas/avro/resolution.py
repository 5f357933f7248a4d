"""How one record's schema is read as another's, field by field, and what its values then are.

These are Avro's rules ("Schema Resolution", "Logical Types"), and where they leave something open:

- a field is found under its name, else under the first of the reader's aliases that the writer has;
- a null where the reader allows none becomes the reader's default, or `missing` without one;
- a logical type counts where the reader has a time; `uuid` and unknown types are their underlying type;
- a time without one has the unit `time_unit`;
- a decimal is a number where the reader wants one, and a long that fits is an int.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import fastavro

from schemas.avro.references import definitions, self_contained
from schemas.errors import Undecodable
from schemas.time_units import AUTO, LOGICAL, NO_TIME, to_millis

_FOREIGN = {"date", "time-millis", "time-micros", "duration", *LOGICAL}
"""Logical types whose numbers mean nothing where the reader wants a plain one."""
_WHOLES, _NUMBERS, _BYTES = ("int", "long"), ("int", "long", "float", "double"), ("bytes", "fixed")
_MOST_SCALE = 400
_GUID = 16
_LIMITS = {"int": 1 << 31, "long": 1 << 63}
_LONGEST_VALUE = 100
_to_millis: Any = getattr(to_millis, "py_func", to_millis)
"""As plain Python, whose numbers have no limits."""


class Reading(Enum):
    """What is made of a value."""

    NULL = auto()
    TEXT = auto()
    GUID = auto()
    """16 bytes as the text of a UUID."""
    WHOLE = auto()
    TIME = auto()
    NUMBER = auto()
    DECIMAL = auto()
    SYMBOL = auto()
    FLAG = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Branch:
    """One type that a writer's value may have, and what is made of it.

    `base` is Avro's type. `number` is the unit of a time, the scale of a decimal, or the size of a fixed; `symbols`
    are the reader's for each of the writer's, None where it has none.
    """

    base: str
    reading: Reading
    said: str
    number: int = 0
    symbols: tuple[tuple[str, str | None], ...] = ()
    declared: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """One of the reader's fields as a writer has it: under the name `source`, of one type or of a union's."""

    name: str
    source: str
    branches: tuple[Branch, ...]
    is_union: bool
    wanted: str
    limit: int
    nullable: bool
    default: tuple[Any, ...]
    """The reader's default; empty without one."""

    def value(self, datum: Any) -> Any:
        """What the reader has of what fastavro read.

        Raises:
            Undecodable: it is nothing that the reader takes.
        """
        place = 0
        if self.is_union:
            ((place_name, datum),) = datum.items()
            place = int(place_name[1:])
        branch = self.branches[place]
        match branch.reading:
            case Reading.NULL:
                return self._of_null()
            case Reading.TEXT:
                return datum if isinstance(datum, str) else _decoded(self.name, datum)
            case Reading.GUID:
                return str(uuid.UUID(bytes=datum))
            case Reading.TIME:
                return self._time(datum, branch.number)
            case Reading.WHOLE if -self.limit <= datum < self.limit:
                return datum
            case Reading.NUMBER:
                return datum
            case Reading.DECIMAL:
                return _of_decimal(datum, branch.number)
            case Reading.SYMBOL:
                symbol = dict(branch.symbols)[datum]
                if symbol is not None:
                    return symbol
            case Reading.FLAG:
                return datum
        if branch.reading is Reading.REFUSED:
            raise Undecodable("wrong_type", f"{self.name} is of type {branch.said}, not {self.wanted}")
        raise Undecodable("wrong_type", f"{self.name} is {shown(datum)}, not {self.wanted}")

    def _of_null(self) -> Any:
        if self.nullable:
            return None
        if not self.default:
            raise Undecodable("missing", f"{self.name} is null")
        return self.default[0]

    def _time(self, number: int, unit: int) -> int:
        time = int(_to_millis(number, unit))
        if time == NO_TIME:
            more = "; set its unit with ADSTREAMS_TIME_UNIT" if unit == AUTO else ""
            raise Undecodable("time_range", f"{self.name} is {number}, not a time between 1973 and 2100{more}")
        return time


@dataclass(frozen=True, slots=True)
class Resolution:
    """How a writer's messages are read.

    `fields` are the writer's, in its order, None for unused ones; `absent` are the reader's defaults of
    the fields that it lacks. With a `problem` (reason, detail) none of its messages can be read. `writer` and `reader`
    are for fastavro: of the writer's bytes they read just those fields, as what they are made of.
    """

    fields: tuple[Field | None, ...]
    absent: Mapping[str, Any]
    problem: tuple[str, str] | None
    writer: dict[str, Any]
    reader: dict[str, Any]

    def values(self, datum: Mapping[str, Any]) -> dict[str, Any]:
        """The reader's fields of what fastavro read.

        Raises:
            Undecodable: one of them is nothing that the reader takes.
        """
        found = dict(self.absent)
        for field in self.fields:
            if field is not None:
                found[field.name] = field.value(datum[field.source])
        return found


def resolve(writer: Mapping[str, Any], reader: Mapping[str, Any], time_unit: int = AUTO) -> Resolution:
    """How records of `writer` are read as `reader`'s; both are as fastavro parses them.

    Raises:
        Exception: whatever fastavro raises for a schema that is broken.
    """
    named = definitions([writer])
    sources = {name: field for field in reader["fields"] if (name := _source(field, writer["fields"])) is not None}
    fields = tuple(
        _field(field, sources[field["name"]], named, time_unit) if field["name"] in sources else None
        for field in writer["fields"]
    )
    problem, absent = _misnamed(writer, reader), dict[str, Any]()
    there = {field["name"] for field in sources.values()}
    for field in reader["fields"]:
        if field["name"] not in there:
            if "default" in field:
                absent[field["name"]] = field["default"]
            else:
                problem = problem or ("missing", f"the writer's schema has no {field['name']}")
    for resolved in fields:
        if resolved is not None:
            problem = problem or _mistyped(resolved)
    plain = {key: _base(value) for key, value in writer.items() if key != "fields" and not key.startswith("__")}
    plain["fields"] = [
        {"name": field["name"], "type": _tagged(field["type"], place) if found else _base(field["type"])}
        for place, (field, found) in enumerate(zip(writer["fields"], fields, strict=True))
    ]
    parts = [field for field, found in zip(plain["fields"], fields, strict=True) if found]
    wanted = self_contained({**plain, "fields": parts}, definitions([plain]))
    return Resolution(fields, absent, problem, _parsed(plain), _parsed(wanted))


def shown(value: Any) -> str:
    """A value in a letter's detail, cut where it is long."""
    return repr(value if not isinstance(value, (str, bytes)) else value[:_LONGEST_VALUE])


def _parsed(schema: dict[str, Any]) -> dict[str, Any]:
    parsed: Any = fastavro.parse_schema(schema)
    return dict(parsed)


def _source(field: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]) -> str | None:
    """The name under which a writer has one of the reader's fields."""
    there = {each["name"] for each in fields}
    return next((name for name in (field["name"], *field.get("aliases", ())) if name in there), None)


def _misnamed(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> tuple[str, str] | None:
    if _same_name(writer, reader):
        return None
    return "undecodable", f"the writer's schema is of {writer['type']} {writer['name']}, not of {reader['name']}"


def _same_name(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> bool:
    """Whether two named types have one name; their namespaces do not count (Avro 1.11, "Schema Resolution")."""
    simple = str(writer["name"]).rpartition(".")[2]
    names = {str(reader["name"]).rpartition(".")[2], *reader.get("aliases", ())}
    return writer["type"] == reader["type"] and bool({simple, writer["name"]} & names)


def _mistyped(field: Field) -> tuple[str, str] | None:
    """What is wrong with a field of which no value can be read."""
    said = " or ".join(branch.said for branch in field.branches) or "an empty union"
    units = {branch.number for branch in field.branches if branch.reading is Reading.TIME}
    if len(units) > 1:
        return "wrong_type", f"{field.name} is {said} in the writer's schema: times of two units"
    if all(branch.reading is Reading.REFUSED for branch in field.branches):
        return "wrong_type", f"{field.name} is {said} in the writer's schema, not {field.wanted}"
    return None


def _field(field: Mapping[str, Any], reader: Mapping[str, Any], named: Mapping[str, Any], time_unit: int) -> Field:
    options = reader["type"] if isinstance(reader["type"], list) else [reader["type"]]
    wanted = [option for option in options if option != "null"]
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    return Field(
        reader["name"],
        field["name"],
        tuple(_branch(named.get(kind, kind) if isinstance(kind, str) else kind, wanted, time_unit) for kind in kinds),
        isinstance(field["type"], list),
        " or ".join(map(_said, wanted)),
        max((_LIMITS.get(_of(option), 0) for option in wanted), default=0),
        "null" in options,
        (reader["default"],) if "default" in reader else (),
    )


def _branch(kind: Any, wanted: Sequence[Any], time_unit: int) -> Branch:
    base, logical = _of(kind), str(kind.get("logicalType")) if isinstance(kind, dict) else ""
    said = _said(kind)
    size = int(kind["size"]) if base == "fixed" else 0
    if base == "null":
        return Branch(base, Reading.NULL, said)
    for option in wanted:
        want = _of(option)
        is_time = isinstance(option, dict) and option.get("logicalType") in LOGICAL
        if want == "string" and (base == "string" or (base == "bytes" and logical != "decimal")):
            return Branch(base, Reading.TEXT, said)
        if want == "string" and base == "fixed" and logical == "uuid" and size == _GUID:
            return Branch(base, Reading.GUID, said, size)
        if want == "enum" and base == "enum" and _same_name(kind, option):
            known, default = option["symbols"], option.get("default")
            pairs = tuple((symbol, symbol if symbol in known else default) for symbol in kind["symbols"])
            return Branch(base, Reading.SYMBOL, said, symbols=pairs)
        if is_time and base in _WHOLES and (logical not in _FOREIGN or logical in LOGICAL):
            declared = base == "long" and logical in LOGICAL
            return Branch(base, Reading.TIME, said, LOGICAL[logical] if declared else time_unit, declared=declared)
        if want in _LIMITS and not is_time and base in _WHOLES and logical not in _FOREIGN:
            return Branch(base, Reading.WHOLE, said)
        if want == "double" and base in _NUMBERS and logical not in _FOREIGN:
            return Branch(base, Reading.NUMBER, said)
        if want == "double" and base in _BYTES and logical == "decimal":
            scale = kind.get("scale", 0)
            if isinstance(scale, int) and 0 <= scale <= _MOST_SCALE:
                return Branch(base, Reading.DECIMAL, said, scale)
        if want == base == "boolean":
            return Branch(base, Reading.FLAG, said)
    return Branch(base, Reading.REFUSED, said, size)


def _of(kind: Any) -> str:
    """Avro's type of a type."""
    return str(kind["type"] if isinstance(kind, dict) else kind)


def _said(kind: Any) -> str:
    """A type in a letter's detail."""
    if not isinstance(kind, dict):
        return str(kind)
    name, logical = kind.get("name"), kind.get("logicalType")
    return f"{kind['type']}{f' {name}' if name else ''}{f' ({logical})' if logical else ''}"


def _base(kind: Any) -> Any:
    """A type as what it is made of: without logical types, defaults and other names."""
    if isinstance(kind, list):
        return [_base(option) for option in kind]
    if not isinstance(kind, dict):
        return kind
    kept = {key: kind[key] for key in ("type", "name", "namespace", "symbols", "size") if key in kind}
    kept |= {part: _base(kind[part]) for part in ("items", "values") if part in kind}
    if "fields" in kind:
        kept["fields"] = [{"name": field["name"], "type": _base(field["type"])} for field in kind["fields"]]
    return kept


def _tagged(kind: Any, place: int) -> Any:
    """A field's type, and of a union records that tell its branches apart: those of one field are written as it is."""
    if not isinstance(kind, list):
        return _base(kind)
    return [
        {
            "type": "record",
            "name": f"adstreams_branch.f{place}b{number}",
            "fields": [{"name": f"b{number}", "type": _base(option)}],
        }
        for number, option in enumerate(kind)
    ]


def _decoded(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Undecodable("not_utf8", f"{name} is {shown(text)}") from None


def _of_decimal(datum: bytes, scale: int) -> float:
    """The nearest double; infinite beyond the largest."""
    unscaled = int.from_bytes(datum, "big", signed=True)
    try:
        return float(unscaled / 10**scale)
    except OverflowError:
        return math.inf if unscaled > 0 else -math.inf
