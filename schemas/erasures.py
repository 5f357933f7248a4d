"""Requests to erase a user, and the users that dead letters belong to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import xxhash

from schemas.dead_letters import DeadLetter

_SIGN, _ALL = 1 << 63, 1 << 64
_NO_AVRO = {"unframed", "unknown_schema", "undecodable"}
"""Reasons that occur only for messages: a message may also be JSON, and still not be an event."""
_NO_COLUMNS = "wrong_shape"
_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS = 100
"""Digits of the largest number that can be an id."""
_FALSE_TIMES = {"time_range", "time_ahead"}


@dataclass(frozen=True, slots=True)
class Erasure:
    """A user's events up to `until` (event time, ms since 1970) go, and do not come back.

    Of the person only `user_hash` is kept, the XXH3-64 of the user id as a signed number; `user_id` is None where no
    more is known.
    """

    user_hash: int
    until: int
    user_id: str | None = None

    @classmethod
    def of(cls, user_id: str, until: int) -> Erasure:
        """The erasure of a user up to a time.

        >>> Erasure.of("user-17", 0).user_hash
        9048858901848095873
        """
        return cls(hash_of(user_id), until, user_id)


def hash_of(user_id: str) -> int:
    """The XXH3-64 of a user id, as a signed number."""
    found = xxhash.xxh3_64_intdigest(user_id.encode())
    return found - _ALL if found >= _SIGN else found


def until_after(version: int) -> int:
    """The least time (ms) that is not before a version: rows of later events have greater versions.

    A row's version is its event's time in µs, and how many events the user had.
    """
    return -(-version // 1000)


class Readable(Protocol):
    """What reads the heads of messages."""

    def identity(self, message: bytes) -> dict[str, Any]:
        """The user and time of a message, as far as they can be read."""


def row_of(letter: DeadLetter) -> dict[str, Any] | None:
    """The row of a file that a letter holds as JSON; None where it holds a message, or a line without columns."""
    if letter.reason in _NO_AVRO:
        return None
    return _object(letter.payload)


def owners_of(letter: DeadLetter, codec: Readable) -> tuple[frozenset[str], int | None] | None:
    """The ids that the user may have whose event a letter was to be, and its time (ms) where that can be believed.

    None where no user can be read from it. There are several where the id was no text: a number is an id in whole and
    with a point. A line of a file that has no columns is of whoever one of its fields names.
    """
    if letter.reason == _NO_COLUMNS:
        fields = _fields(letter.payload)
        return (fields, None) if fields else None
    held = _object(letter.payload)  # for messages too: JSON names the user even when it is incomplete
    if held is None:
        held = codec.identity(letter.payload)
    found = frozenset(each for value in _named(held, "userid") for each in _ids(value))
    if not found:
        return None
    time = held.get("timestamp")
    is_time = isinstance(time, int) and not isinstance(time, bool) and letter.reason not in _FALSE_TIMES
    return found, time if is_time else None


def letters_of(erasures: Iterable[Erasure], letters: Iterable[DeadLetter], codec: Readable) -> list[DeadLetter]:
    """The dead letters to delete with these erasures: those of the same users, and of no later time."""
    until = {each.user_id: each.until for each in sorted(erasures, key=lambda each: each.until)}
    found = []
    for letter in letters:
        owners, time = owners_of(letter, codec) or (frozenset[str](), None)
        if any(time is None or time <= until[owner] for owner in owners if owner in until):
            found.append(letter)
    return found


def _object(payload: bytes) -> dict[str, Any] | None:
    """The contents of a JSON object; None for anything else."""
    try:
        held = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def _named(held: Any, name: str) -> Iterator[Any]:
    """All values of that name in something nested, whichever way the name is written."""
    left = [held]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            for key, value in each.items():
                if key.replace("_", "").casefold() == name and not isinstance(value, dict | list):
                    yield value
                left.append(value)
        elif isinstance(each, list):
            left += each


def _ids(value: Any) -> list[str]:
    """The texts that a value may have as an id."""
    match value:
        case str():  # ids are always UTF-8
            return [value] if value and not _SURROGATE.search(value) else []
        case bool():
            return [str(value).lower(), str(value)]
        case bytes():
            return [value.decode(errors="backslashreplace"), value.hex()]
        case float() if value.is_integer():
            return [str(int(value)), str(value)]
        case Decimal() if value.is_finite() and value.adjusted() < _DIGITS and value == value.to_integral_value():
            return [str(int(value)), str(value)]
        case None:
            return []
        case _:  # whole numbers, UUIDs and the like
            return [str(value)]


def _fields(payload: bytes) -> frozenset[str]:
    """The fields of a line, by any of the usual separators."""
    text = payload.decode(errors="backslashreplace").strip("\r\n")
    parts = (part.strip() for separator in ",;\t|" for part in text.split(separator))
    return frozenset(part.removeprefix('"').removesuffix('"') for part in parts) - {""}
