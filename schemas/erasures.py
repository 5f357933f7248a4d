"""A person's request to be forgotten, and whose dead letters are whose."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import xxhash

from schemas.dead_letters import DeadLetter

_SIGN, _ALL = 1 << 63, 1 << 64
_NO_AVRO = {"unframed", "unknown_schema", "undecodable"}
"""Reasons that no row of a file has: a message may be JSON too, and is none the less no event."""
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
        """Whose a message is and when, as far as that can be read of it."""


def row_of(letter: DeadLetter) -> dict[str, Any] | None:
    """The row of a file that a letter holds as JSON; None where it holds a message, or a line without columns."""
    if letter.reason in _NO_AVRO:
        return None
    try:
        held = json.loads(letter.payload)
    except ValueError:
        return None
    return held if isinstance(held, dict) else None


def owner_of(letter: DeadLetter, codec: Readable) -> tuple[str, int | None] | None:
    """The user whose event a letter was to be, and its time (ms) where that can be believed; None where nobody's.

    Only whose bytes can be read so far has an owner.
    """
    fields = row_of(letter)
    if fields is None:
        fields = codec.identity(letter.payload)
    user_id, time = fields.get("user_id"), fields.get("timestamp")
    if not isinstance(user_id, str) or not user_id:
        return None
    return user_id, time if isinstance(time, int) and letter.reason not in _FALSE_TIMES else None


def letters_of(erasures: Iterable[Erasure], letters: Iterable[DeadLetter], codec: Readable) -> list[DeadLetter]:
    """Of some dead letters those that go with erasures: of those users, and of no later time."""
    until = {each.user_id: each.until for each in sorted(erasures, key=lambda each: each.until)}
    found = []
    for letter in letters:
        owner = owner_of(letter, codec)
        if owner is not None and owner[0] in until and (owner[1] is None or owner[1] <= until[owner[0]]):
            found.append(letter)
    return found
